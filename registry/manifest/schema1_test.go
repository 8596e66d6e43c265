package manifest_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

const (
	plain1  = manifest.MediaTypeDockerSchema1
	signed1 = manifest.MediaTypeDockerSchema1Signed
)

// schema1 is an unsigned document of schema 1 with layers of these contents.
func schema1(tag string, layers ...string) string {
	var list, history []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"blobSum": %q}`, digest.FromBytes(digest.SHA256, []byte(l))))
		history = append(history, `{"v1Compatibility": "{\"id\":\"`+l+`\"}"}`)
	}
	return "{\n   \"schemaVersion\": 1,\n   \"name\": \"team/app\",\n   \"tag\": \"" + tag + "\",\n   \"architecture\": \"amd64\",\n   \"fsLayers\": [" +
		strings.Join(list, ", ") + "],\n   \"history\": [" + strings.Join(history, ", ") + "]\n}"
}

// protected is the header of a signature of the first n bytes and a tail.
func protected(n int, tail string) string {
	header := fmt.Sprintf(`{"formatLength":%d,"formatTail":%q,"time":"2015-04-08T18:52:59Z"}`, n, base64.RawURLEncoding.EncodeToString([]byte(tail)))
	return base64.RawURLEncoding.EncodeToString([]byte(header))
}

// signature is one with such a header; the rest of it is as Docker's.
func signature(protected string) string {
	return `{"header": {"jwk": {"crv": "P-256", "kid": "OD6I", "kty": "EC", "x": "3gAw", "y": "t5ne"}, "alg": "ES256"}, "signature": "XREm", "protected": "` + protected + `"}`
}

// signed puts signatures into a document that ends in "\n}".
func signed(doc string, signatures ...string) string {
	return strings.TrimSuffix(doc, "\n}") + ",\n   \"signatures\": [" + strings.Join(signatures, ", ") + "]\n}"
}

func TestSchema1(t *testing.T) {
	doc := schema1("1.0", "a", "empty", "b", "empty")
	one := signature(protected(len(doc)-2, "\n}"))
	layers := []manifest.Descriptor{}
	for _, l := range []string{"a", "empty", "b"} {
		layers = append(layers, manifest.Descriptor{MediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
			Digest: digest.FromBytes(digest.SHA256, []byte(l)), Unsized: true})
	}
	for _, tt := range []struct{ sent, body, want string }{
		{"", doc, plain1}, {plain1, doc, plain1}, {"application/json; charset=utf-8", doc, plain1}, {strings.ToUpper(plain1), doc, plain1},
		{"", strings.Replace(doc, "{", `{"mediaType":"`+plain1+`",`, 1), plain1},
		{"", signed(doc, one), signed1}, {signed1, signed(doc, one), signed1}, {"application/json", signed(doc, one), signed1},
		{plain1, signed(doc, one, one), signed1},
		{"", signed(doc, signature(protected(len(doc)-2, "\n}")+"==")), signed1},
	} {
		m, err := manifest.Parse(tt.sent, []byte(tt.body))
		if err != nil {
			t.Errorf("sent as %q: %v\n%s", tt.sent, err, tt.body)
			continue
		}
		if diff := cmp.Diff(manifest.Manifest{MediaType: tt.want, Layers: layers, Tag: "1.0"}, m, sameDigest); diff != "" {
			t.Errorf("sent as %q (-want +got):\n%s", tt.sent, diff)
		}
		want := tt.body
		if tt.want == signed1 {
			want = doc
		}
		if got, err := manifest.Digested(m.MediaType, []byte(tt.body)); err != nil || string(got) != want {
			t.Errorf("the digest is of %q, %v; want %q", got, err, want)
		}
		again, err := manifest.Reread(m.MediaType, []byte(tt.body))
		if diff := cmp.Diff(m, again, sameDigest); diff != "" || err != nil {
			t.Errorf("read again: %v (-want +got):\n%s", err, diff)
		}
	}
}

// TestSchema1OfDocker reads a manifest that skopeo 1.9.3 has signed with Docker's
// library, and wants the digest that skopeo computes.
func TestSchema1OfDocker(t *testing.T) {
	body, err := os.ReadFile("testdata/schema1-signed.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Parse(signed1, body)
	if err != nil || len(m.Layers) != 2 || m.Tag != "1" {
		t.Fatalf("read %+v, %v", m, err)
	}
	text, err := manifest.Digested(m.MediaType, body)
	const want = "sha256:570f3bb7be6232cbcbfe7fafffb6ba9481f75499c1f5681dce8974fe675b47ee"
	if got := digest.FromBytes(digest.SHA256, text).String(); err != nil || got != want {
		t.Errorf("digest %s, %v; want %s", got, err, want)
	}
}

func TestSchema1Refused(t *testing.T) {
	doc := schema1("1.0", "a")
	n := len(doc) - 2
	good := signature(protected(n, "\n}"))
	bad := func(header string) string {
		return signed(doc, signature(base64.RawURLEncoding.EncodeToString([]byte(header))))
	}
	for _, tt := range []struct {
		what, sent, body string
		err              error
		says             string
	}{
		{"as schema 2", dockerManifest, doc, manifest.ErrUnsupported, "schema 1"},
		{"as an index", ociIndex, doc, manifest.ErrUnsupported, "schema 1"},
		{"as something unknown", unknown, doc, manifest.ErrUnsupported, "schema 1"},
		{"calls itself schema 2", "", strings.Replace(doc, "{", `{"mediaType":"`+dockerManifest+`",`, 1), manifest.ErrInvalid, "mediaType"},
		{"calls itself signed", "", strings.Replace(doc, "{", `{"mediaType":"`+signed1+`",`, 1), manifest.ErrInvalid, "mediaType"},
		{"of schema 2 by its number", plain1, strings.Replace(doc, "1,", "2,", 1), manifest.ErrInvalid, "schemaVersion: want 1"},
		{"sent as signed", signed1, doc, manifest.ErrInvalid, "signatures: missing"},
		{"no layers", "", schema1("1.0"), manifest.ErrInvalid, "at least 1 layer"},
		{"no fsLayers", "", `{"schemaVersion":1}`, manifest.ErrInvalid, "fsLayers: missing"},
		{"layers null", "", `{"schemaVersion":1,"fsLayers":null}`, manifest.ErrInvalid, "at least 1 layer"},
		{"layers a string", "", `{"schemaVersion":1,"fsLayers":"a"}`, manifest.ErrInvalid, "fsLayers: unexpected string"},
		{"a layer without a digest", "", `{"schemaVersion":1,"fsLayers":[{}]}`, manifest.ErrInvalid, "fsLayers[0].blobSum: missing"},
		{"a layer of no digest", "", `{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:x"}]}`, manifest.ErrInvalid, "digest"},
		{"BlobSum", "", strings.Replace(doc, "blobSum", "BlobSum", 1), manifest.ErrInvalid, `must be written "blobSum"`},
		{"FSLayers", "", strings.Replace(doc, "fsLayers", "FSLayers", 1), manifest.ErrInvalid, `must be written "fsLayers"`},
		{"Tag", "", strings.Replace(doc, "tag", "Tag", 1), manifest.ErrInvalid, `must be written "tag"`},
		{"two tags", "", strings.Replace(doc, "name", "tag", 1), manifest.ErrInvalid, "stands twice"},
		{"a config", "", strings.Replace(doc, "{", `{"config":{},`, 1), manifest.ErrInvalid, "config: not a member"},
		{"manifests", "", strings.Replace(doc, "{", `{"manifests":[],`, 1), manifest.ErrInvalid, "manifests: not a member"},
		{"a tag that is a number", "", strings.Replace(doc, `"1.0"`, `1`, 1), manifest.ErrInvalid, "tag: unexpected number"},

		{"no signatures", "", signed(doc), manifest.ErrInvalid, "signatures: of 0 documents"},
		{"signatures null", "", strings.Replace(signed(doc), "[]\n}", "null\n}", 1), manifest.ErrInvalid, "signatures: of 0 documents"},
		{"signatures a string", "", strings.Replace(signed(doc), "[]\n}", "\"x\"\n}", 1), manifest.ErrInvalid, "signatures: not an array"},
		{"Signatures", "", strings.Replace(signed(doc, good), "signatures", "Signatures", 1), manifest.ErrInvalid, `must be written "signatures"`},
		{"Protected", "", strings.Replace(signed(doc, good), "protected", "Protected", 1), manifest.ErrInvalid, `must be written "protected"`},
		{"of two documents", "", signed(doc, good, signature(protected(n, "\n }"))), manifest.ErrInvalid, "of 2 documents"},
		{"of two lengths", "", signed(doc, good, signature(protected(n-1, "\n}")), good), manifest.ErrInvalid, "of 3 documents"},
		{"of another document", "", signed(doc, signature(protected(n, ",\n\"name\": \"b\"}"))), manifest.ErrInvalid, "stands twice"},
		{"of a longer document", "", signed(doc, signature(protected(n, ",\n\"more\": \"b\"}"))), manifest.ErrInvalid, "of another document"},
		{"of a shorter document", "", signed(doc, signature(protected(strings.Index(doc, ",\n   \"history"), "\n}"))), manifest.ErrInvalid, "of another document"},
		{"of no document", "", signed(doc, signature(protected(n, ""))), manifest.ErrInvalid, "not of a document"},
		{"of a list", "", signed(doc, signature(protected(1, "}]"))), manifest.ErrInvalid, "not of a document"},
		{"longer than the document", "", signed(doc, signature(protected(100_000, "\n}"))), manifest.ErrInvalid, "signatures[0].protected"},
		{"of a negative length", "", signed(doc, signature(protected(-1, "\n}"))), manifest.ErrInvalid, "signatures[0].protected"},
		{"no header", "", signed(doc, `{}`), manifest.ErrInvalid, "signatures[0].protected"},
		{"header of no base64", "", signed(doc, signature("a b")), manifest.ErrInvalid, "signatures[0].protected"},
		{"header of no object", "", bad(`[]`), manifest.ErrInvalid, "signatures[0].protected"},
		{"header of two lengths", "", bad(fmt.Sprintf(`{"formatLength":%d,"formatTail":"Cn0","formatLength":5}`, n)), manifest.ErrInvalid, "signatures[0].protected"},
		{"header of another case", "", bad(fmt.Sprintf(`{"FormatLength":%d,"formatTail":"Cn0"}`, n)), manifest.ErrInvalid, "signatures[0].protected"},
		{"tail of no base64", "", bad(fmt.Sprintf(`{"formatLength":%d,"formatTail":"!"}`, n)), manifest.ErrInvalid, "formatTail"},
	} {
		m, err := manifest.Parse(tt.sent, []byte(tt.body))
		if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %+v, %v; want %v with %q\n%s", tt.what, m, err, tt.err, tt.says, tt.body)
		}
	}
}
