package server_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/storage"
)

// TestStartAfterACleanStop counts what is read to open a store with little in it, and one
// with 200,000 rows more (20,000 with the race detector): bytes by calls of the kernel, and pages of the mapped index.
func TestStartAfterACleanStop(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	h := inFolder(t, dir)
	h.push("app", 0)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	few := readAtStart(t, data)
	addImages(t, data, copiesAtStart)
	if err := inFolder(t, dir).stop(); err != nil {
		t.Fatal(err)
	}
	many := readAtStart(t, data)
	info, err := os.Stat(filepath.Join(data, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	// A fault maps sixteen pages (fault_around_bytes), and a tree has four levels at most.
	const more = 4 << 20
	if info.Size() < 3*more {
		t.Fatalf("the index has only %d bytes", info.Size())
	}
	if few.called == 0 || few.mapped == 0 || many.called > few.called+more || many.mapped > few.mapped+more {
		t.Errorf("to open a store %+v were read when it had little in it, %+v of an index of %d bytes", few, many, info.Size())
	}
	t.Logf("%+v, and %+v of an index of %d bytes", few, many, info.Size())
}

// addImages gives each image of a store so many copies under other digests, and each tag
// under other names.
func addImages(t *testing.T, data string, copies int) {
	t.Helper()
	dir, err := datadir.Open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	x, err := server.OpenIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	const atOnce = 20_000
	for from := 0; from < copies; from += atOnce {
		err := x.Update(context.Background(), func(tx storage.Tx) error {
			return addCopies(tx, from, min(from+atOnce, copies))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

func addCopies(tx storage.Tx, from, to int) error {
	names := map[string]func(int) string{
		"image": func(n int) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, n))) },
		"tag":   func(n int) string { return fmt.Sprintf("copy-%06d", n) },
	}
	for table, name := range names {
		for e, err := range tx.Scan(storage.Range{Prefix: table + "\x00", Limit: 1}) {
			if err != nil {
				return err
			}
			key, value := e.Key[:strings.LastIndex(e.Key, "\x00")+1], append([]byte{}, e.Value...)
			for n := from; n < to; n++ {
				if err := tx.Put(key+name(n), value); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// read is what a process read: bytes by calls, and bytes of pages of the index that it
// has in its memory.
type read struct{ called, mapped int64 }

// readAtStart is what is read until a server could answer.
func readAtStart(t *testing.T, data string) read {
	t.Helper()
	c, err := config.Load(config.Sources{Flags: map[string]string{"listen": "127.0.0.1:0", "data": data, "dev": "true"}})
	if err != nil {
		t.Fatal(err)
	}
	before := bytesCalled(t)
	s, err := server.New(context.Background(), server.Options{Config: c, Out: &buffer{}, Log: &buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abandon()
	if err := s.Registry().Ready(context.Background()); err != nil {
		t.Fatal(err)
	}
	return read{bytesCalled(t) - before, bytesMapped(t, filepath.Join(data, "index.db"))}
}

// bytesCalled are those that this process has read by calls (proc_pid_io(5)).
func bytesCalled(t *testing.T) (n int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// bytesMapped are those of a file's pages that this process has come to (proc_pid_smaps(5)).
func bytesMapped(t *testing.T, file string) (sum int64) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		if first, _, _ := strings.Cut(line, " "); !strings.HasSuffix(first, ":") { // a mapping begins
			inside = strings.HasSuffix(line, file+"\n")
		}
		var kib int64
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kib); inside && err == nil {
			sum += kib << 10
		}
	}
	return sum
}
