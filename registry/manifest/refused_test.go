package manifest_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
)

// image is the JSON of an OCI manifest with more members behind its own.
func image(more string) string {
	return `{"schemaVersion":2,"config":` + desc(configType, "config") + `,"layers":[` + desc(layerType, "layer") + `]` + more + `}`
}

// layered is the JSON of an OCI manifest whose second layer is given.
func layered(layer string) string {
	return `{"schemaVersion":2,"config":` + desc(configType, "config") + `,"layers":[` + desc(layerType, "layer") + `,` + layer + `]}`
}

const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, contentType, body string
		err                     error
		says                    string // part of the error's text
	}{
		{"empty", ociManifest, ``, manifest.ErrNotJSON, "byte 0"},
		{"not JSON", ociManifest, `{"schemaVersion":2,}`, manifest.ErrNotJSON, "byte 20"},
		{"cut off", ociManifest, image("")[:100], manifest.ErrNotJSON, "unexpected end"},
		{"byte order mark", ociManifest, "\ufeff" + image(""), manifest.ErrNotJSON, "byte 1"},
		{"trailing garbage", ociManifest, image("") + "x", manifest.ErrNotJSON, "after top-level value"},
		{"two documents", ociManifest, image("") + image(""), manifest.ErrNotJSON, "after top-level value"},
		{"trailing NUL", ociManifest, image("") + "\x00", manifest.ErrNotJSON, "after top-level value"},
		{"bad UTF-8 in a value", ociManifest, image(",\"x\":\"\xff\""), manifest.ErrNotJSON, "UTF-8"},
		{"bad UTF-8 in a name", ociManifest, image(",\"layer\xc5\":1"), manifest.ErrNotJSON, "UTF-8"},
		{"UTF-16", ociManifest, "{\x00}\x00", manifest.ErrNotJSON, "byte 2"},
		{"33 deep", ociManifest, image(`,"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32)), manifest.ErrNotJSON, "nested"},
		{"array", ociManifest, `[` + image("") + `]`, manifest.ErrInvalid, "not an object"},
		{"null", ociManifest, ` null `, manifest.ErrInvalid, "not an object"},
		{"string", ociManifest, `"{}"`, manifest.ErrInvalid, "not an object"},

		{"layers twice", ociManifest, image(`,"layers":[]`), manifest.ErrInvalid, `"layers" stands twice`},
		{"mediaType twice", ociManifest, image(`,"mediaType":"` + ociManifest + `","mediaType":"` + ociIndex + `"`), manifest.ErrInvalid, `"mediaType" stands twice`},
		{"twice, once with an escape", ociManifest, image(`,"l\u0061yers":[]`), manifest.ErrInvalid, `"layers" stands twice`},
		{"digest twice", ociManifest, layered(desc(layerType, "a", `"digest":"sha256:`+hex+`"`)), manifest.ErrInvalid, `"digest" stands twice`},
		{"annotation twice", ociManifest, image(`,"annotations":{"a":"b","c":"d","a":"b"}`), manifest.ErrInvalid, `"a" stands twice`},
		{"Layers", ociManifest, image(`,"Layers":[]`), manifest.ErrInvalid, `must be written "layers"`},
		{"mediatype", ociManifest, image(`,"mediatype":"` + ociIndex + `"`), manifest.ErrInvalid, `must be written "mediaType"`},
		{"manifeſts", ociManifest, image(`,"manifeſts":[]`), manifest.ErrInvalid, `must be written "manifests"`},
		{"Digest", ociManifest, layered(desc(layerType, "a", `"Digest":"sha256:`+hex+`"`)), manifest.ErrInvalid, `must be written "digest"`},
		{"URLs of the config", dockerManifest, `{"schemaVersion":2,"config":` + desc(configType, "c", `"URLs":[]`) + `,"layers":[]}`, manifest.ErrInvalid, `must be written "urls"`},
		{"SIZE in an unknown type's subject", unknown, `{"subject":` + desc(ociManifest, "c", `"SIZE":1`) + `}`, manifest.ErrInvalid, `must be written "size"`},

		{"image and index", ociManifest, image(`,"manifests":[]`), manifest.ErrInvalid, "both config and manifests"},
		{"image and index, null", ociManifest, image(`,"manifests":null`), manifest.ErrInvalid, "both config and manifests"},
		{"index and image", ociIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`, manifest.ErrInvalid, "both layers and manifests"},
		{"unknown type, image and index", unknown, `{"manifests":[],"layers":[]}`, manifest.ErrInvalid, "both layers and manifests"},
		{"manifests as an image", ociManifest, `{"schemaVersion":2,"manifests":[]}`, manifest.ErrInvalid, "manifests: not a member of " + ociManifest},
		{"manifests as a Docker image", dockerManifest, `{"schemaVersion":2,"manifests":[]}`, manifest.ErrInvalid, "manifests: not a member"},
		{"layers as an index", ociIndex, `{"schemaVersion":2,"layers":[]}`, manifest.ErrInvalid, "layers: not a member"},
		{"config as a list", dockerList, `{"schemaVersion":2,"config":{}}`, manifest.ErrInvalid, "config: not a member"},
		{"layers as an artifact", ociArtifact, `{"layers":[]}`, manifest.ErrInvalid, "layers: not a member"},
		{"fsLayers as an image", ociManifest, image(`,"fsLayers":[]`), manifest.ErrInvalid, "fsLayers: not a member"},

		{"schema 1 as schema 2", dockerManifest, `{"schemaVersion":1,"fsLayers":[]}`, manifest.ErrUnsupported, "schema 1"},

		{"no schemaVersion", ociIndex, `{"manifests":[]}`, manifest.ErrInvalid, "schemaVersion: 0, want 2"},
		{"schemaVersion 3", ociIndex, `{"schemaVersion":3,"manifests":[]}`, manifest.ErrInvalid, "schemaVersion: 3, want 2"},
		{"schemaVersion as a string", ociIndex, `{"schemaVersion":"2","manifests":[]}`, manifest.ErrInvalid, ": schemaVersion: unexpected string"},
		{"no config", ociManifest, `{"schemaVersion":2,"layers":[]}`, manifest.ErrInvalid, "config: missing"},
		{"config null", ociManifest, `{"schemaVersion":2,"config":null,"layers":[]}`, manifest.ErrInvalid, "config.mediaType: missing"},
		{"no manifests", ociIndex, `{"schemaVersion":2}`, manifest.ErrInvalid, "manifests: missing"},
		{"mediaType a number", ociIndex, `{"schemaVersion":2,"mediaType":2,"manifests":[]}`, manifest.ErrInvalid, "mediaType: not a string"},
		{"layers a string", ociManifest, `{"schemaVersion":2,"config":` + desc(configType, "c") + `,"layers":"x"}`, manifest.ErrInvalid, "layers: unexpected string"},
		{"annotation a number", ociManifest, image(`,"annotations":{"a":1}`), manifest.ErrInvalid, "annotations: unexpected number"},
		{"artifactType a list", ociManifest, image(`,"artifactType":[]`), manifest.ErrInvalid, "artifactType: unexpected array"},
		{"subject without members", ociManifest, image(`,"subject":{}`), manifest.ErrInvalid, "subject.mediaType: missing"},
		{"subject a string", ociIndex, `{"schemaVersion":2,"manifests":[],"subject":"x"}`, manifest.ErrInvalid, "subject: unexpected string"},

		{"layer null", ociManifest, layered(`null`), manifest.ErrInvalid, "layers[1].mediaType: missing"},
		{"layer a number", ociManifest, layered(`7`), manifest.ErrInvalid, "layers: unexpected number"},
		{"layer without media type", ociManifest, layered(`{"digest":"sha256:` + hex + `","size":1}`), manifest.ErrInvalid, "layers[1].mediaType: missing"},
		{"layer without digest", ociManifest, layered(`{"mediaType":"a/b","size":1}`), manifest.ErrInvalid, "layers[1].digest: "},
		{"digest in upper case", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + strings.ToUpper(hex) + `","size":1}`), manifest.ErrInvalid, "layers[1].digest: "},
		{"digest too short", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:0123","size":1}`), manifest.ErrInvalid, "layers[1].digest: "},
		{"sha384", ociManifest, layered(`{"mediaType":"a/b","digest":"sha384:` + hex + hex[:32] + `","size":1}`), manifest.ErrInvalid, "layers[1].digest: "},
		{"md5", ociManifest, layered(`{"mediaType":"a/b","digest":"md5:` + hex[:32] + `","size":1}`), manifest.ErrInvalid, "layers[1].digest: "},
		{"blob of an artifact", orasArtifact, `{"blobs":[{"mediaType":"a/b"}]}`, manifest.ErrInvalid, "blobs[0].digest: "},
		{"child of an index", ociIndex, `{"schemaVersion":2,"manifests":[{"mediaType":"a/b"}]}`, manifest.ErrInvalid, "manifests[0].digest: "},
		{"negative size", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":-1}`), manifest.ErrInvalid, "layers[1].size: -1"},
		{"size as a float", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":1.0}`), manifest.ErrInvalid, "layers.size: unexpected number 1.0"},
		{"size with an exponent", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":1e3}`), manifest.ErrInvalid, "layers.size: "},
		{"size as a string", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":"1"}`), manifest.ErrInvalid, "layers.size: unexpected string"},
		{"size over an int64", ociManifest, layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":9223372036854775808}`), manifest.ErrInvalid, "layers.size: "},
		{"number out of range", ociManifest, image(`,"x":1e999`), manifest.ErrInvalid, "out of range"},
		{"number of 100,000 digits", ociManifest, image(`,"x":-` + strings.Repeat("9", 100_000)), manifest.ErrInvalid, "out of range"},
		{"data that is not base64", ociManifest, layered(desc(layerType, "a", `"data":"*"`)), manifest.ErrInvalid, "base64"},
		{"data without padding", ociManifest, layered(desc(layerType, "a", `"data":"YQ"`)), manifest.ErrInvalid, "base64"},
		{"data in the alphabet of URLs", ociManifest, layered(desc(layerType, "\xfb", `"data":"-w=="`)), manifest.ErrInvalid, "base64"},
		{"data with a line break", ociManifest, layered(desc(layerType, "a", `"data":"YQ\n=="`)), manifest.ErrInvalid, "data: "},
		{"data an array of bytes", ociManifest, layered(desc(layerType, "a", `"data":[97]`)), manifest.ErrInvalid, "data: not a string"},
		{"data an object", ociManifest, layered(desc(layerType, "a", `"data":{}`)), manifest.ErrInvalid, "data: not a string"},
		{"data a number", ociManifest, layered(desc(layerType, "a", `"data":1`)), manifest.ErrInvalid, "layers.data: unexpected number"},
		{"data of other content", ociManifest, layered(desc(layerType, "a", `"data":"Yg=="`)), manifest.ErrInvalid, "layers[1].data: not of the digest"},
		{"data of another size", ociManifest, layered(desc(layerType, "a", `"data":"YWE="`)), manifest.ErrInvalid, "layers[1].data: 2 bytes, size says 1"},
		{"empty data of content that is not", ociManifest, layered(desc(layerType, "a", `"data":""`)), manifest.ErrInvalid, "layers[1].data: 0 bytes"},
		{"data of the config", ociManifest, `{"schemaVersion":2,"config":` + desc(configType, "c", `"data":"Yg=="`) + `,"layers":[]}`, manifest.ErrInvalid, "config.data: not of the digest"},
		{"data of the config of a Docker image", dockerManifest, `{"schemaVersion":2,"config":` + desc(configType, "c", `"data":"Yg=="`) + `,"layers":[]}`, manifest.ErrInvalid, "config.data: not of the digest"},
		{"data of the subject", ociIndex, `{"schemaVersion":2,"manifests":[],"subject":` + desc(ociManifest, "c", `"data":"Yg=="`) + `}`, manifest.ErrInvalid, "subject.data: not of the digest"},
		{"data of a child", ociIndex, `{"schemaVersion":2,"manifests":[` + desc(ociManifest, "c", `"data":"Yg=="`) + `]}`, manifest.ErrInvalid, "manifests[0].data: not of the digest"},
		{"data of a blob", ociArtifact, `{"blobs":[` + desc(layerType, "c", `"data":"Yg=="`) + `]}`, manifest.ErrInvalid, "blobs[0].data: not of the digest"},
	}
	for _, tt := range tests {
		m, err := manifest.Parse(tt.contentType, []byte(tt.body))
		if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %+v, %v; want %v with %q", tt.name, m, err, tt.err, tt.says)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: an error of %d bytes", tt.name, len(err.Error()))
		}
	}
}

// TestParseTakes are documents near the limits.
func TestParseTakes(t *testing.T) {
	tests := []struct{ name, body string }{
		{"32 deep", image(`,"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31))},
		{"large numbers", image(`,"x":[1e308,-1E+308,0.` + strings.Repeat("1", 100_000) + `]`)},
		{"40,000 elements", image(`,"x":[0` + strings.Repeat(",0", 39_999) + `]`)},
		{"largest size", layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":9223372036854775807}`)},
		{"data", layered(desc(layerType, "a", `"data":"YQ=="`))},
		{"data with slashes that are escaped", layered(desc(layerType, "\xff\xff\xff", `"data":"\/\/\/\/"`))},
		{"data with an escape", layered(desc(layerType, "a", `"data":"\u0059Q=="`))},
		{"data of nothing", layered(desc(layerType, "", `"data":""`))},
		{"null as data", layered(desc(layerType, "a", `"data":null`))},
		{"data of a sha512 digest", layered(`{"mediaType":"a/b","digest":"` + digest.FromBytes(digest.SHA512, []byte("a")).String() + `","size":1,"data":"YQ=="}`)},
		{"an array behind data", layered(desc(layerType, "a", `"data":"YQ=="`, `"urls":["http://localhost"]`))},
		{"data among annotations", image(`,"annotations":{"data":"*"}`)},
		{"a megabyte of annotations", image(`,"annotations":{"a":"` + strings.Repeat("é", 1<<19) + `"}`)},
		{"quotes and brackets in strings", image(`,"x":"\\\"]}{[,:\u0022"`)},
		{"the same name in several objects", image(`,"x":[{"a":1},{"a":1,"b":{"a":1}}]`)},
		{"names that differ by case among strangers", image(`,"x":{"a":1,"A":2},"annotations":{"MediaType":"","mediaType":""}`)},
	}
	for _, tt := range tests {
		if _, err := manifest.Parse(ociManifest, []byte(tt.body)); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// size is that of the hostile documents, more or less.
const size = 256 << 10

// fill repeats s to that size.
func fill(s string) string { return strings.Repeat(s, size/len(s)) }

// hostile are documents that cost more to read than others.
var hostile = map[string]string{
	"nested arrays":             fill(`[`),
	"nested, well-formed":       image(`,"x":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2)),
	"nested 100,000 deep":       image(`,"x":` + strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000)),
	"100,000 numbers as layers": layered(fill(`0,`) + `0`),
	"empty layers":              layered(fill(`{},`) + `{}`),
	"a long array":              image(`,"x":[` + fill(`0,`) + `0]`),
	"one number":                image(`,"x":` + fill(`9`)),
	"one string":                image(`,"x":"` + fill(`\u0041`) + `"`),
	"names":                     image(`,"x":{` + numbered() + `"":0}`),
	"objects":                   image(`,"x":[` + strings.Repeat(`[`+strings.Repeat(`{"a":0},`, 1000)+`0],`, 25) + `0]`),
	"one long name":             image(`,"` + fill(`L`) + `":1`),
	"long digest":               layered(`{"mediaType":"a/b","digest":"sha256:` + fill(`A`) + `"}`),
	"long media type":           `{"mediaType":"` + fill(`a`) + `"}`,
	"bad at the end":            image(`,"x":"` + fill(`a`) + "\xff\""),
	"data":                      layered(`{"mediaType":"a/b","digest":"sha256:` + hex + `","size":1,"data":"` + fill(`YWFh`) + `"}`),
	"real layers":               strings.TrimSuffix(image(""), "]}") + strings.Repeat(","+desc(layerType, "a"), 1_500) + "]}",
}

// numbered are 25,000 names, each once.
func numbered() string {
	var b strings.Builder
	for i := range 25_000 {
		b.WriteByte('"')
		for n := i; n >= 0; n = n/64 - 1 {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[n%64])
		}
		b.WriteString(`":0,`)
	}
	return b.String()
}

// TestHostileDocumentsCostLittle holds what is allocated, which is the same in
// each run, against the size of the document.
func TestHostileDocumentsCostLittle(t *testing.T) {
	for name, body := range hostile {
		document := []byte(body)
		for _, contentType := range []string{ociManifest, unknown} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := manifest.Parse(contentType, document)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 16*size {
				t.Errorf("%s as %s: %d KiB allocated for %d KiB (%v)", name, contentType, got>>10, len(body)>>10, err)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("%s as %s: an error of %d bytes", name, contentType, len(err.Error()))
			}
		}
	}
}
