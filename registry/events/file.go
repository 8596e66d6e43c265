package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// fileSink appends envelopes to a file, a line each. A file that was moved away is
// made anew, so that it can be rotated.
type fileSink struct {
	path string
	file *os.File  // nil while it is not open
	to   io.Writer // the file
	wrap func(io.Writer) io.Writer
	sync bool // it is a file that can be synced, not a pipe or a terminal
}

func (*fileSink) key() string { return "file" }

// write writes lines and syncs them. Each is one write, so that who follows the file
// sees whole lines; after a failure or a crash in the midst of one it is ended, and
// its event follows whole.
func (s *fileSink) write(ctx context.Context, page []Told) error {
	if len(page) == 0 {
		return nil
	}
	if err := s.open(); err != nil {
		return fmt.Errorf("open file of events: %w", err)
	}
	file := s.file
	defer context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Now()) })() // for a pipe that nobody reads
	if err := s.append(page); err != nil {
		s.close()
		return fmt.Errorf("write file of events: %w", err)
	}
	return nil
}

func (s *fileSink) append(page []Told) error {
	for _, e := range page {
		var line bytes.Buffer
		if err := json.NewEncoder(&line).Encode(e.Envelope); err != nil {
			return err
		}
		if _, err := s.to.Write(line.Bytes()); err != nil {
			return err
		}
	}
	if !s.sync {
		return nil
	}
	return s.file.Sync()
}

// note and noted have nothing to do: what the file takes over is written.
func (*fileSink) note(storage.Tx, []Told) error { return nil }
func (*fileSink) noted()                        {}

// open opens the file at the path unless it is the one that is open.
func (s *fileSink) open() error {
	if s.file != nil {
		is, err := s.file.Stat()
		at, err2 := os.Stat(s.path)
		if err == nil && err2 == nil && os.SameFile(is, at) {
			return nil
		}
		s.close()
	}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	regular, err := prepare(file)
	if err != nil {
		_ = file.Close() // nothing is written yet
		return err
	}
	s.file, s.to, s.sync = file, file, regular
	if s.wrap != nil {
		s.to = s.wrap(file)
	}
	return nil
}

// prepare ends a last line that was cut short, and has an empty file, which may be
// new, found again after a power cut. It says whether there is a file at all.
func prepare(file *os.File) (regular bool, err error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false, err
	}
	if info.Size() == 0 {
		return true, syncFolder(filepath.Dir(file.Name()))
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return true, err
	}
	_, err = file.Write([]byte{'\n'})
	return true, err
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

func (s *fileSink) close() {
	if s.file != nil {
		_ = s.file.Close() // all that counts is synced
		s.file = nil
	}
}
