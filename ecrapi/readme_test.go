package ecrapi_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/ecrapi"
)

// The README's table of operations says what is true.
func TestReadmeTellsWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (yes|not yet) \\|").FindAllSubmatch(text, -1) {
		told[string(row[1])] = string(row[2]) == "yes"
	}
	want := map[string]bool{}
	for _, op := range ecrapi.Operations() {
		want[op.Name] = true
		if _, known := built[op.Name]; !known {
			t.Errorf("the tests do not know %s", op.Name)
		}
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("README (-is +says):\n%s", diff)
	}
}
