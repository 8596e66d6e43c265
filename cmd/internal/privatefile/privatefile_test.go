package privatefile_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// holds checks a file's text and mode, and that nothing else is in its folder.
func holds(t testing.TB, path, want string, files int) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != files {
		t.Errorf("beside %s are %v, %v", path, list, err)
	}
}

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "file")
	for _, text := range []string{"one", "another", ""} {
		if err := privatefile.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		holds(t, path, text, 1)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the folder %v, %v", info.Mode(), err)
	}
}

func TestWriteMakesAFilePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.Write(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "new", 1)
}

func TestWriteFollowsALink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.Write(link, []byte("new")); err != nil {
		t.Fatal(err)
	}
	holds(t, real, "new", 2)
	if to, err := os.Readlink(link); err != nil || to != "real" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}

func TestWriteThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.Write(filepath.Join(dir, "taken"), []byte("x")); err == nil {
		t.Error("a folder was written over")
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("left are %v, %v", list, err)
	}
}

// TestWriteKeepsTheOwner says something where root runs it: nobody else can
// give files away.
func TestWriteKeepsTheOwner(t *testing.T) {
	path, owner := filepath.Join(t.TempDir(), "file"), os.Geteuid()
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if owner == 0 {
		owner = 12345
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := privatefile.Write(path, []byte("new")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Sys().(*syscall.Stat_t).Uid; int(got) != owner {
		t.Errorf("the owner is %d, want %d", got, owner)
	}
}
