package audit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// segment is the file that takes records.
type segment struct {
	f     *os.File
	size  int64 // of what is written; the next line goes there
	began time.Time
	first uint64 // number of its first record, 0 while it has none
}

// beginAt notes when a file got its first record.
func (s *segment) beginAt(first uint64, now time.Time) {
	if s.first == 0 {
		s.first, s.began = first, now
	}
}

func (s *segment) close() error { return s.f.Close() }

// trim gives back room that was taken and not used.
func (s *segment) trim() error {
	if err := s.f.Truncate(s.size); err != nil {
		return fmt.Errorf("give back room of %s: %w", s.f.Name(), err)
	}
	return nil
}

// draft ends the name of a file that is about to take the place of a full one.
const draft = ".new"

// turnPause is how long a file that should be replaced and could not be goes on.
const turnPause = 10 * time.Second

// turn begins a new file where the old one is full or old. Where that fails the
// old one goes on. writing is held, and nothing waits in out.
func (t *Trail) turn() {
	s := t.file
	old := t.o.MaxAge > 0 && t.o.Now().Sub(s.began) >= t.o.MaxAge
	if s.size < t.o.MaxSize && !old || s.size == 0 {
		return
	}
	if t.o.Now().Before(t.turnAgain) {
		return
	}
	if err := t.replace(); err != nil {
		t.turnAgain = t.o.Now().Add(turnPause)
		t.log.Error("audit file not rotated", "err", err)
		return
	}
	t.prune()
}

// replace puts a new file in the place of the one that is open. The new one has
// room for all calls under way before the old one is let go.
func (t *Trail) replace() error {
	f, err := os.OpenFile(t.o.File+draft, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	room, err := t.prepare(f)
	if err == nil {
		err = t.swapNames(archive(t.o.File, t.file.first))
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	full := t.file
	t.mu.Lock()
	t.file = &segment{f: f}
	t.tail, t.room = t.tail-full.size, room
	t.mu.Unlock()
	return errors.Join(full.trim(), full.f.Sync(), full.close(), syncFolder(filepath.Dir(t.o.File)))
}

// swapNames gives the full file the name that it stays with, and the new one its
// place. Where a process dies between the two, there is only the full one.
func (t *Trail) swapNames(full string) error {
	if err := os.Rename(t.o.File, full); err != nil {
		return err
	}
	err := os.Rename(t.o.File+draft, t.o.File)
	if err != nil {
		return errors.Join(err, os.Rename(full, t.o.File))
	}
	return nil
}

// prepare takes room in a new file, where that is required.
func (t *Trail) prepare(f *os.File) (room int64, err error) {
	if !t.o.Required {
		return 0, nil
	}
	t.mu.Lock()
	room = t.tail - t.file.size + spare + (t.underway+1)*longestLine + roomStep
	t.mu.Unlock()
	return room, t.disk.allocate(f, 0, room)
}

// prune removes the oldest files beyond those that are kept.
func (t *Trail) prune() {
	if t.o.Keep == 0 {
		return
	}
	full, err := archives(t.o.File)
	for len(full) > t.o.Keep-1 && err == nil {
		err = os.Remove(full[0])
		full = full[1:]
	}
	if err != nil {
		t.log.Error("old audit file not removed", "err", err)
	}
}

// archive is the name of a full file with the number of its first record.
func archive(file string, first uint64) string {
	ext := filepath.Ext(file)
	return fmt.Sprintf("%s-%012d%s", strings.TrimSuffix(file, ext), first, ext)
}

// archives are the full files beside a file, oldest first.
func archives(file string) ([]string, error) {
	ext := filepath.Ext(file)
	prefix := strings.TrimSuffix(filepath.Base(file), ext) + "-"
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	type full struct {
		name  string
		first uint64
	}
	var all []full
	for _, e := range entries {
		number, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ext), prefix)
		first, err := strconv.ParseUint(number, 10, 64)
		if ok && err == nil && strings.HasSuffix(e.Name(), ext) {
			all = append(all, full{filepath.Join(filepath.Dir(file), e.Name()), first})
		}
	}
	slices.SortFunc(all, func(a, b full) int { return cmp.Compare(a.first, b.first) })
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.name
	}
	return names, nil
}

// Files are all files of a trail, oldest first: those that are full, and the one
// that is written if it is there.
func Files(file string) ([]string, error) {
	all, err := archives(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err == nil {
		all = append(all, file)
	}
	return all, nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
