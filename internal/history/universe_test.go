package history

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
)

// Media types.
const (
	ociImage     = "application/vnd.oci.image.manifest.v1+json"
	ociIndex     = "application/vnd.oci.image.index.v1+json"
	ociConfig    = "application/vnd.oci.image.config.v1+json"
	ociLayer     = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociFar       = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	ociEmpty     = "application/vnd.oci.empty.v1+json"
	dockerImage  = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList   = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	schema1      = "application/vnd.docker.distribution.manifest.v1+json"
	schema1JWS   = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// blobs are the contents of all layers and configs, by name.
var blobs = map[string]string{
	"config": `{"os":"linux"}`, "empty": `{}`, "a": "layer a", "b": "the layer b", "c": "that is layer c", "far": "fetched elsewhere",
}

// document is a manifest that histories push, and what the model has to know of it.
type document struct {
	name, mediaType string
	body            string
	digest          string
	needs           []need   // config and layers
	children        []string // digests
	subject         string   // digest, "" if it is no referrer
	artifactType    string   // as referrers are listed
	configType      string
	tag             string // its own, of schema 1
	wrong           bool   // nobody takes it
}

// need is a blob that a document refers to.
type need struct {
	digest, mediaType string
	size              int64 // -1 if the document does not say
	far               bool  // it may be missing
}

func (d *document) isIndex() bool { return d.mediaType == ociIndex || d.mediaType == dockerList }

// descriptor is how documents refer to content.
type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls,omitempty"`
}

// form is an image or an index as JSON.
type form struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitzero"`
	Manifests     []descriptor `json:"manifests,omitzero"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

func sum(s string) string { return digest.FromBytes(digest.SHA256, []byte(s)).String() }

func blob(mediaType, name string) descriptor {
	return descriptor{MediaType: mediaType, Digest: sum(blobs[name]), Size: int64(len(blobs[name]))}
}

// of describes a document.
func of(d *document) descriptor {
	return descriptor{MediaType: d.mediaType, Digest: d.digest, Size: int64(len(d.body))}
}

// universe are the documents of all histories, by name.
var universe = makeUniverse()

// documentNames are their names in order.
var documentNames = sorted(universe)

// fallbackTag is that under which old clients list the referrers of "one"
// (distribution-spec, "Referrers Tag Schema").
var fallbackTag = strings.Replace(universe["one"].digest, ":", "-", 1)

func makeUniverse() map[string]*document {
	u := map[string]*document{}
	add := func(name string, f form) *document {
		u[name] = f.document(name)
		return u[name]
	}
	one := add("one", image("a"))
	two := add("two", image("a", "b"))
	docker := image("c")
	docker.MediaType, docker.Config.MediaType, docker.Layers[0].MediaType = dockerImage, dockerConfig, dockerLayer
	whale := add("docker", docker)
	far := image("a", "far")
	far.Layers[1].MediaType, far.Layers[1].URLs = ociFar, []string{"https://example.com/far"}
	add("far", far)

	note := add("note", artifact("application/x.note", one))
	add("note-of-note", artifact("application/x.note", note))
	signature := image("b")
	signature.Config.MediaType, signature.Subject = "application/x.signature", new(of(two))
	add("signature", signature)
	found := add("found", artifact("application/x.found", nil))
	add("fallback", index(ociIndex, found, note, one))

	pair := add("pair", index(ociIndex, one, two))
	add("list", index(dockerList, whale))
	add("nest", index(ociIndex, pair, whale))
	about := index(ociIndex, two)
	about.Subject = new(of(one))
	add("about", about)

	size := image("a")
	size.Layers[0].Size++
	add("size", size)
	cut := add("cut", image("b"))
	cut.body, cut.wrong = cut.body[1:], true
	cut.digest = sum(cut.body)

	u["old"] = oldImage("old", "own", "")
	u["old-signed"] = oldImage("old-signed", "own", "somebody")
	u["signed"] = oldImage("signed", "v1", "somebody")
	return u
}

func image(layers ...string) form {
	f := form{SchemaVersion: 2, MediaType: ociImage, Config: new(blob(ociConfig, "config")), Layers: []descriptor{}}
	for _, l := range layers {
		f.Layers = append(f.Layers, blob(ociLayer, l))
	}
	return f
}

func artifact(artifactType string, subject *document) form {
	f := form{SchemaVersion: 2, MediaType: ociImage, ArtifactType: artifactType, Config: new(blob(ociEmpty, "empty")), Layers: []descriptor{}}
	if subject != nil {
		f.Subject = new(of(subject))
	}
	return f
}

func index(mediaType string, children ...*document) form {
	f := form{SchemaVersion: 2, MediaType: mediaType, Manifests: []descriptor{}}
	for _, c := range children {
		f.Manifests = append(f.Manifests, of(c))
	}
	return f
}

func (f form) document(name string) *document {
	body, err := json.Marshal(f)
	if err != nil {
		panic(err) // of plain structs
	}
	d := &document{name: name, mediaType: f.MediaType, body: string(body), digest: sum(string(body)), artifactType: f.ArtifactType}
	if f.Config != nil {
		d.configType = f.Config.MediaType
		if d.artifactType == "" {
			d.artifactType = d.configType
		}
		f.Layers = append([]descriptor{*f.Config}, f.Layers...)
	}
	for _, l := range f.Layers {
		d.needs = append(d.needs, need{l.Digest, l.MediaType, l.Size, l.URLs != nil})
	}
	for _, c := range f.Manifests {
		d.children = append(d.children, c.Digest)
	}
	if f.Subject != nil {
		d.subject = f.Subject.Digest
	}
	return d
}

// oldImage is one of Docker schema 1, signed by somebody or by "" and so not
// at all. Its digest is that of what is signed.
func oldImage(name, tag, by string) *document {
	text := fmt.Sprintf(`{"schemaVersion":1,"name":"elsewhere/app","tag":%q,"fsLayers":[{"blobSum":%q},{"blobSum":%q},{"blobSum":%q}]}`,
		tag, sum(blobs["a"]), sum(blobs["b"]), sum(blobs["a"]))
	d := &document{name: name, mediaType: schema1, body: text, digest: sum(text), tag: tag}
	for _, l := range []string{"a", "b"} {
		d.needs = append(d.needs, need{digest: sum(blobs[l]), mediaType: dockerLayer, size: -1})
	}
	if by != "" {
		protected := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"formatLength":%d,"formatTail":"fQ"}`, len(text)-1))
		d.mediaType = schema1JWS
		d.body = text[:len(text)-1] + fmt.Sprintf(`,"signatures":[{"header":{"alg":"ES256"},"signature":%q,"protected":%q}]}`, by, protected)
	}
	return d
}

func sorted[V any](m map[string]V) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// called is the name of what has a digest, for people.
func called(digest string) string {
	for _, name := range documentNames {
		if universe[name].digest == digest {
			return name
		}
	}
	for name, content := range blobs {
		if sum(content) == digest {
			return "blob " + name
		}
	}
	return digest
}
