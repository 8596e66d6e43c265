// Package instrument builds the crash kit over a bbolt whose writes, cuts and syncs can
// be recorded. bbolt opens and maps a real file, and takes no other in its place: so
// the few lines of it that write are changed while the kit is built, in a copy that
// is gone afterwards. A version of bbolt in which those lines look otherwise fails
// the build.
package instrument

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tags are those that the kit is built with: points to die at, and the recorder.
const Tags = "failpoints,recorded"

const bbolt = "go.etcd.io/bbolt"

// edit is a line of bbolt that is changed. It must be there exactly once.
type edit struct{ file, old, new string }

var edits = []edit{
	{"db.go", "db.ops.writeAt = db.file.WriteAt\n", "db.ops.writeAt = func(p []byte, off int64) (int, error) { return recorder(db.file).WriteAt(db.file, p, off) }\n"},
	{"db.go", "err := db.file.Truncate(int64(sz))", "err := recorder(db.file).Truncate(db.file, int64(sz))"},
	{"db.go", "err := db.file.Sync()", "err := recorder(db.file).Sync(db.file)"},
	{"bolt_linux.go", "return syscall.Fdatasync(int(db.file.Fd()))", "return recorder(db.file).Sync(db.file)"},
	{"bolt_linux.go", "import (\n\t\"syscall\"\n)\n", ""},
}

// added is a file that bbolt has besides.
const added = `package bbolt

import "os"

// Recorder does what bbolt asks of its file.
type Recorder interface {
	WriteAt(f *os.File, p []byte, off int64) (int, error)
	Truncate(f *os.File, size int64) error
	Sync(f *os.File) error
}

// RecorderOf finds the recorder of a file. It is set before the first is opened.
var RecorderOf func(*os.File) Recorder

func recorder(f *os.File) Recorder { return RecorderOf(f) }
`

// Write makes, in a folder, the bbolt that is recorded and a go.mod that takes it in
// the place of the module's own, and returns the path of that. The go command may not
// lay anything over files of its module cache, so the changed package has a folder.
func Write(ctx context.Context, module, dir string) (string, error) {
	home, err := goList(ctx, module)
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, "bbolt")
	if err := os.CopyFS(to, os.DirFS(home)); err != nil {
		return "", err
	}
	texts, err := altered(home)
	if err != nil {
		return "", err
	}
	texts["recorder.go"] = added
	for name, text := range texts {
		if err := replace(filepath.Join(to, name), text); err != nil {
			return "", err
		}
	}
	return writeModule(module, dir, to)
}

// replace writes a file in the place of one that is copied from the module cache, and
// so cannot be written.
func replace(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// writeModule writes what `go build -modfile` takes.
func writeModule(module, dir, bboltDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return "", err
	}
	sums, err := os.ReadFile(filepath.Join(module, "go.sum"))
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "go.mod")
	text = fmt.Appendf(text, "\nreplace %s => %s\n", bbolt, bboltDir)
	return path, errors.Join(os.WriteFile(path, text, 0o600), os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600))
}

func goList(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", bbolt)
	cmd.Dir = module
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", bbolt, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// altered are the texts of bbolt's files in which something is changed.
func altered(home string) (map[string]string, error) {
	texts := map[string]string{}
	for _, e := range edits {
		if _, ok := texts[e.file]; !ok {
			text, err := os.ReadFile(filepath.Join(home, e.file))
			if err != nil {
				return nil, err
			}
			texts[e.file] = string(text)
		}
		if n := strings.Count(texts[e.file], e.old); n != 1 {
			return nil, fmt.Errorf("%s of %s has %q %d times, not once: its writes cannot be recorded", e.file, home, e.old, n)
		}
		texts[e.file] = strings.Replace(texts[e.file], e.old, e.new, 1)
	}
	return texts, leftOver(texts)
}

// leftOver says whether a file is still written past the recorder.
func leftOver(texts map[string]string) error {
	for name, text := range texts {
		for _, call := range []string{"db.file.WriteAt", "db.file.Write(", "db.file.Truncate(", "db.file.Sync(", "Fdatasync("} {
			if strings.Contains(text, call) {
				return fmt.Errorf("%s of bbolt calls %s past the recorder", name, call)
			}
		}
	}
	return nil
}

// Build builds the kit of the module in a folder, with args for the go command
// besides, to a path.
func Build(ctx context.Context, module, to string, args ...string) error {
	dir, err := os.MkdirTemp("", "instrument")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mod, err := Write(ctx, module, dir)
	if err != nil {
		return err
	}
	args = append([]string{"build", "-tags", Tags, "-trimpath", "-ldflags", "-w", "-modfile", mod, "-o", to}, append(args, "./kit")...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the kit: %w: %s", err, out)
	}
	return nil
}
