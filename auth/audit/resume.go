package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// resumption is what was found of a trail when it was opened.
type resumption struct {
	at       mark
	torn     int64  // bytes of a last line that was cut short
	tornFile string // that has them now
	missing  uint64 // records between the end of the file and the head
	last     uint64 // number of the last record that is there
	headless bool   // there are records, and no head to hold them against
}

// details tell what was found, in the first record of a run.
func (r resumption) details() Fields {
	all := Fields{{"lastRecord", int64(r.last)}}
	if r.torn > 0 {
		all = append(all, Field{"tornBytes", r.torn}, Field{"tornFile", filepath.Base(r.tornFile)})
	}
	if r.missing > 0 {
		all = append(all, Field{"recordsMissing", int64(r.missing)})
	}
	if r.headless {
		all = append(all, Field{"headMissing", true})
	}
	return all
}

// resume opens the file and finds where its chain is to go on: behind the last
// record or, where the head says that there were later ones, behind those. What
// is missing stays missing.
func (t *Trail) resume() (found resumption, err error) {
	if err := os.Remove(t.o.File + draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return found, err
	}
	f, err := os.OpenFile(t.o.File, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return found, err
	}
	if err := t.take(f, &found); err != nil {
		return found, errors.Join(err, f.Close())
	}
	if found.at.sequence == 0 {
		if err := t.lastFull(&found); err != nil {
			return found, errors.Join(err, f.Close())
		}
	}
	found.last = found.at.sequence
	found.headless = t.head.at.sequence == 0 && found.last > 0
	if head := t.head.at; head.sequence >= found.at.sequence {
		found.missing = head.sequence - found.at.sequence
		found.at = head
	}
	return found, syncFolder(filepath.Dir(t.o.File))
}

// take takes over the file that was written last, and mends its end.
func (t *Trail) take(f *os.File, found *resumption) error {
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	end, at, err := lastMark(f)
	if err != nil {
		return err
	}
	found.at = at
	if err := setAside(f, end, found); err != nil {
		return err
	}
	t.file = &segment{f: f, size: end}
	t.tail, t.room = end, 0
	return t.file.recall()
}

// lastFull is the end of the newest full file.
func (t *Trail) lastFull(found *resumption) error {
	full, err := archives(t.o.File)
	if err != nil || len(full) == 0 {
		return err
	}
	f, err := os.Open(full[len(full)-1])
	if err != nil {
		return err
	}
	defer f.Close()
	_, found.at, err = lastMark(f)
	return err
}

// lastMark is the end of the whole lines of a file, and the place of the last
// one that has any. A line that was changed has a place still, which whoever
// verifies the chain finds wrong.
func lastMark(f *os.File) (end int64, at mark, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, at, err
	}
	for most := int64(4 * longestLine); ; most *= 4 {
		text := make([]byte, min(most, info.Size()))
		if _, err := f.ReadAt(text, info.Size()-int64(len(text))); err != nil {
			return 0, at, err
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		at, ok := lastOf(whole)
		if ok || int64(len(text)) == info.Size() {
			return info.Size() - int64(len(text)-len(whole)), at, nil
		}
	}
}

// lastOf is the place of the last line that has one.
func lastOf(lines []byte) (at mark, ok bool) {
	for len(lines) > 0 {
		start := bytes.LastIndexByte(lines[:len(lines)-1], '\n') + 1
		if l, err := parseLine(bytes.TrimSuffix(lines[start:], []byte{'\n'})); err == nil {
			return l.mark, true
		}
		lines = lines[:start]
	}
	return at, false
}

// setAside cuts a last line that is not whole off the file, into one of its own.
func setAside(f *os.File, end int64, found *resumption) error {
	info, err := f.Stat()
	if err != nil || info.Size() == end {
		return err
	}
	torn := make([]byte, info.Size()-end)
	if _, err := f.ReadAt(torn, end); err != nil {
		return err
	}
	side, err := os.OpenFile(fmt.Sprintf("%s.torn-%012d", f.Name(), found.at.sequence+1), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = side.Write(torn)
	if err := errors.Join(err, side.Sync(), side.Close()); err != nil {
		return err
	}
	found.torn, found.tornFile = int64(len(torn)), side.Name()
	return f.Truncate(end)
}

// recall reads from the first record of a file when it was begun.
func (s *segment) recall() error {
	text := make([]byte, min(s.size, longestLine))
	if _, err := s.f.ReadAt(text, 0); err != nil {
		return err
	}
	line, _, whole := bytes.Cut(text, []byte{'\n'})
	l, err := parseLine(line)
	if !whole || err != nil {
		return nil // it is begun anew with the next record
	}
	var record struct{ EventTime string }
	if err := json.Unmarshal(line, &record); err != nil {
		return fmt.Errorf("read first record: %w", err)
	}
	s.first, s.began = l.sequence, timeOf(record.EventTime)
	return nil
}
