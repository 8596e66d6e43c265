package instrument

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryWriteGoesByTheRecorder(t *testing.T) {
	home, err := goList(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	texts, err := altered(home)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, text := range texts {
		n += strings.Count(text, "recorder(db.file)")
	}
	if n != 4 {
		t.Errorf("bbolt calls the recorder in %d places, want 4", n)
	}
}

// A bbolt that writes otherwise than the one that is known fails the build.
func TestAnotherBboltIsRefused(t *testing.T) {
	home, err := goList(t.Context(), "..")
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(string) string{
		func(s string) string { return strings.ReplaceAll(s, "db.file.Sync()", "db.file.SyncAll()") },
		func(s string) string { return s + "\nfunc again(db *DB) { err := db.file.Sync(); _ = err }\n" },
		func(s string) string { return s + "\nfunc past(db *DB) { db.file.WriteAt(nil, 0) }\n" },
	} {
		dir := t.TempDir()
		for _, name := range []string{"db.go", "bolt_linux.go"} {
			text, err := os.ReadFile(filepath.Join(home, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(change(string(text))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := altered(dir); err == nil {
			t.Error("a bbolt that is not the one that is known was taken")
		}
	}
}
