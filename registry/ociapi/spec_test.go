package ociapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// rule is something that the OCI distribution specification says, and a play
// that holds the door to it. The text is that of the development version: 1.1.1
// with digest-algorithm (pull 543) and tags beside a digest (pull 600).
type rule struct {
	section string // of spec.md
	says    string
	plays   performances
	change  func(*setup) // of the door; nil for none
}

// performances are one or several by name, each for a door that has the
// repositories app and from.
type performances map[string]func(*door)

// TestSpecification plays each rule at doors of its own.
func TestSpecification(t *testing.T) {
	for _, rules := range [][]rule{pullRules, uploadRules, mountRules, manifestRules, referenceRules, tagsRules, listRules, referrerRules, deleteRules} {
		for i, r := range rules {
			for name, play := range r.plays {
				t.Run(strings.TrimSpace(fmt.Sprintf("%s %d %s", r.section, i+1, name)), func(t *testing.T) { r.hold(t, play) })
			}
		}
	}
}

// hold fails the test if a play does, and says what is not held then.
func (r rule) hold(t *testing.T, play func(*door)) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the specification, %q: %s", r.section, r.says)
		}
	})
	change := r.change
	if change == nil {
		change = func(*setup) {}
	}
	d := open(t, change)
	d.create("app", "from")
	play(d)
}

// hashes are the digests that a registry should know: sha256 must be, sha512
// may be (image-spec descriptor.md, "Registered algorithms").
var hashes = map[string]func(string) digest.Digest{"sha256": sha256Of, "sha512": sha512Of}

// once is one play.
func once(play func(*door)) performances { return performances{"": play} }

// eachHash plays with both.
func eachHash(play func(d *door, of func(string) digest.Digest)) performances {
	all := performances{}
	for name, of := range hashes {
		all[name] = func(d *door) { play(d, of) }
	}
	return all
}

// upload pushes a blob by a digest of any kind.
func (d *door) upload(repo, content string, dig digest.Digest) {
	d.t.Helper()
	want(d.t, d.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+dig.String(), body(content)), 201, "")
}

// uploaded checks the answer to the end of an upload, and that what it leads to
// can be pulled.
func (d *door) uploaded(a answer, content string, dig digest.Digest) {
	d.t.Helper()
	want(d.t, a, 201, "")
	wantHeader(d.t, a, "Docker-Content-Digest", dig.String())
	d.has(pathOf(d.t, a.header.Get("Location")), content, dig)
}

// has checks that GET and HEAD of a path are answered with content.
func (d *door) has(path, content string, dig digest.Digest) {
	d.t.Helper()
	for _, method := range []string{"GET", "HEAD"} {
		a := d.do(method, path)
		want(d.t, a, 200, "")
		wantHeader(d.t, a, "Docker-Content-Digest", dig.String(), "Content-Length", fmt.Sprint(len(content)))
		if method == "GET" && a.body != content {
			d.t.Errorf("%s: %.100q, want %.100q", a.request, a.body, content)
		}
	}
}

// hasNot checks that a path is not found, with some code.
func (d *door) hasNot(path, code string) {
	d.t.Helper()
	want(d.t, d.do("GET", path), 404, code)
	want(d.t, d.do("HEAD", path), 404, "")
}

// descriptor is of content by one of the hashes.
func descriptor(mediaType, content string, of func(string) digest.Digest) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: of(content).OCI(), Size: int64(len(content))}
}

// pushed stores a manifest by its digest.
func (d *door) pushed(mediaType, content string, of func(string) digest.Digest) v1.Descriptor {
	d.t.Helper()
	d.uploaded(d.put("app", of(content).String(), mediaType, content), content, of(content))
	return descriptor(mediaType, content, of)
}

var pullRules = []rule{
	{"Pulling manifests", "A GET request to an existing manifest URL MUST provide the expected manifest, with a response code that MUST be 200 OK.",
		once(func(d *door) {
			m := d.tag("app", "1", "layer")
			d.has("/v2/app/manifests/1", m, sha256Of(m))
			d.has("/v2/app/manifests/"+sha256Of(m).String(), m, sha256Of(m))
		}), nil},
	{"Pulling manifests", "The Content-Type header SHOULD match what the client pushed as the manifest's Content-Type. The registry SHOULD NOT include parameters.",
		once(func(d *door) {
			d.put("app", "1", indexType+"; charset=utf-8", indexOf(d.t))
			wantHeader(d.t, d.do("GET", "/v2/app/manifests/1"), "Content-Type", indexType)
		}), nil},
	{"Pulling manifests", "If the manifest is not found in the repository, the response code MUST be 404 Not Found.",
		once(func(d *door) {
			d.hasNot("/v2/app/manifests/none", "MANIFEST_UNKNOWN")
			d.hasNot("/v2/app/manifests/"+sha256Of("none").String(), "MANIFEST_UNKNOWN")
			d.hasNot("/v2/app/manifests/"+sha512Of("none").String(), "MANIFEST_UNKNOWN")
			d.hasNot("/v2/none/manifests/none", "NAME_UNKNOWN")
		}), nil},
	{"Pulling blobs", "A GET request to an existing blob URL MUST provide the expected blob, with a response code that MUST be 200 OK.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			for _, content := range []string{"blob", ""} {
				d.upload("app", content, of(content))
				d.has("/v2/app/blobs/"+of(content).String(), content, of(content))
			}
		}), nil},
	{"Pulling blobs", "If the blob is not found in the repository, the response code MUST be 404 Not Found.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			d.upload("from", "elsewhere", of("elsewhere"))
			d.hasNot("/v2/app/blobs/"+of("elsewhere").String(), "BLOB_UNKNOWN")
			d.hasNot("/v2/none/blobs/"+of("elsewhere").String(), "NAME_UNKNOWN")
		}), nil},
	{"Pulling blobs", "A registry SHOULD support the Range request header in accordance with RFC 9110.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			d.upload("app", "0123456789", of("0123456789"))
			a := d.do("GET", "/v2/app/blobs/"+of("0123456789").String(), with("Range", "bytes=2-4"))
			want(d.t, a, 206, "")
			wantHeader(d.t, a, "Content-Range", "bytes 2-4/10", "Docker-Content-Digest", of("0123456789").String())
			if a.body != "234" {
				d.t.Errorf("a part: %q", a.body)
			}
			// Of nothing there is no part: it comes whole.
			d.upload("app", "", of(""))
			want(d.t, d.do("GET", "/v2/app/blobs/"+of("").String(), with("Range", "bytes=0-")), 200, "")
		}), nil},
	{"Pulling blobs", "A digest of a bad form, or by an algorithm that is not supported, is answered 400 (pull 543).",
		once(func(d *door) {
			for _, bad := range []string{"sha512:" + sha256Of("").Encoded(), "sha256:" + sha512Of("").Encoded(), "md5:d41d8cd98f00b204e9800998ecf8427e", "sha384:00"} {
				want(d.t, d.do("GET", "/v2/app/blobs/"+bad), 400, "DIGEST_INVALID")
				want(d.t, d.do("GET", "/v2/app/manifests/"+bad), 400, "DIGEST_INVALID")
				want(d.t, d.do("POST", "/v2/app/blobs/uploads/?digest="+bad, body("x")), 400, "DIGEST_INVALID")
				want(d.t, d.do("PUT", d.start("app")+"?digest="+bad, body("x")), 400, "DIGEST_INVALID")
				want(d.t, d.put("app", bad, indexType, indexOf(d.t)), 400, "DIGEST_INVALID")
			}
		}), nil},
}

var listRules = []rule{
	{"Listing Tags", "Assuming a repository is found, this request MUST return a 200 OK response code. The list of tags MAY be empty.",
		once(func(d *door) {
			if _, l := d.list("/v2/app/tags/list"); l.Name != "app" || len(l.Tags) > 0 {
				d.t.Errorf("listed %+v", l)
			}
			want(d.t, d.do("GET", "/v2/none/tags/list"), 404, "NAME_UNKNOWN")
		}), nil},
	{"Listing Tags", "The tags MUST be in lexical order.",
		once(func(d *door) {
			d.tags("app", "b", "10", "a", "9")
			if _, l := d.list("/v2/app/tags/list"); !slices.Equal(l.Tags, []string{"10", "9", "a", "b"}) {
				d.t.Errorf("listed %q", l.Tags)
			}
		}), nil},
	{"Listing Tags", "When n is zero, this endpoint MUST return an empty list, and MUST NOT include a Link header.",
		once(func(d *door) {
			d.tags("app", "a", "b")
			for _, query := range []string{"?n=0", "?n=0&last=a", "?last=a&n=0"} {
				a, l := d.list("/v2/app/tags/list" + query)
				wantHeader(d.t, a, "Link", "")
				if len(l.Tags) > 0 {
					d.t.Errorf("%s: listed %q", query, l.Tags)
				}
			}
		}), nil},
	{"Listing Tags", "last is not included in the results, but up to n tags after it; a Link header leads to the next page.",
		once(func(d *door) {
			d.tags("app", "a", "b", "c", "d", "e")
			a, l := d.list("/v2/app/tags/list?n=2&last=a")
			if !slices.Equal(l.Tags, []string{"b", "c"}) || nextOf(d.t, a) == "" {
				d.t.Errorf("listed %q, next %q", l.Tags, nextOf(d.t, a))
			}
			if rest := d.follow(nextOf(d.t, a)); !slices.Equal(rest, []string{"d", "e"}) {
				d.t.Errorf("the next pages have %q", rest)
			}
			// A tag that is gone, or never was, is a place in the list as well.
			if _, l := d.list("/v2/app/tags/list?last=bb"); !slices.Equal(l.Tags, []string{"c", "d", "e"}) {
				d.t.Errorf("listed %q", l.Tags)
			}
		}), nil},
	{"Listing Tags", "The response MAY return fewer than n results only when there are fewer or a Link header is provided.",
		once(func(d *door) {
			d.tags("app", "a", "b", "c")
			for n, link := range map[int]bool{1: true, 2: true, 3: false, 4: false} {
				a, l := d.list(fmt.Sprintf("/v2/app/tags/list?n=%d", n))
				if len(l.Tags) != min(n, 3) || (nextOf(d.t, a) != "") != link {
					d.t.Errorf("n=%d: %q, next %q", n, l.Tags, nextOf(d.t, a))
				}
			}
		}), nil},
}

var deleteRules = []rule{
	{"Deleting tags", "Upon success 202 Accepted. Once deleted, a GET of the tag will return a 404. (The manifest is not what is deleted.)",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.image("app", nil, "layer")
			by := "/v2/app/manifests/"
			want(d.t, d.do("PUT", by+of(m).String()+"?tag=a&tag=b", with("Content-Type", imageType), body(m)), 201, "")
			for _, tag := range []string{"a", "b"} {
				want(d.t, d.do("DELETE", by+tag), 202, "")
				d.hasNot(by+tag, "MANIFEST_UNKNOWN")
				want(d.t, d.do("DELETE", by+tag), 404, "MANIFEST_UNKNOWN")
				d.has(by+of(m).String(), m, of(m))
			}
		}), nil},
	{"Deleting Manifests", "Upon success 202 Accepted. Once deleted, a GET of the digest and of any tag pointing to it will return a 404.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			m := d.image("app", nil, "layer")
			by := "/v2/app/manifests/"
			want(d.t, d.do("PUT", by+of(m).String()+"?tag=a&tag=b", with("Content-Type", imageType), body(m)), 201, "")
			want(d.t, d.do("DELETE", by+of(m).String()), 202, "")
			for _, ref := range []string{"a", "b", of(m).String()} {
				d.hasNot(by+ref, "MANIFEST_UNKNOWN")
				want(d.t, d.do("DELETE", by+ref), 404, "MANIFEST_UNKNOWN")
			}
		}), nil},
	{"Deleting Manifests", "If the repository does not exist, the response MUST return 404 Not Found.",
		once(func(d *door) {
			want(d.t, d.do("DELETE", "/v2/none/manifests/"+sha256Of("").String()), 404, "NAME_UNKNOWN")
		}), nil},
	{"Deleting Blobs", "Upon success 202 Accepted. If the blob is not found, a 404 Not Found code MUST be returned.",
		eachHash(func(d *door, of func(string) digest.Digest) {
			for _, content := range []string{"blob", ""} {
				path := "/v2/app/blobs/" + of(content).String()
				d.upload("app", content, of(content))
				want(d.t, d.do("DELETE", path), 202, "")
				d.hasNot(path, "BLOB_UNKNOWN")
				want(d.t, d.do("DELETE", path), 404, "BLOB_UNKNOWN")
			}
		}), nil},
}

// immutable makes the tags of a repository stay where they are.
func (d *door) immutable(repo string) {
	d.t.Helper()
	_, err := d.service.SetTagRule(d.ctx(), name(d.t, repo), registry.TagRule{Mutability: registry.Immutable})
	must(d.t, err)
}

// manyTags is a query that has n tags.
func manyTags(n int) (query string, tags []string) {
	for i := range n {
		tags = append(tags, fmt.Sprintf("tag%03d", i))
	}
	return "?tag=" + strings.Join(tags, "&tag="), tags
}

// wantReferrers checks a whole list of referrers, in any order.
func (d *door) wantReferrers(path string, expected ...v1.Descriptor) answer {
	d.t.Helper()
	a, x := d.referrers(path)
	byDigest := func(a, b v1.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) }
	slices.SortFunc(x.Manifests, byDigest)
	slices.SortFunc(expected, byDigest)
	if diff := cmp.Diff(expected, x.Manifests, cmpopts.EquateEmpty()); diff != "" {
		d.t.Errorf("%s: -want +got\n%s", path, diff)
	}
	return a
}
