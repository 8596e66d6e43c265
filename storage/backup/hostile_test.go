package backup_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/backup"
)

// target makes a folder with a few backups, and copies of it at will.
func target(t *testing.T) (original map[string]string, copyOf func(t testing.TB) *backup.Folder) {
	s, to := newStore(t), folder(t)
	s.add("first")
	s.add("second")
	s.backUp(to)
	s.add("third")
	o := s.options(to)
	o.Secrets = []byte("sealed keys")
	_, err := backup.Make(t.Context(), o)
	must(t, err)
	s.add("fourth")
	s.records(to)
	original = files(t, to.Path())
	return original, func(t testing.TB) *backup.Folder {
		f := folder(t)
		for name, content := range original {
			write(t, filepath.Join(f.Path(), name), content)
		}
		return f
	}
}

// wholeOrRefused restores the last state: it is right, or refused with a reason.
func wholeOrRefused(t *testing.T, what string, from *backup.Folder, want int) {
	t.Helper()
	got, _, err := restored(t, from, backup.Wanted{})
	if err == nil {
		if len(got) != want {
			t.Errorf("%s: restored with %d rows, want %d, or an error", what, len(got), want)
		}
		return
	}
	for _, reason := range []error{backup.ErrDamaged, backup.ErrForeign, backup.ErrNone, backup.ErrNewer, backup.ErrLacking} {
		if errors.Is(err, reason) {
			return
		}
	}
	t.Errorf("%s: %v, which is no refusal", what, err)
}

// TestTruncatedAnywhere cuts each file at several places.
func TestTruncatedAnywhere(t *testing.T) {
	original, copyOf := target(t)
	for name, content := range original {
		for _, size := range []int{0, rand.IntN(len(content) + 1), max(len(content)-1, 0)} {
			f := copyOf(t)
			must(t, os.Truncate(filepath.Join(f.Path(), name), int64(min(size, len(content)))))
			wholeOrRefused(t, fmt.Sprintf("%s of %d bytes cut to %d", name, len(content), size), f, 4)
		}
	}
}

// TestChangedAnywhere changes, removes and adds to each file.
func TestChangedAnywhere(t *testing.T) {
	original, copyOf := target(t)
	for name, content := range original {
		path := func(f *backup.Folder) string { return filepath.Join(f.Path(), name) }
		for range 2 {
			if len(content) == 0 {
				break
			}
			bad := []byte(content)
			at := rand.IntN(len(bad))
			bad[at] ^= byte(1 + rand.IntN(255))
			f := copyOf(t)
			write(t, path(f), string(bad))
			wholeOrRefused(t, fmt.Sprintf("%s with another byte at %d", name, at), f, 4)
		}
		f := copyOf(t)
		write(t, path(f), content+"more")
		wholeOrRefused(t, name+" with more behind it", f, 4)
		if strings.HasPrefix(name, "manifests/") {
			continue // without one there is no such backup
		}
		f = copyOf(t)
		must(t, os.Remove(path(f)))
		wholeOrRefused(t, name+" removed", f, 4)
	}
}

// TestTheLastBackupIsMeantOrNone damages the manifest of the last backup: an older one is
// not taken silently in its place.
func TestTheLastBackupIsMeantOrNone(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("first")
	s.backUp(to)
	s.add("second")
	list, err := backup.List(t.Context(), to)
	must(t, err)
	first := list[0].ID
	// A later second in the id says that it is later; what it is otherwise is lost.
	write(t, filepath.Join(to.Path(), "manifests", "29990101T000000Z-01234567"), "{")
	if _, _, err := restored(t, to, backup.Wanted{}); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("restored: %v, want ErrDamaged", err)
	}
	if _, _, err := restored(t, to, backup.Wanted{ID: first}); err != nil {
		t.Errorf("the first by its id: %v", err)
	}
}

// TestForgedManifests are whole by their checksums, and not of the store's key.
func TestForgedManifests(t *testing.T) {
	sum := strings.Repeat("0", 64)
	head := `{"format":1,"id":"20260102T150405Z-01234567","serial":1,"time":"2026-01-02T15:04:05Z","berth":"1","dataFormat":1,"key":"abcd","number":1,"snapshot":{"size":1,"sha256":"` + sum + `"}}`
	total := `{"total":{"blobs":1,"bytes":3}}`
	blob := func(id string, size int) string {
		return fmt.Sprintf(`{"id":%q,"digest":"sha256:%s","size":%d,"sha256":"%s"}`, id, sum, size, sum)
	}
	tests := []struct {
		name  string
		lines []string
		want  error
	}{
		{"a path for an id", []string{head, blob("../../etc/passwd", 3), total}, backup.ErrDamaged},
		{"an absolute path", []string{head, blob("/etc/passwd", 3), total}, backup.ErrDamaged},
		{"an id in capitals", []string{head, blob("AB", 3), total}, backup.ErrDamaged},
		{"no id", []string{head, blob("", 3), total}, backup.ErrDamaged},
		{"a negative size", []string{head, blob("ab", -3), total}, backup.ErrDamaged},
		{"a wrong count", []string{head, total}, backup.ErrDamaged},
		{"no total", []string{head, blob("ab", 3)}, backup.ErrDamaged},
		{"nothing", nil, backup.ErrDamaged},
		{"a line without end", []string{strings.Repeat("x", 1<<20)}, backup.ErrDamaged},
		{"another backup's", []string{strings.Replace(head, "01234567", "76543210", 1), blob("ab", 3), total}, backup.ErrDamaged},
		{"a path for a base", []string{strings.Replace(head, `"snapshot"`, `"base":"../x","records"`, 1), blob("ab", 3), total}, backup.ErrDamaged},
		{"neither snapshot nor base", []string{strings.Replace(head, `"snapshot"`, `"records"`, 1), blob("ab", 3), total}, backup.ErrDamaged},
		{"a newer format", []string{strings.Replace(head, `"format":1`, `"format":2`, 1), blob("ab", 3), total}, backup.ErrNewer},
		{"right but for the key", []string{head, blob("ab", 3), total}, backup.ErrDamaged},
		{"a blob of a terabyte", []string{head, blob("ab", 1<<40), `{"total":{"blobs":1,"bytes":1099511627776}}`}, backup.ErrDamaged},
	}
	for _, tt := range tests {
		f := folder(t)
		write(t, filepath.Join(f.Path(), "berth-backup"), `{"format":1,"key":"abcd"}`)
		text := strings.Join(tt.lines, "\n") + "\n"
		h := sha256.Sum256([]byte(text))
		text += fmt.Sprintf(`{"sha256":"%s","hmac":"%s"}`+"\n", hex.EncodeToString(h[:]), sum)
		write(t, filepath.Join(f.Path(), "manifests", "20260102T150405Z-01234567"), text)
		if _, err := backup.Find(t.Context(), f, backup.Wanted{}, signKey); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if b, err := backup.Find(t.Context(), f, backup.Wanted{}, nil); err == nil { // before the key is known
			if err := b.Check(t.Context()); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("%s: checked without a key: %v", tt.name, err)
			}
		}
	}
}

func TestForeignTargets(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  error
	}{
		{"empty", nil, backup.ErrNone},
		{"somebody's files", map[string]string{"letter.txt": "dear"}, backup.ErrForeign},
		{"a mark that says nothing", map[string]string{"berth-backup": "hello"}, backup.ErrForeign},
		{"a mark of a newer format", map[string]string{"berth-backup": `{"format":2,"key":"x"}`}, backup.ErrNewer},
		{"no backup yet", map[string]string{"berth-backup": `{"format":1,"key":"abcd"}`}, backup.ErrNone},
		{"manifests with strange names", map[string]string{"berth-backup": `{"format":1,"key":"abcd"}`, "manifests/../x": "y", "manifests/a/b": "z"}, backup.ErrNone},
		{"a data folder", map[string]string{"format": "1\n", "keys": "k", "index.db": "x"}, backup.ErrForeign},
	}
	for _, tt := range tests {
		f := folder(t)
		for name, content := range tt.files {
			write(t, filepath.Join(f.Path(), name), content)
		}
		before := files(t, f.Path())
		if _, err := backup.Find(t.Context(), f, backup.Wanted{}, nil); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if errors.Is(tt.want, backup.ErrNone) {
			continue
		}
		if _, err := backup.Make(t.Context(), newStore(t).options(f)); !errors.Is(err, tt.want) {
			t.Errorf("%s: backed up into: %v, want %v", tt.name, err, tt.want)
		}
		if after := files(t, f.Path()); len(after) != len(before) {
			t.Errorf("%s: it holds %d files, had %d", tt.name, len(after), len(before))
		}
	}
}

// TestFilesThatAreNone puts links and pipes in the place of files: they are not followed,
// nor waited for.
func TestFilesThatAreNone(t *testing.T) {
	original, copyOf := target(t)
	secret := filepath.Join(t.TempDir(), "secret")
	list, err := backup.List(t.Context(), copyOf(t))
	must(t, err)
	last := list[len(list)-1].ID
	for name, content := range original {
		if !strings.HasPrefix(name, "blobs/") && name != "berth-backup" && !strings.HasSuffix(name, last) {
			continue
		}
		write(t, secret, content) // even with the right bytes
		for what, put := range map[string]func(string) error{
			"link": func(path string) error { return os.Symlink(secret, path) },
			"pipe": func(path string) error { return syscall.Mkfifo(path, 0o600) },
		} {
			f := copyOf(t)
			path := filepath.Join(f.Path(), name)
			must(t, os.Remove(path))
			must(t, put(path))
			if _, _, err := restored(t, f, backup.Wanted{}); err == nil {
				t.Errorf("%s as a %s: restored", name, what)
			}
		}
	}
}

// TestNothingIsWrittenThroughLinks has a hostile folder as the target of a backup.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	outside := t.TempDir()
	f := folder(t)
	must(t, os.Symlink(outside, filepath.Join(f.Path(), "blobs")))
	write(t, filepath.Join(f.Path(), "berth-backup"), `{"format":1,"key":"abcd"}`)
	s := newStore(t)
	s.add("one")
	if _, err := backup.Make(t.Context(), s.options(f)); err == nil {
		t.Error("backed up into a folder whose blobs lie elsewhere")
	}
	if got := files(t, outside); len(got) != 0 {
		t.Errorf("written outside: %v", got)
	}
}

func TestIDsAreChecked(t *testing.T) {
	for _, id := range []string{"", "x", "../20260102T150405Z-01234567", "20260102T150405Z-01234567/", "20260102T150405Z-0123456G"} {
		if err := backup.CheckID(id); !errors.Is(err, backup.ErrNone) {
			t.Errorf("CheckID(%q): %v", id, err)
		}
	}
	if err := backup.CheckID("20260102T150405Z-01234567"); err != nil {
		t.Error(err)
	}
	// What a row names is checked too.
	s, to := newStore(t), folder(t)
	s.put("blob "+digestOf("x").String(), "../escape 1")
	if _, err := backup.Make(t.Context(), s.options(to)); !errors.Is(err, storage.ErrBadID) {
		t.Errorf("a row that names ../escape: %v", err)
	}
}
