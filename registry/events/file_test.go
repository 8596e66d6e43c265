package events_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage/memory"
)

// inFile is what a file tells.
func inFile(t testing.TB, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for line := range bytes.Lines(text) {
		var env events.Envelope
		if json.Unmarshal(line, &env) != nil {
			list = append(list, "torn")
			continue
		}
		list = append(list, told(env))
	}
	return list
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.jsonl")
		index := memory.NewIndex()
		w := start(t, index, events.Options{File: path})
		w.create("one", "two")
		synctest.Wait()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		moved := path + ".1"
		must(t, os.Rename(path, moved))
		w.create("three")
		synctest.Wait()
		must(t, os.Remove(path)) // which loses what was in it, and nothing more
		w.create("four")
		synctest.Wait()
		w.stop()
		w.create("five")
		w = start(t, index, events.Options{File: path})
		synctest.Wait()
		w.stop()
		if diff := cmp.Diff([]string{"one " + created, "two " + created}, inFile(t, moved)); diff != "" {
			t.Errorf("the file that was moved away (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"four " + created, "five " + created}, inFile(t, path)); diff != "" {
			t.Errorf("the new file (-want +got):\n%s", diff)
		}
	})
}

// A line that a crash has cut stands alone.
func TestTornFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.jsonl")
		must(t, os.WriteFile(path, []byte("{}\n{\"version\":"), 0o600))
		w := start(t, memory.NewIndex(), events.Options{File: path})
		w.create("one")
		synctest.Wait()
		w.stop()
		if diff := cmp.Diff([]string{"", "torn", "one " + created}, inFile(t, path)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// While the file cannot be written events wait, and then come in order.
func TestFileThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder, log := filepath.Join(t.TempDir(), "later"), &journal{}
		path := filepath.Join(folder, "events.jsonl")
		w := start(t, memory.NewIndex(), events.Options{File: path, Log: log.logger()})
		defer w.stop()
		w.create("one")
		pass(10 * time.Second)
		w.create("two")
		if text := log.String(); !strings.Contains(text, "events wait") || !strings.Contains(text, "no such file") {
			t.Errorf("the log is:\n%s", text)
		}
		must(t, os.Mkdir(folder, 0o700))
		pass(time.Minute)
		if diff := cmp.Diff([]string{"one " + created, "two " + created}, inFile(t, path)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// full is a disk on which there is room for some more bytes.
type full struct {
	io.Writer
	room *atomic.Int64
}

func (f full) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p[:min(len(p), int(f.room.Load()))])
	f.room.Add(-int64(n))
	if err == nil && n < len(p) {
		err = errors.New("no space left")
	}
	return n, err
}

// A line that a full disk has cut stands alone, and its event follows whole.
func TestFileOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.jsonl")
		var room atomic.Int64
		room.Store(500)
		o := events.Options{File: path}
		o.WrapFile(func(w io.Writer) io.Writer { return full{w, &room} })
		w := start(t, memory.NewIndex(), o)
		w.create("one", "two")
		synctest.Wait()
		room.Store(1 << 20)
		pass(time.Minute)
		w.stop()
		got := inFile(t, path)
		torn := slices.Index(got, "torn")
		if torn < 0 || len(got) < torn+2 || !strings.HasSuffix(got[torn+1], created) || got[len(got)-1] != "two "+created || slices.Contains(got[torn+1:], "torn") {
			t.Errorf("told %q", got)
		}
	})
}

// A pipe, such as the standard output of a container, is written as it is.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer reader.Close()
	w := start(t, memory.NewIndex(), events.Options{File: path})
	defer w.stop()
	w.create("one", "two")
	lines := bufio.NewReader(reader)
	for _, want := range []string{"one " + created, "two " + created} {
		line, err := lines.ReadBytes('\n')
		must(t, err)
		var env events.Envelope
		must(t, json.Unmarshal(line, &env))
		if got := told(env); got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	}
}

// Who does not read a pipe does not keep the server from ending.
func TestPipeThatNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(path, 0o600))
	end, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer end.Close()
	w := start(t, memory.NewIndex(), events.Options{File: path})
	w.create(numbered("r", 500)...) // more than a pipe holds
	w.stop()
}
