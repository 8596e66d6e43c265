package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/backup"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// store is a small store whose rows "blob <digest>" name a blob and its size.
type store struct {
	t     testing.TB
	index *journal.Index
	blobs storage.Blobs
	ids   int
	reads map[string]int // of blobs, by id
	mu    sync.Mutex
}

func newStore(t testing.TB) *store {
	t.Helper()
	index, err := journal.New(memory.NewIndex(), filepath.Join(t.TempDir(), "journal"), journal.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, index.Close()) })
	return &store{t: t, index: index, blobs: memory.NewBlobs(), reads: map[string]int{}}
}

// put writes a row.
func (s *store) put(key, value string) {
	s.t.Helper()
	must(s.t, s.index.Update(s.t.Context(), func(tx storage.Tx) error { return tx.Put(key, []byte(value)) }))
}

// add keeps bytes, and returns the id of their blob.
func (s *store) add(content string) string {
	s.t.Helper()
	s.ids++
	id := fmt.Sprintf("%02x-%d", s.ids*37%256, s.ids)
	_, err := s.blobs.Append(s.t.Context(), id, 0, strings.NewReader(content))
	must(s.t, err)
	must(s.t, s.blobs.Seal(s.t.Context(), id))
	s.put("blob "+digestOf(content).String(), fmt.Sprintf("%s %d", id, len(content)))
	return id
}

// drop removes bytes with their row.
func (s *store) drop(content, id string) {
	s.t.Helper()
	must(s.t, s.index.Update(s.t.Context(), func(tx storage.Tx) error { return tx.Delete("blob " + digestOf(content).String()) }))
	must(s.t, s.blobs.Delete(s.t.Context(), id))
}

func digestOf(content string) digest.Digest {
	h := digest.SHA256.New()
	_, _ = io.WriteString(h, content)
	return digest.FromHash(digest.SHA256, h)
}

func contents(e storage.Entry) (c backup.Content, ok bool, err error) {
	name, ok := strings.CutPrefix(e.Key, "blob ")
	if !ok {
		return c, false, nil
	}
	c.Digest, err = digest.Parse(name)
	if _, err2 := fmt.Sscan(string(e.Value), &c.Blob, &c.Size); err2 != nil {
		err = errors.Join(err, err2)
	}
	return c, err == nil, err
}

// Snapshot implements backup.Source.
func (s *store) Snapshot(ctx context.Context, w io.Writer) (err error) {
	return s.index.View(ctx, func(r storage.Reader) error {
		number := r.(storage.Numbering).Number()
		out, err := journal.NewSnapshotWriter(w, number)
		for e, scanErr := range r.Scan(storage.Range{}) {
			if err = errors.Join(err, scanErr); err == nil {
				err = out.Put(e.Key, e.Value)
			}
		}
		if err == nil {
			_, err = out.Finish(number, time.Now())
		}
		return err
	})
}

// Records implements backup.Source.
func (s *store) Records(ctx context.Context, after, upTo uint64, w io.Writer) error {
	state, err := s.index.State(ctx)
	if err != nil {
		return err
	}
	defer state.Close()
	if state.Begin() > after {
		return backup.ErrNoRecords
	}
	out, err := journal.NewRecordWriter(w, after)
	for rec, recErr := range state.Records(ctx, after) {
		if err = errors.Join(err, recErr); err != nil || upTo != 0 && rec.Number > upTo {
			break
		}
		err = out.Write(rec)
	}
	return err
}

// Open implements backup.Source.
func (s *store) Open(ctx context.Context, id string) (io.ReadCloser, error) {
	s.mu.Lock()
	s.reads[id]++
	s.mu.Unlock()
	return s.blobs.Open(ctx, id)
}

// signKey is the store's, which a forger does not know.
var signKey = bytes.Repeat([]byte{7}, 32)

func (s *store) options(to backup.Target) backup.Options {
	return backup.Options{
		Source: s, Target: to, Contents: contents, Berth: "1.2.3", DataFormat: 1, Key: "abcd", Lineage: "here", Sign: signKey, Scratch: s.t.TempDir(),
	}
}

// backUp makes a backup that must succeed.
func (s *store) backUp(to backup.Target) backup.Report {
	s.t.Helper()
	r, err := backup.Make(s.t.Context(), s.options(to))
	must(s.t, err)
	return r
}

func (s *store) records(to backup.Target) backup.Report {
	s.t.Helper()
	r, err := backup.MakeRecords(s.t.Context(), s.options(to))
	must(s.t, err)
	return r
}

// rows are all rows of an index; those of blobs have their bytes behind them.
func rows(t testing.TB, index storage.Index, blobs storage.Blobs) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, index.View(t.Context(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			all[e.Key] = string(e.Value)
		}
		return nil
	}))
	for key, value := range maps.Clone(all) {
		c, ok, err := contents(storage.Entry{Key: key, Value: []byte(value)})
		must(t, err)
		if !ok {
			continue
		}
		f, err := blobs.Open(t.Context(), c.Blob)
		if errors.Is(err, storage.ErrNotFound) {
			all[key] += " without bytes"
			continue
		}
		must(t, err)
		text, err := io.ReadAll(f)
		must(t, err)
		must(t, f.Close())
		all[key] += " " + string(text)
	}
	return all
}

func (s *store) rows() map[string]string { return rows(s.t, s.index, s.blobs) }

// folder is a new target.
func folder(t testing.TB) *backup.Folder {
	t.Helper()
	return openFolder(t, filepath.Join(t.TempDir(), "backups"))
}

func openFolder(t testing.TB, path string) *backup.Folder {
	t.Helper()
	f, err := backup.MakeFolder(path)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	return f
}

// restored does all of a restore into memory, and returns what came of it.
func restored(t testing.TB, from backup.Target, want backup.Wanted) (all map[string]string, number uint64, err error) {
	t.Helper()
	b, err := backup.Find(t.Context(), from, want, signKey)
	if err != nil {
		return nil, 0, err
	}
	if err := b.Check(t.Context()); err != nil {
		return nil, 0, err
	}
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	if number, err = b.Load(t.Context(), index); err != nil {
		return nil, 0, err
	}
	if _, err := b.Fill(t.Context(), index, blobs, backup.Filling{Contents: contents, Progress: func(backup.Progress) {}}); err != nil {
		return nil, 0, err
	}
	return rows(t, index, blobs), number, nil
}

// files reads all files under a folder.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(data)
		return err
	}))
	return all
}

func write(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}
