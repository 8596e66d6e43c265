package ociapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry/digest"
)

// imageBy is an image manifest whose config and layers are pushed first and
// named by one of the hashes.
func (d *door) imageBy(of func(string) digest.Digest, layers ...string) v1.Manifest {
	d.t.Helper()
	d.upload("app", "{}", of("{}"))
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: imageType,
		Config: descriptor(v1.MediaTypeImageConfig, "{}", of), Layers: []v1.Descriptor{},
	}
	for _, l := range layers {
		d.upload("app", l, of(l))
		m.Layers = append(m.Layers, descriptor(v1.MediaTypeImageLayer, l, of))
	}
	return m
}

// indexBy is an index of children.
func indexBy(t testing.TB, children ...v1.Descriptor) string {
	return marshal(t, v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: indexType, Manifests: children})
}

var manifestRules = []rule{
	{"Pushing Manifests", "201 Created with the Location of a pullable manifest; Docker-Content-Digest MUST be equal to the client provided digest.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			d.pushed(imageType, m, of)
			a := d.put("app", "latest", imageType, m)
			d.uploaded(a, m, sha256Of(m)) // who gives a tag alone gives no digest
		}), nil},
	{"Pushing Manifests", "The registry MUST store the manifest in the exact byte representation provided by the client.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := "\n\t" + strings.ReplaceAll(marshal(d.t, d.imageBy(of, "layer")), ",", " ,\r\n") + "  "
			d.pushed(imageType, m, of)
		}), nil},
	{"Pushing Manifests", "The list of blobs MAY be empty.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.imageBy(of)
			d.pushed(imageType, marshal(d.t, m), of)
			m.Config.MediaType, m.ArtifactType = v1.MediaTypeEmptyJSON, "application/x.nothing"
			d.pushed(imageType, marshal(d.t, m), of)
			d.pushed(indexType, indexBy(d.t, []v1.Descriptor{}...), of)
			d.pushed(indexType, `{"schemaVersion":2,"manifests":[]}`, of)
		}), nil},
	{"Pushing Manifests", "An empty blob is one that a manifest can name.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			d.pushed(imageType, marshal(d.t, d.imageBy(of, "")), of)
		}), nil},
	{"Pushing Manifests", "The registry SHOULD ignore parameters on the Content-Type header.",
		once(func(d *door) {
			m := marshal(d.t, d.imageBy(sha256Of, "layer"))
			want(d.t, d.put("app", "1", imageType+"; charset=utf-8", m), 201, "")
		}), nil},
	{"Pushing Manifests", "If a manifest includes a mediaType field, clients MUST set the Content-Type header to the value specified by it.",
		once(func(d *door) {
			m := marshal(d.t, d.imageBy(sha256Of, "layer"))
			d.unchanged(func() { want(d.t, d.put("app", "1", dockerType, m), 400, "MANIFEST_INVALID") })
		}), nil},
	{"Pushing Manifests", "A client provided digest that is not the manifest's is refused.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			d.unchanged(func() { want(d.t, d.put("app", of("other").String(), imageType, m), 400, "DIGEST_INVALID") })
		}), nil},
	{"Pushing Manifests", "Support manifest pushes of at least 4 megabytes; over the limit 413 Payload Too Large.",
		once(func(d *door) {
			m := marshal(d.t, d.imageBy(sha256Of, "layer"))
			m += strings.Repeat(" ", 4<<20-len(m))
			d.uploaded(d.put("app", "1", imageType, m), m, sha256Of(m))
			more := stream(strings.NewReader(m + " "))
			want(d.t, d.do("PUT", "/v2/app/manifests/2", with("Content-Type", imageType), more), 413, "SIZE_INVALID")
		}), nil},
}

// data is a descriptor with embedded data.
func data(desc v1.Descriptor, content string) v1.Descriptor {
	desc.Data = []byte(content)
	return desc
}

// referenceRules are about what manifests refer to.
var referenceRules = []rule{
	{"Push", "A manifest with descriptors that reference a manifest or blob that does not exist: one or more MANIFEST_BLOB_UNKNOWN errors.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.imageBy(of, "layer")
			absent := descriptor(v1.MediaTypeImageLayer, "absent", of)
			m.Layers = append(m.Layers, absent)
			x := indexBy(d.t, descriptor(imageType, "absent", of))
			d.unchanged(func() {
				for _, a := range []answer{d.put("app", "1", imageType, marshal(d.t, m)), d.put("app", "1", indexType, x)} {
					want(d.t, a, 400, "MANIFEST_BLOB_UNKNOWN")
					if !strings.Contains(a.body, absent.Digest.String()) {
						d.t.Errorf("%s: does not say what: %s", a.request, a.body)
					}
				}
			})
		}), nil},
	{"Push", "An index may name manifests that are not there where the registry takes such (sparse) ones.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			later := marshal(d.t, d.imageBy(of, "layer"))
			x := indexBy(d.t, descriptor(imageType, later, of), descriptor(imageType, "absent", of))
			d.pushed(indexType, x, of)
			d.hasNot("/v2/app/manifests/"+of(later).String(), "MANIFEST_UNKNOWN")
			d.pushed(imageType, later, of)
			d.has("/v2/app/manifests/"+of(x).String(), x, of(x))
		}), func(o *setup) { o.registry.SparseIndexes = true }},
	{"Push", "Blobs must be there in a registry that takes sparse indexes too.",
		once(func(d *door) {
			m := d.imageBy(sha256Of)
			m.Layers = append(m.Layers, descriptor(v1.MediaTypeImageLayer, "absent", sha256Of))
			d.unchanged(func() { want(d.t, d.put("app", "1", imageType, marshal(d.t, m)), 400, "MANIFEST_BLOB_UNKNOWN") })
		}), func(o *setup) { o.registry.SparseIndexes = true }},
	{"Push", "An index may name indexes (image-spec image-index.md, \"manifests\").",
		once(func(d *door) {
			for _, inner := range hashes {
				for _, outer := range hashes {
					child := d.pushed(imageType, marshal(d.t, d.imageBy(inner, "layer")), inner)
					middle := d.pushed(indexType, indexBy(d.t, child), outer)
					top := indexBy(d.t, middle, child)
					d.pushed(indexType, top, inner)
				}
			}
		}), nil},
	{"Push", "The decoded data of a descriptor MUST be identical to the referenced content (image-spec descriptor.md).",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.imageBy(of, "layer")
			child := d.pushed(imageType, marshal(d.t, m), of)
			whole := marshal(d.t, m)
			m.Config, m.Layers[0] = data(m.Config, "{}"), data(m.Layers[0], "layer")
			m.Subject = new(data(child, whole))
			d.pushed(imageType, marshal(d.t, m), of)
			d.pushed(indexType, indexBy(d.t, data(child, whole)), of)
		}), nil},
	{"Push", "Data that is other content, or of another size, or no base64 at all, would mislead who reads it.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.imageBy(of, "layer")
			child := d.pushed(imageType, marshal(d.t, m), of)
			config, layer, subject := m, m, m
			config.Config = data(m.Config, "[]")
			layer.Layers = []v1.Descriptor{data(m.Layers[0], "layer and more")}
			subject.Subject = new(data(child, "other"))
			m.Config = data(m.Config, "{}")
			tests := map[string]string{
				"config of other content":   marshal(d.t, config),
				"layer of another size":     marshal(d.t, layer),
				"subject of other content":  marshal(d.t, subject),
				"config that is not base64": strings.Replace(marshal(d.t, m), `"e30="`, `"{}"`, 1),
				"config that is no string":  strings.Replace(marshal(d.t, m), `"e30="`, `[123,125]`, 1),
			}
			d.unchanged(func() {
				for what, m := range tests {
					a := d.put("app", "1", imageType, m)
					a.request += ": " + what
					want(d.t, a, 400, "MANIFEST_INVALID")
				}
				want(d.t, d.put("app", "1", indexType, indexBy(d.t, data(child, "other"))), 400, "MANIFEST_INVALID")
			})
		}), nil},
	{"Push", "A registry MUST initially accept an otherwise valid manifest with a subject field that references a manifest that does not exist.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			subject := marshal(d.t, d.imageBy(of, "the subject"))
			m := d.imageBy(of, "layer")
			m.Subject = new(descriptor(imageType, subject, of))
			d.hasNot("/v2/app/manifests/"+of(subject).String(), "MANIFEST_UNKNOWN")
			r := d.pushed(imageType, marshal(d.t, m), of)
			path := "/v2/app/referrers/" + of(subject).String()
			for range 2 { // before and after the subject comes
				if _, x := d.referrers(path); len(x.Manifests) != 1 || x.Manifests[0].Digest != r.Digest {
					d.t.Errorf("referrers are %+v, want %s", x.Manifests, r.Digest)
				}
				d.pushed(imageType, subject, of)
			}
		}), nil},
}

// pushTags pushes a manifest by its digest, with a query.
func (d *door) pushTags(of func(string) digest.Digest, m, query string) answer {
	d.t.Helper()
	return d.do("PUT", "/v2/app/manifests/"+of(m).String()+query, with("Content-Type", imageType), body(m))
}

// tagsRules are those of pull 600: tags beside a digest.
var tagsRules = []rule{
	{"Pushing Manifests", "When pushing a manifest by digest, tags MAY be given by tag query parameters; each is confirmed by an OCI-Tag header.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			a := d.pushTags(of, m, "?tag=a&tag=b")
			d.uploaded(a, m, of(m))
			if got := a.header.Values("OCI-Tag"); !slices.Equal(got, []string{"a", "b"}) {
				d.t.Errorf("OCI-Tag: %q", got)
			}
			for _, ref := range []string{"a", "b", of(m).String()} {
				d.has("/v2/app/manifests/"+ref, m, of(m)) // by the digest that was given
			}
		}), nil},
	{"Pushing Manifests", "At least 10 tags are supported in one request.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			for _, n := range []int{1, 10, 11, 100} { // each has those before it
				query, tags := manyTags(n)
				a := d.pushTags(of, m, query)
				want(d.t, a, 201, "")
				if got := a.header.Values("OCI-Tag"); !slices.Equal(got, tags) {
					d.t.Errorf("OCI-Tag: %q", got)
				}
				if _, l := d.list("/v2/app/tags/list"); !slices.Equal(l.Tags, tags) {
					d.t.Errorf("%d tags listed, want %d", len(l.Tags), n)
				}
			}
		}), nil},
	{"Pushing Manifests", "More tags than the registry takes at once: 414 URI Too Long.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			query, _ := manyTags(101)
			d.unchanged(func() {
				want(d.t, d.pushTags(of, m, query), 414, "TAG_INVALID")
				want(d.t, d.pushTags(of, m, "?"+strings.Repeat("&tag=a", 101)), 414, "TAG_INVALID") // as it comes
			})
		}), nil},
	{"Pushing Manifests", "All tags are set or, if one of them cannot be, none is and nothing is stored.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := marshal(d.t, d.imageBy(of, "layer"))
			d.unchanged(func() {
				for _, bad := range []string{".bad", "", "a%2fb", "sha256:0", strings.Repeat("a", 129), "a%0d%0ab"} {
					want(d.t, d.pushTags(of, m, "?tag=good&tag="+bad+"&tag=better"), 400, "TAG_INVALID")
				}
			})
		}), nil},
	{"Pushing Manifests", "A tag that may not be moved refuses all of them.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			first, second := marshal(d.t, d.imageBy(of, "one")), marshal(d.t, d.imageBy(of, "two"))
			want(d.t, d.pushTags(of, first, "?tag=stays"), 201, "")
			d.immutable("app")
			d.unchanged(func() {
				want(d.t, d.pushTags(of, second, "?tag=new&tag=stays&tag=newer"), 409, "TAG_INVALID")
				want(d.t, d.pushTags(of, first, "?tag=stays"), 201, "") // it is there already
			})
			want(d.t, d.pushTags(of, second, "?tag=new&tag=newer"), 201, "")
		}), nil},
	{"Pushing Manifests", "A tag that is given twice is set once; tags beside a tag are no part of the protocol.",
		once(func(d *door) {
			m := marshal(d.t, d.imageBy(sha256Of, "layer"))
			a := d.pushTags(sha256Of, m, "?tag=a&tag=a&tag=b")
			if got := a.header.Values("OCI-Tag"); !slices.Equal(got, []string{"a", "b"}) {
				d.t.Errorf("OCI-Tag: %q", got)
			}
			a = d.put("app", "c?tag=d", imageType, m)
			want(d.t, a, 201, "")
			wantHeader(d.t, a, "OCI-Tag", "")
			d.hasNot("/v2/app/manifests/d", "MANIFEST_UNKNOWN")
		}), nil},
}

var referrerRules = []rule{
	{"Pushing Manifests with Subject", "A registry that supports the referrers API MUST respond with OCI-Subject: <subject digest>.",
		once(func(d *door) {
			for _, of := range hashes {
				subject := descriptor(imageType, "any", of)
				for _, by := range hashes {
					m := d.imageBy(by, "layer")
					m.Subject = &subject
					a := d.put("app", by(marshal(d.t, m)).String(), imageType, marshal(d.t, m))
					want(d.t, a, 201, "")
					wantHeader(d.t, a, "OCI-Subject", subject.Digest.String())
					x := strings.Replace(indexBy(d.t), "{", `{"subject":`+marshal(d.t, subject)+",", 1)
					wantHeader(d.t, d.put("app", by(x).String(), indexType, x), "OCI-Subject", subject.Digest.String())
				}
			}
			wantHeader(d.t, d.put("app", "1", indexType, indexOf(d.t)), "OCI-Subject", "")
		}), nil},
	{"Listing Referrers", "If a query results in no matching referrers, an empty manifest list MUST be returned; never a 404.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			if _, x := d.referrers("/v2/app/referrers/" + of("none").String()); len(x.Manifests) > 0 {
				d.t.Errorf("referrers are %v", x.Manifests)
			}
		}), nil},
	{"Listing Referrers", "If the request is invalid, such as a digest with an invalid syntax, a 400 Bad Request MUST be returned.",
		once(func(d *door) {
			for _, bad := range []string{"sha256:1", "latest", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha512:" + sha256Of("").Encoded()} {
				want(d.t, d.do("GET", "/v2/app/referrers/"+bad), 400, "DIGEST_INVALID")
			}
		}), nil},
	{"Listing Referrers", "artifactType is that of the manifest, else the media type of an image's config; an index without it has none. Annotations are included.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			index := d.pushed(indexType, indexBy(d.t), of) // an index may be the subject as well
			m := d.imageBy(of)
			m.Subject, m.Annotations = &index, map[string]string{"a": "b"}
			plain := d.pushed(imageType, marshal(d.t, m), of)
			plain.ArtifactType, plain.Annotations = v1.MediaTypeImageConfig, m.Annotations
			m.ArtifactType = "application/x.own"
			own := d.pushed(imageType, marshal(d.t, m), of)
			own.ArtifactType, own.Annotations = m.ArtifactType, m.Annotations
			refers := func(more string) v1.Descriptor {
				return d.pushed(indexType, strings.Replace(indexBy(d.t), "{", `{"subject":`+marshal(d.t, index)+more+",", 1), of)
			}
			untyped, typed := refers(""), refers(`,"artifactType":"application/x.own"`)
			typed.ArtifactType = "application/x.own"
			d.wantReferrers("/v2/app/referrers/"+of(indexBy(d.t)).String(), plain, own, untyped, typed)
			filtered := d.wantReferrers("/v2/app/referrers/"+of(indexBy(d.t)).String()+"?artifactType=application/x.own", own, typed)
			wantHeader(d.t, filtered, "OCI-Filters-Applied", "artifactType")
		}), nil},
	{"Listing Referrers", "A Link header MUST be included when the descriptor list cannot be returned in a single manifest.",
		once((*door).pageReferrers), nil},
	{"Enabling the Referrers API", "Registries MUST include preexisting image manifests that are listed in an image index tagged with the referrers tag schema.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			subject := d.pushed(imageType, marshal(d.t, d.imageBy(of, "layer")), of)
			m := d.imageBy(of, "signature")
			m.ArtifactType, m.Annotations = "application/x.signature", map[string]string{"by": "an older client"}
			listed := d.pushed(imageType, marshal(d.t, m), of)
			m.Subject = &subject
			both := d.pushed(imageType, marshal(d.t, m), of)
			dig, err := digest.Of(subject.Digest)
			must(d.t, err)
			tag := string(dig.Algorithm()) + "-" + dig.Encoded()[:64] // the schema's limit
			want(d.t, d.put("app", tag, indexType, indexBy(d.t, listed, both)), 201, "")
			for _, r := range []*v1.Descriptor{&listed, &both} {
				r.ArtifactType, r.Annotations = m.ArtifactType, m.Annotations
			}
			d.wantReferrers("/v2/app/referrers/"+dig.String(), listed, both)
		}), nil},
	{"Listing Referrers", "Each descriptor is of a manifest in the same namespace: one that is deleted is none.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			subject := descriptor(imageType, "any", of)
			m := d.imageBy(of)
			m.Subject = &subject
			r := d.pushed(imageType, marshal(d.t, m), of)
			d.wantReferrers("/v2/from/referrers/" + of("any").String())
			want(d.t, d.do("DELETE", "/v2/app/manifests/"+r.Digest.String()), 202, "")
			d.wantReferrers("/v2/app/referrers/" + of("any").String())
		}), nil},
}
