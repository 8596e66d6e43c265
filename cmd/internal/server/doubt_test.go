package server_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/boltindex"
)

// addRow gives the index of a folder a row that its journal knows nothing of, and has it be as after a
// crash.
func addRow(t *testing.T, folder string) {
	t.Helper()
	path := filepath.Join(folder, "index.db")
	x, err := boltindex.Open(path, boltindex.Options{})
	if err != nil {
		t.Fatal(err)
	}
	last := x.Last()
	err = x.Update(context.Background(), func(tx storage.Tx) error { return tx.Put("stray", []byte("1")) })
	if err := errors.Join(err, x.Renumber(context.Background(), last), x.Close(), os.Remove(path+".closed")); err != nil {
		t.Fatal(err)
	}
}

// serveAtOnce is what becomes of a server that does not wait for a bad index to be read:
// that shows before it serves, or while it does.
func serveAtOnce(folder, setting string) error {
	c, err := config.Load(config.Sources{Flags: map[string]string{"data": folder, "dev": "true", "listen": "127.0.0.1:0", "rebuild": setting}})
	if err != nil {
		return err
	}
	s, err := server.New(context.Background(), server.Watched(server.Options{Config: c, Out: &buffer{}, Log: &buffer{}}, server.Watch{Patience: time.Nanosecond}))
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

// TestIndexFoundBadWhileServing ends the server, with the command, and leaves the journal as
// it is: what it tells is right, and the index would be written over it.
func TestIndexFoundBadWhileServing(t *testing.T) {
	base := t.TempDir()
	h := inFolder(t, base)
	if status, answer := h.call("CreateRepository", `{"repositoryName": "team/a"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(base, "data")
	addRow(t, folder)
	before := filesOf(t, filepath.Join(folder, "journal"))
	for range 2 {
		err := serveAtOnce(folder, "off")
		var bad *server.BadIndexError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), "stray") || !strings.Contains(err.Error(), "berth rebuild --data "+folder) {
			t.Fatalf("error %v, want a BadIndexError with the row and the command", err)
		}
		if diff := cmp.Diff(before, filesOf(t, filepath.Join(folder, "journal"))); diff != "" {
			t.Errorf("journal (-before +after):\n%s", diff)
		}
	}
	h = inFolder(t, base, "rebuild", "auto")
	st, err := h.Status(context.Background())
	if err != nil || !strings.Contains(st.Index.Rebuilt, "rebuilt from its journal") {
		t.Errorf("status %+v, %v", st.Index, err)
	}
	if _, there := indexRows(t, h.Index())["stray"]; there {
		t.Error("the row is still there")
	}
}

// filesOf are the files of a folder, with what they hold.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}
