package ecrapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

// FuzzRequest sends anything to any operation: the answer is always JSON, and
// never the server's fault.
func FuzzRequest(f *testing.F) {
	ops := slices.Sorted(maps.Keys(shape.Operations))
	for i, op := range ops {
		if in, ok := built[op]; ok {
			j, err := json.Marshal(in)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), string(j))
		}
	}
	f.Add(uint8(0), `{"repositoryName":"app","tags":[{"Key":"\ud800"}]}`)
	f.Add(uint8(7), `{"repositoryName":"app","encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"arn:aws:kms:::"}}`)
	f.Add(uint8(9), `{"a":[[[[{}]]]],"maxResults":-9223372036854775809}`)
	b := open(f)
	b.repository("app")
	b.image("app", "layer", "1")
	f.Fuzz(func(t *testing.T, n uint8, body string) {
		b := b.in(t)
		op := ops[int(n)%len(ops)]
		w := b.send(request{target: targetPrefix + op, body: body})
		if w.Code != 200 && w.Code != 400 && w.Code != 413 {
			t.Errorf("%s %q: %d %s", op, body, w.Code, w.Body)
		}
		var out obj
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Errorf("%s %q: %s: %v", op, body, w.Body, err)
		}
		if w.Code != 200 && (out["__type"] == nil || out["message"] == nil) {
			t.Errorf("%s %q: %d %s", op, body, w.Code, w.Body)
		}
	})
}

// FuzzPart writes a part in any way, beside anything, and holds what is taken
// for it against what package json reads there.
func FuzzPart(f *testing.F) {
	f.Add(`1`, `"AAAA"`)
	f.Add(`"\"}{"`, `"\/+\u00388="`)
	f.Add(`[{"layerPartBlob":"AAAA"},":"]`, `["AAAA"]`)
	f.Add(`{"layerPartBlob":"AAAA"}`, `"AA\u003d="`)
	f.Add(`0`, `"AAAA","layerP\u0061rtBlob":"BBBB"`)
	f.Add(`0,"layerPartBlob":"AAAA"`, `null`)
	f.Add(`0`, `"AAAA" "AAAA"`)
	b := open(f, func(s *setup) { s.registry.Limits = registry.Limits{Uploads: math.MaxInt} })
	b.repository("app")
	f.Fuzz(func(t *testing.T, other, blob string) {
		b := b.in(t)
		if len(other)+len(blob) > 1<<10 {
			return
		}
		begin := `{"x":` + other + `,"layerPartBlob":` + blob
		var members map[string]json.RawMessage
		valid := utf8.ValidString(begin) && json.Unmarshal([]byte(begin+"}"), &members) == nil
		want, ok := decoded(members["layerPartBlob"])
		id := b.start("app")
		w := b.send(request{target: targetPrefix + "UploadLayerPart", body: begin + fmt.Sprintf(
			`,"registryId":null,"repositoryName":"app","uploadId":%q,"partFirstByte":0,"partLastByte":%d}`, id, max(len(want)-1, 0))})
		right := valid && ok && want != ""
		// Of several parts the last one counts, but one before it may be refused.
		one := json.Valid([]byte(other)) && json.Valid([]byte(blob))
		if w.Code != 400 && !right || w.Code != 200 && right && one {
			t.Errorf("%s: %d %s", begin, w.Code, w.Body)
		}
		if w.Code != 200 {
			return
		}
		w = b.send(request{target: targetPrefix + "CompleteLayerUpload",
			body: b.encode(obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum(want)}})})
		if out := b.decode(w.Body.Bytes()); w.Code != 200 && out["__type"] != "LayerAlreadyExistsException" {
			t.Errorf("%s is not %q: %s", begin, want, w.Body)
		}
	})
}

// decoded is the base64 in a JSON string, ok if it is that.
func decoded(raw json.RawMessage) (content string, ok bool) {
	var s *string
	if json.Unmarshal(raw, &s) != nil || s == nil || strings.ContainsAny(*s, "\r\n") { // which package base64 passes over
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(*s)
	return string(b), err == nil
}
