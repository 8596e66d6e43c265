package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// indexRows reads all rows of an index but its lineage, which a rebuilt one has anew.
func indexRows(t testing.TB, x storage.Index) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := x.View(context.Background(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			all[e.Key] = string(e.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(all, func(key, _ string) bool { return strings.HasPrefix(key, "lineage") })
	return all
}

// wornFolder makes a data folder of many rows. It is as after a crash if asked,
// else as after an orderly stop.
func wornFolder(t *testing.T, crashed bool) (folder string, rows map[string]string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "data")
	dir, err := datadir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	x, err := server.OpenIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		err := x.Update(context.Background(), func(tx storage.Tx) error {
			for i := range 400 {
				if err := tx.Put(fmt.Sprintf("row/%05d", i*7+round), bytes.Repeat([]byte{byte(i)}, i)); err != nil {
					return err
				}
			}
			return errors.Join(tx.Delete(fmt.Sprintf("row/%05d", 70+round)), tx.Put(fmt.Sprint("large/", round), bytes.Repeat([]byte("l"), 20000)))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows = indexRows(t, x)
	if err := x.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "data")
	if !crashed {
		copied = folder
		err = x.Close()
	} else {
		err = errors.Join(os.CopyFS(copied, os.DirFS(folder)), x.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied, rows
}

// damages are what may become of the file of an index.
var damages = map[string]func(*rand.Rand, []byte) []byte{
	"random pages overwritten": func(r *rand.Rand, b []byte) []byte {
		page := os.Getpagesize()
		for range 1 + r.IntN(4) {
			at := r.IntN(len(b)/page) * page
			for i := range page {
				b[at+i] = byte(r.Uint32())
			}
		}
		return b
	},
	"single bytes changed": func(r *rand.Rand, b []byte) []byte {
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
		}
		return b
	},
	"cut short": func(r *rand.Rand, b []byte) []byte { return b[:r.IntN(len(b))] },
	"zeroed":    func(r *rand.Rand, b []byte) []byte { clear(b[r.IntN(len(b)):]); return b },
	"metas zeroed": func(r *rand.Rand, b []byte) []byte {
		clear(b[r.IntN(2)*os.Getpagesize() : 2*os.Getpagesize()])
		return b
	},
}

// TestNoDamageLosesRows damages the index in many ways. Whatever they are, the next
// start has every row.
func TestNoDamageLosesRows(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		folder, want := wornFolder(t, crashed)
		sound, err := os.ReadFile(filepath.Join(folder, "index.db"))
		if err != nil {
			t.Fatal(err)
		}
		page := os.Getpagesize()
		sound = sound[:(len(bytes.TrimRight(sound, "\x00"))+page-1)/page*page]
		rebuilt := 0
		for what, damage := range damages {
			for seed := range uint64(2) {
				name := fmt.Sprintf("%s, seed %d, after a crash: %t", what, seed, crashed)
				b := damage(rand.New(rand.NewPCG(seed, 3)), bytes.Clone(sound))
				if openDamaged(t, name, folder, b, want) {
					rebuilt++
				}
			}
		}
		t.Logf("after a crash %t: %d of 10 were rebuilt", crashed, rebuilt)
		if rebuilt < 6 {
			t.Errorf("after a crash %t: %d of 10 were rebuilt", crashed, rebuilt)
		}
	}
}

// openDamaged opens a copy of a folder with another index file, and says whether it
// was rebuilt.
func openDamaged(t *testing.T, name, folder string, file []byte, want map[string]string) bool {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(copied, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"format", "keys", "journal"} {
		if err := copyAll(filepath.Join(folder, kept), filepath.Join(copied, kept)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(copied, "index.db"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := datadir.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	x, rebuilt, err := server.OpenOrRebuild(dir, config.RebuildAuto)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return false
	}
	if diff := cmp.Diff(want, indexRows(t, x)); diff != "" {
		t.Errorf("%s: rows (-want +got):\n%s", name, diff)
	}
	if err := x.Close(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return rebuilt != nil
}

func copyAll(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

// reopen starts a server on a folder, which may fail.
func reopen(folder, setting string) (*server.Server, *buffer, error) {
	c, err := config.Load(config.Sources{Flags: map[string]string{"data": folder, "dev": "true", "listen": "127.0.0.1:0", "rebuild": setting}})
	if err != nil {
		return nil, nil, err
	}
	log := &buffer{}
	s, err := server.New(context.Background(), server.Options{Config: c, Version: "1.2.3", Program: "berth", Out: &buffer{}, Log: log})
	return s, log, err
}

// TestStartWithABadIndex is the way of an operator: the server ends with the command,
// the command rebuilds, and what was there is there.
func TestStartWithABadIndex(t *testing.T) {
	base := t.TempDir()
	h := inFolder(t, base)
	for _, name := range []string{"team/a", "team/b"} {
		if status, answer := h.call("CreateRepository", fmt.Sprintf(`{"repositoryName": %q}`, name)); status != http.StatusOK {
			t.Fatalf("%d %s", status, answer)
		}
	}
	st, err := h.Status(context.Background())
	if err != nil || st.Index == nil || st.Index.Updates == 0 || st.Index.Rebuilt != "" {
		t.Fatalf("status %+v, %v", st.Index, err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(base, "data")
	clearMetas(t, folder)

	var bad *server.BadIndexError
	_, _, err = reopen(folder, "off")
	if !errors.As(err, &bad) || !strings.Contains(err.Error(), "berth rebuild --data "+folder) {
		t.Fatalf("error %v, want a BadIndexError with the command", err)
	}
	c, err := config.Load(config.Sources{Flags: map[string]string{"data": folder}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := server.Rebuild(context.Background(), c, false)
	if err != nil || r.Number < st.Index.Updates || r.Rows == 0 {
		t.Fatalf("rebuilt %+v, %v; want up to update %d at least", r, err, st.Index.Updates)
	}
	if _, err := os.Stat(r.Aside); err != nil {
		t.Errorf("the bad index: %v", err)
	}
	if _, err := server.Rebuild(context.Background(), c, false); !errors.Is(err, server.ErrSound) {
		t.Errorf("once more: %v, want ErrSound", err)
	}
	if r, err := server.Rebuild(context.Background(), c, true); err != nil || r.Rows == 0 {
		t.Errorf("by force: %+v, %v", r, err)
	}
	clearMetas(t, folder) // the journal has the events of the two before
	if r, err := server.Rebuild(context.Background(), c, false); err != nil || len(r.Cut) > 0 {
		t.Errorf("after two others: %+v, %v", r, err)
	}
	h = inFolder(t, base)
	if status, answer := h.call("DescribeRepositories", `{"repositoryNames": ["team/a", "team/b"]}`); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	var inUse *datadir.InUseError
	if _, err := server.Rebuild(context.Background(), c, true); !errors.As(err, &inUse) {
		t.Errorf("beside a server: %v, want an InUseError", err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}

	clearMetas(t, folder)
	h = inFolder(t, base, "rebuild", "auto")
	st, err = h.Status(context.Background())
	if err != nil || !strings.Contains(st.Index.Rebuilt, "rebuilt from its journal") || !strings.Contains(h.log.String(), "the index is bad") {
		t.Errorf("status %+v, %v; log %s", st.Index, err, h.log)
	}
	if status, answer := h.call("DescribeRepositories", `{"repositoryNames": ["team/a", "team/b"]}`); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	told := 0
	for _, value := range indexRows(t, h.Index()) {
		told += strings.Count(value, string(registry.IndexRebuilt))
	}
	if told != 4 { // three by the command, one by the server
		t.Errorf("%d events tell of it, want one for each time", told)
	}
}

func clearMetas(t *testing.T, folder string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(folder, "index.db"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(make([]byte, 2*os.Getpagesize()), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestIndexThatIsGone, and one that was put back from before.
func TestIndexThatIsGoneOrOld(t *testing.T) {
	folder, want := wornFolder(t, false)
	older, err := os.ReadFile(filepath.Join(folder, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := datadir.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	x, err := server.OpenIndex(dir)
	if err != nil {
		t.Fatal(err)
	}
	want["later"] = "1"
	err = x.Update(context.Background(), func(tx storage.Tx) error { return tx.Put("later", []byte("1")) })
	if err := errors.Join(err, x.Close()); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func() error{
		"gone":  func() error { return os.Remove(dir.Index()) },
		"older": func() error { return os.WriteFile(dir.Index(), older, 0o600) },
		"empty": func() error { return os.WriteFile(dir.Index(), nil, 0o600) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		x, rebuilt, err := server.OpenOrRebuild(dir, config.RebuildAuto)
		if err != nil || rebuilt == nil {
			t.Fatalf("%s: rebuilt %+v, %v", what, rebuilt, err)
		}
		if diff := cmp.Diff(want, indexRows(t, x)); diff != "" {
			t.Errorf("%s: rows (-want +got):\n%s", what, diff)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingToRebuildFrom has the journal lost too.
func TestNothingToRebuildFrom(t *testing.T) {
	folder, _ := wornFolder(t, false)
	clearMetas(t, folder)
	if err := os.RemoveAll(filepath.Join(folder, "journal")); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{"auto", "off"} {
		_, _, err := reopen(folder, setting)
		var bad *server.BadIndexError
		if !errors.As(err, &bad) {
			t.Errorf("rebuild %s: %v, want a BadIndexError", setting, err)
		}
		if _, err := os.Stat(filepath.Join(folder, "index.db")); err != nil {
			t.Errorf("rebuild %s: the index was not left where it is: %v", setting, err)
		}
	}
}
