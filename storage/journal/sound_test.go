package journal_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/journal"
	"github.com/seed-78150930/berth/storage/memory"
)

// bytesOf are the files of a folder.
func bytesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		files[e.Name()] = string(b)
	}
	return files
}

// whenSound is quick with a Sound that ends with what it is sent.
func whenSound(known <-chan error) journal.Options {
	o := quick
	o.Sound = func(ctx context.Context) error {
		select {
		case err := <-known:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return o
}

// lasting is an index that goes on when a journal over it is closed.
type lasting struct{ storage.Numbered }

func (lasting) Close() error { return nil }

// unclosed makes a journal of one update, with a record that was cut short after it.
func unclosed(t *testing.T, dir string) (inner lasting) {
	t.Helper()
	inner = lasting{memory.NewIndex()}
	x := over(t, inner, dir, quick)
	must(t, x.Update(ctx, put("a", "1")))
	must(t, x.Sync(ctx))
	must(t, os.CopyFS(dir+".copy", os.DirFS(dir)))
	must(t, x.Close())
	must(t, os.RemoveAll(dir))
	must(t, os.Rename(dir+".copy", dir))
	entries, err := filepath.Glob(filepath.Join(dir, "*"))
	must(t, err)
	f, err := os.OpenFile(entries[len(entries)-1], os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("cut short")
	must(t, errors.Join(err, f.Close()))
	return inner
}

func TestNothingIsWrittenBeforeTheIndexIsKnownToBeSound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	inner := unclosed(t, dir)
	before := bytesOf(t, dir)
	known := make(chan error, 1)
	x := over(t, inner, dir, whenSound(known))
	if diff := cmp.Diff(rows{"a": "1"}, content(t, x)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, bytesOf(t, dir)); diff != "" {
		t.Errorf("journal (-before +after):\n%s", diff)
	}
	known <- nil
	must(t, x.Update(ctx, put("b", "2")))
	must(t, x.Sync(ctx))
	s, err := x.State(ctx)
	must(t, err)
	defer s.Close()
	if s.Number != 2 || x.Status().Broken {
		t.Errorf("the journal tells update %d, status %+v", s.Number, x.Status())
	}
	must(t, x.Close())
}

func TestJournalOfABadIndexIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	inner := unclosed(t, dir)
	before := bytesOf(t, dir)
	known := make(chan error, 1)
	bad := errors.New("other rows")
	known <- bad
	x := over(t, inner, dir, whenSound(known))
	for x.Status().Failure != bad.Error() {
		x.Status()
	}
	must(t, x.Close())
	if diff := cmp.Diff(before, bytesOf(t, dir)); diff != "" {
		t.Errorf("journal (-before +after):\n%s", diff)
	}
}

func TestCloseBeforeTheIndexIsKnownToBeSound(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	inner := unclosed(t, dir)
	before := bytesOf(t, dir)
	must(t, over(t, inner, dir, whenSound(nil)).Close())
	if diff := cmp.Diff(before, bytesOf(t, dir)); diff != "" {
		t.Errorf("journal (-before +after):\n%s", diff)
	}
}
