package jsondoc_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/jsondoc"
)

func TestRead(t *testing.T) {
	got, err := jsondoc.Read(` {"b": [1, 2.5, "x", true, null], "a": {}} `)
	if err != nil {
		t.Fatal(err)
	}
	want := &jsondoc.Object{Names: []string{"b", "a"}, Values: map[string]any{
		"b": []any{json.Number("1"), json.Number("2.5"), "x", true, nil}, "a": &jsondoc.Object{Values: map[string]any{}},
	}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var names []string
	for _, v := range want.Values["b"].([]any) {
		names = append(names, jsondoc.TypeName(v))
	}
	names = append(names, jsondoc.TypeName(want), jsondoc.TypeName(want.Values["b"]))
	if diff := cmp.Diff([]string{"integer", "number", "string", "boolean", "null", "object", "array"}, names); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "{", "{} {}", `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, "\"\xff\"", "[1,]", "nul", strings.Repeat("[", 17) + strings.Repeat("]", 17)} {
		if v, err := jsondoc.Read(bad); err == nil {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}
