package manifest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

func FuzzParse(f *testing.F) {
	for _, body := range []string{
		image(""), image(`,"subject":` + desc(ociManifest, "s")), layered("null"), `{}`, "\ufeff{}",
		layered(desc(layerType, "a", `"data":"YQ=="`)), layered(desc(layerType, "a", `"data":[97]`)),
		`{"schemaVersion":2,"manifests":[` + desc(ociManifest, "child", `"platform":{"os":"linux"}`) + `]}`,
		`{"schemaVersion":2,"mediaType":"` + dockerList + `","manifests":[]}`,
		schema1("1.0", "a"), signed(schema1("1.0", "a", "a"), signature(protected(len(schema1("1.0", "a", "a"))-2, "\n}"))),
		`{"blobs":[` + desc(layerType, "b") + `]}`, `{"m\u0065diaType":"a/b"}`, `{"\ud800":1,"\udfff":1}`,
	} {
		for _, contentType := range []string{"", ociManifest, ociIndex, dockerManifest, dockerList, ociArtifact, unknown, plain1, signed1} {
			f.Add(contentType, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := manifest.Parse(contentType, body)
		if err != nil {
			if diff := cmp.Diff(manifest.Manifest{}, m); diff != "" {
				t.Errorf("a refused document gave\n%s", diff)
			}
			return
		}
		// A stored manifest is read again by the type that it was given.
		again, err := manifest.Parse(m.MediaType, body)
		if err != nil {
			t.Fatalf("accepted, but as %q: %v", m.MediaType, err)
		}
		if diff := cmp.Diff(m, again, sameDigest); diff != "" {
			t.Errorf("read again (-first +second):\n%s", diff)
		}
		if text, err := manifest.Digested(m.MediaType, body); err != nil || m.MediaType != signed1 && string(text) != string(body) {
			t.Errorf("the digest of %q is of %q, %v", body, text, err)
		}
		checkReferences(t, m)
		checkReadings(t, m, body)
	})
}

// checkReferences holds every reference against what is promised of it.
func checkReferences(t *testing.T, m manifest.Manifest) {
	refs := append(append([]manifest.Descriptor{}, m.Layers...), m.Manifests...)
	for _, d := range []*manifest.Descriptor{m.Config, m.Subject} {
		if d != nil {
			refs = append(refs, *d)
		}
	}
	for _, d := range refs {
		if _, err := digest.Parse(d.Digest.String()); err != nil || d.Size < 0 || d.MediaType == "" {
			t.Errorf("accepted a reference that is none: %+v", d)
		}
	}
	if len(m.Manifests) > 0 && (m.Config != nil || len(m.Layers) > 0) {
		t.Errorf("accepted as image and index: %+v", m)
	}
}

// checkReadings holds what was read against a reader that tells names apart by
// their bytes.
func checkReadings(t *testing.T, m manifest.Manifest, body []byte) {
	var plain map[string]any
	if err := json.Unmarshal(body, &plain); err != nil {
		t.Fatalf("accepted what is no JSON object: %v", err)
	}
	if own, ok := plain["mediaType"].(string); ok && own != "" && own != m.MediaType {
		t.Errorf("mediaType is %q, read %q", own, m.MediaType)
	}
	for name, got := range map[string]int{"manifests": len(m.Manifests), "layers": len(m.Layers)} {
		if list, _ := plain[name].([]any); m.IsIndex() == (name == "manifests") && isOurs(m.MediaType) && len(list) != got {
			t.Errorf("%s has %d elements, read %d", name, len(list), got)
		}
	}
	if isOurs(m.MediaType) {
		checkData(t, plain["config"], plain["subject"], plain["layers"], plain["manifests"])
	}
}

// checkData: embedded data is what the descriptor's digest and size say.
func checkData(t *testing.T, values ...any) {
	for _, value := range values {
		switch v := value.(type) {
		case []any:
			checkData(t, v...)
		case map[string]any:
			if v["data"] == nil {
				continue
			}
			text, _ := v["data"].(string)
			content, err := base64.StdEncoding.DecodeString(text)
			want, _ := digest.Parse(fmt.Sprint(v["digest"]))
			if err != nil || !want.Matches(content) || v["size"] != float64(len(content)) || strings.ContainsAny(text, "\r\n") {
				t.Errorf("accepted data that is not its content: %v", v)
			}
		}
	}
}

// isOurs says that a type has layers or manifests, and nothing may be missed.
func isOurs(mediaType string) bool {
	switch mediaType {
	case ociManifest, ociIndex, dockerManifest, dockerList:
		return true
	}
	return false
}

func BenchmarkParse(b *testing.B) {
	documents := map[string]string{"image of 2 layers": layered(desc(layerType, "a"))}
	for _, name := range []string{"real layers", "names", "objects", "100,000 numbers as layers"} {
		documents[name] = hostile[name]
	}
	for name, body := range documents {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = manifest.Parse(ociManifest, []byte(body))
			}
		})
	}
}
