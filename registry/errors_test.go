package registry_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

// declaredCodes reads the constants of type Code from the source.
func declaredCodes(t *testing.T) (codes []registry.Code) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	must(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			must(t, err)
			codes = append(codes, registry.Code(s))
		}
		return true
	})
	return codes
}

func TestCodesAreAll(t *testing.T) {
	declared := declaredCodes(t)
	if diff := cmp.Diff(declared, registry.Codes()); diff != "" {
		t.Errorf("codes (-declared +listed):\n%s", diff)
	}
	slices.Sort(declared)
	if n := len(slices.Compact(slices.Clone(declared))); n != len(declared) || n == 0 {
		t.Errorf("%d codes, %d of them different", len(declared), n)
	}
}

func TestCodeOf(t *testing.T) {
	refusal := &registry.Error{Code: registry.TagImmutable, Msg: "it is immutable"}
	tests := []struct {
		err  error
		want registry.Code
	}{
		{nil, ""},
		{errors.New("broken disk"), ""},
		{refusal, registry.TagImmutable},
		{fmt.Errorf("push: %w", refusal), registry.TagImmutable},
		{errors.Join(errors.New("broken disk"), refusal), registry.TagImmutable},
	}
	for _, tt := range tests {
		if got := registry.CodeOf(tt.err); got != tt.want {
			t.Errorf("CodeOf(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
	if refusal.Error() != "it is immutable" {
		t.Errorf("a refusal says %q", refusal)
	}
}
