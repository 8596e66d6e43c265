package datadir_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

func open(t testing.TB, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func shut(t testing.TB, d *datadir.Dir) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, content string, path ...string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path...), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// refused opens a folder in vain and checks what the error says.
func refused(t *testing.T, path string, want ...string) {
	t.Helper()
	d, err := datadir.Open(path)
	if err == nil {
		shut(t, d)
		t.Fatalf("opened; want an error that says %q", want)
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestFirstOpenMakesWhatIsNeededForTheOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	shut(t, open(t, path))
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		got[strings.TrimPrefix(name, path)] = info.Mode()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{"": fs.ModeDir | 0o700, "/lock": 0o600, "/format": 0o600, "/keys": 0o600, "/tmp": fs.ModeDir | 0o700}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}

func TestRightsOfOthersAreTaken(t *testing.T) {
	path := t.TempDir()
	shut(t, open(t, path))
	for name, mode := range map[string]fs.FileMode{path: 0o755, filepath.Join(path, "keys"): 0o644} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, open(t, path))
	for name, want := range map[string]fs.FileMode{path: 0o700, filepath.Join(path, "keys"): 0o600} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
}

func TestSecondOwnerIsRefusedWithThePID(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	var inUse *datadir.InUseError
	_, err := datadir.Open(path)
	if !errors.As(err, &inUse) || inUse.PID != strconv.Itoa(os.Getpid()) || inUse.Host != "" {
		t.Errorf("error %v, want that process %d uses it", err, os.Getpid())
	}
	if want := fmt.Sprintf("data folder %s is in use by process %d", path, os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want %q", err, want)
	}
	shut(t, d)
	shut(t, open(t, path))
}

func TestOwnerOnAnotherMachineIsNamed(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	write(t, "17\nelsewhere\n", path, "lock")
	refused(t, path, "in use by process 17 on elsewhere")
	shut(t, d)
}

func TestDeadOwnerLeavesNoLock(t *testing.T) {
	if path := os.Getenv("DATADIR_TEST_HOLD"); path != "" {
		open(t, path) // and die with it
		fmt.Println("held")
		os.Exit(0)
	}
	path := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeadOwnerLeavesNoLock$")
	cmd.Env = append(os.Environ(), "DATADIR_TEST_HOLD="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("held")) {
		t.Fatalf("%v: %s", err, out)
	}
	shut(t, open(t, path))
}

func TestNewerFormatIsRefused(t *testing.T) {
	path := t.TempDir()
	shut(t, open(t, path))
	write(t, "3\n", path, "format")
	refused(t, path, "has format 3, which needs a newer version of Berth; this one knows formats up to 2")
	write(t, "3\n0.7.0\nand more\n", path, "format")
	refused(t, path, "has format 3, which needs Berth 0.7.0")
	var newer *datadir.FormatError
	if _, err := datadir.Open(path); !errors.As(err, &newer) || newer.Format != 3 {
		t.Errorf("error %v, want a FormatError", err)
	}
}

func TestOlderFormatIsKeptUntilItIsUpgraded(t *testing.T) {
	path := t.TempDir()
	shut(t, open(t, path))
	write(t, "1\n0.1.0\n", path, "format")
	for range 2 { // a process that dies before the upgrade leaves the old one
		d := open(t, path)
		if d.Format() != 1 {
			t.Errorf("format %d, want 1", d.Format())
		}
		shut(t, d)
	}
	d := open(t, path)
	if err := d.NoteUpgrade(); err != nil || d.Format() != datadir.Format {
		t.Errorf("format %d, %v", d.Format(), err)
	}
	shut(t, d)
	d = open(t, path)
	defer shut(t, d)
	if d.Format() != datadir.Format {
		t.Errorf("format %d, want %d", d.Format(), datadir.Format)
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	tests := []struct{ file, content, want string }{
		{"format", "", "format is damaged"},
		{"format", "one\n", "format is damaged"},
		{"format", "-1\n", "format is damaged"},
		{"keys", "", "keys is damaged"},
		{"keys", "abcd AAAA\n", "keys is damaged"},
		{"keys", strings.Repeat("x", 60), "keys is damaged"},
	}
	for _, tt := range tests {
		path := t.TempDir()
		shut(t, open(t, path))
		write(t, tt.content, path, tt.file)
		refused(t, path, tt.want)
		write(t, "1\n", path, "format") // the lock must be free again
		if tt.file == "format" {
			shut(t, open(t, path))
		}
	}
}

func TestKeyIsNotMadeAnewBesideData(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	write(t, "", d.Index())
	shut(t, d)
	if err := os.Remove(filepath.Join(path, "keys")); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "keys is missing", "backup")
}

// TestHalfRestoredFolder is refused, whether the draft lies beside it or in it: an empty
// store must not take its place.
func TestHalfRestoredFolder(t *testing.T) {
	for _, draft := range []func(string) string{datadir.DraftBeside, datadir.DraftIn} {
		path := filepath.Join(t.TempDir(), "data")
		if err := os.MkdirAll(draft(path), 0o700); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "a restore into "+path, "run berth restore again, or remove "+draft(path))
		if err := os.Remove(draft(path)); err != nil {
			t.Fatal(err)
		}
		shut(t, open(t, path))
		if err := os.MkdirAll(draft(path), 0o700); err != nil {
			t.Fatal(err)
		}
		shut(t, open(t, path)) // it is a data folder already
	}
}

func TestForeignFolderIsLeftAlone(t *testing.T) {
	path := t.TempDir()
	write(t, "mine", path, "letter.txt")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	refused(t, path, `is not a data folder of Berth, nor empty: it holds "letter.txt"`)
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the folder's mode is now %v, %v", info.Mode(), err)
	}
}

func TestInterruptedFirstStartIsTakenUp(t *testing.T) {
	path := t.TempDir()
	write(t, "12\n", path, "lock")
	write(t, "", path, "format.new")
	if err := os.Mkdir(filepath.Join(path, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	shut(t, open(t, path))
}

func TestTmpIsEmptied(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	write(t, "body", d.Tmp(), "body-1")
	shut(t, d)
	d = open(t, path)
	defer shut(t, d)
	if entries, err := os.ReadDir(d.Tmp()); err != nil || len(entries) != 0 {
		t.Errorf("tmp holds %v, %v", entries, err)
	}
}

func TestOpenExistingMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if _, err := datadir.OpenExisting(path); !errors.Is(err, datadir.ErrAbsent) {
		t.Errorf("error %v, want ErrAbsent", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
	shut(t, open(t, path))
	d, err := datadir.OpenExisting(path)
	if err != nil {
		t.Fatal(err)
	}
	shut(t, d)
}

func TestKeyStaysAndHidesItself(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	key := d.Key()
	shut(t, d)
	d = open(t, path)
	defer shut(t, d)
	if !bytes.Equal(key.Derive("a"), d.Key().Derive("a")) {
		t.Error("the key is another one after a new start")
	}
	if bytes.Equal(key.Derive("a"), key.Derive("b")) || bytes.Equal(key.Derive("a"), datadir.NewKey().Derive("a")) {
		t.Error("purposes or folders share a key")
	}
	text, err := os.ReadFile(filepath.Join(path, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%+v %#v %x %s", key, key, key, key), key.LogValue().String()} {
		if strings.Contains(shown, secret) || !strings.HasPrefix(shown, "master key ") {
			t.Errorf("printed as %q", shown)
		}
	}
}
