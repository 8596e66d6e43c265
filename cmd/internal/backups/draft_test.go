package backups

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

func write(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// names are what a folder holds.
func names(t testing.TB, path string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// TestDraftOfOneWhoDied is emptied, and takes its place whole or not at all.
func TestDraftOfOneWhoDied(t *testing.T) {
	root := t.TempDir()
	final := filepath.Join(root, "data")
	if err := os.Mkdir(final, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, ".data.restoring", "blobs", "half"))
	d, err := newDraft(final)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newDraft(final); err == nil {
		t.Error("two restore into one folder")
	}
	if got := names(t, d.path); len(got) != 0 {
		t.Errorf("the draft holds %q of another", got)
	}
	write(t, filepath.Join(d.path, "format"))
	if got := names(t, final); len(got) != 0 {
		t.Errorf("the folder holds %q before its time", got)
	}
	if err := d.publish(); err != nil {
		t.Fatal(err)
	}
	if err := d.remove(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, root); len(got) != 1 || got[0] != "data" {
		t.Errorf("the folder above holds %q", got)
	}
}

// TestDraftInside is that of a folder whose place cannot be taken.
func TestDraftInside(t *testing.T) {
	final := filepath.Join(t.TempDir(), "data")
	d := &draft{final: final, path: datadir.DraftIn(final), inside: true}
	for _, name := range []string{"format", "index.db", "blobs/00/x"} {
		write(t, filepath.Join(d.path, name))
	}
	if err := d.take(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"format", "index.db", "blobs/00/x"} {
		write(t, filepath.Join(d.path, name))
	}
	if err := d.publish(); err != nil {
		t.Fatal(err)
	}
	if err := d.remove(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, final); len(got) != 3 {
		t.Errorf("the folder holds %q", got)
	}
}

func TestFailedDraftLeavesNothing(t *testing.T) {
	root := t.TempDir()
	d, err := newDraft(filepath.Join(root, "data"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(d.path, "blobs", "x"))
	if err := d.remove(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, root); len(got) != 0 {
		t.Errorf("%q are left", got)
	}
}
