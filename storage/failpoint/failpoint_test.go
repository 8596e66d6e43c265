package failpoint_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/storage/failpoint"
)

func TestPointsDiffer(t *testing.T) {
	seen := map[failpoint.Point]bool{}
	for _, p := range failpoint.All() {
		if seen[p] || p == "" {
			t.Errorf("%q is there twice, or has no name", p)
		}
		seen[p] = true
	}
}

// TestReleaseHasNone builds the program as a release is built and looks for every
// point in it, and in one with the tag to see that they can be found.
func TestReleaseHasNone(t *testing.T) {
	for _, tt := range []struct {
		tags string
		want bool
	}{{"", false}, {"failpoints", true}} {
		name := filepath.Join(t.TempDir(), "berth")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-w", "-tags", tt.tags, "-o", name, "../../cmd/berth")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` has it, which compiles less then
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		binary, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range failpoint.All() {
			if bytes.Contains(binary, []byte(p)) != tt.want {
				t.Errorf("built with tags %q the program has the point %q: %t", tt.tags, p, !tt.want)
			}
		}
	}
}
