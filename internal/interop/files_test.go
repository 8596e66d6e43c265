package interop_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// makeFile writes a file and the folders that it lies in.
func makeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sameFile compares a file that came back with what went in.
func sameFile(t *testing.T, path, want string) {
	t.Helper()
	if got := string(readFile(t, path)); got != want {
		t.Errorf("%s came back as %d other bytes, want %d", filepath.Base(path), len(got), len(want))
	}
}

// decode decodes what a program printed.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func digestOfBytes(content []byte) string { return digest.FromBytes(content).String() }

// tagsOf are the tags of a repository, in the order that the server lists them.
func tagsOf(t *testing.T, s *harness.Server, repo string) []string {
	t.Helper()
	tags, err := s.OCI(t).Tags(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	return tags
}
