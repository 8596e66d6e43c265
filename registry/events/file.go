package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// fileSink appends envelopes to a file, a line each. A file that was moved away is
// made anew, so that it can be rotated.
type fileSink struct {
	path string
	file *os.File
}

// take writes a page with one write and a sync: a line is whole or, after a crash
// in the midst of it, the last one.
func (s *fileSink) take(_ context.Context, page []registry.Event) (func(storage.Tx) error, error) {
	var lines bytes.Buffer
	for _, e := range page {
		env, err := Tell(e)
		if err != nil {
			return nil, err
		}
		if err := json.NewEncoder(&lines).Encode(env); err != nil {
			return nil, err
		}
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open file of events: %w", err)
	}
	if _, err := s.file.Write(lines.Bytes()); err != nil {
		return nil, fmt.Errorf("write file of events: %w", err)
	}
	if err := s.file.Sync(); err != nil {
		return nil, fmt.Errorf("sync file of events: %w", err)
	}
	return nil, nil
}

// open opens the file at the path unless it is the one that is open. A last line
// that a crash has cut is ended.
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
	s.file = file
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = file.Write([]byte{'\n'})
	return err
}

func (s *fileSink) close() {
	if s.file != nil {
		_ = s.file.Close() // all that was written is synced
		s.file = nil
	}
}
