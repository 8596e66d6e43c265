package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/journal"
)

// Rebuilt says what was made of a bad index.
type Rebuilt struct {
	Why    string // what was wrong with it
	Aside  string // where it is now, "" if it was gone
	At     time.Time
	Number uint64    // the last update that the new one has
	Time   time.Time // when that was
	Rows   int64
	Cut    []string // what of the journal was not sound
	// Until is when the old file was last written; zero if that is not known. What
	// was written between Time and then is lost.
	Until time.Time
}

// String is a sentence for people.
func (r Rebuilt) String() string {
	s := fmt.Sprintf("index rebuilt from its journal: %d rows, up to update %d", r.Rows, r.Number)
	if !r.Time.IsZero() {
		s += " of " + r.Time.Format(time.RFC3339Nano)
	}
	if behind := r.Until.Sub(r.Time); !r.Until.IsZero() && !r.Time.IsZero() {
		s += fmt.Sprintf("; the old one was last written %s later", max(behind, 0).Round(time.Millisecond))
	}
	if r.Aside != "" {
		s += "; it is now " + r.Aside
	}
	return s
}

// ErrSound says that an index is not bad.
var ErrSound = errors.New("the index is sound, and has all that its journal has: there is nothing to rebuild")

// Rebuild makes the index of a server that does not run anew from its journal. An
// index that is sound is left alone, with ErrSound, unless force says otherwise. The
// error is a *datadir.InUseError while a server runs. An event tells of it, as of what a
// start makes anew.
func Rebuild(ctx context.Context, c *config.Config, force bool) (r Rebuilt, err error) {
	if c.InMemory() {
		return r, fmt.Errorf("%w: a server that keeps nothing leaves nothing", datadir.ErrAbsent)
	}
	dir, err := datadir.OpenExisting(c.Data)
	if err != nil {
		return r, err
	}
	if r, err = remake(ctx, dir, force); err != nil {
		return r, errors.Join(err, dir.Close())
	}
	if err := noteRebuilt(ctx, c, dir, r); err != nil {
		return r, fmt.Errorf("%s; but no event tells of it, or the journal is not whole: %w", r, err)
	}
	return r, nil
}

// noteRebuilt writes the event, and lets go of the folder when the journal is whole
// again: it goes on with a new snapshot, and until that is made only what was before the
// rebuilding could be made anew.
func noteRebuilt(ctx context.Context, c *config.Config, dir *datadir.Dir, r Rebuilt) error {
	s, err := openFolder(dir, opening{rebuild: config.RebuildOff}, seams{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	k, err := newKeeper(ctx, c, s, seams{})
	if err != nil {
		return err
	}
	domain, err := k.registry(ctx)
	if err == nil {
		err = domain.NoteIndexRebuilt(ctx, r.detail())
	}
	if err == nil {
		err = s.kept.Sync(ctx)
	}
	return errors.Join(err, k.Close())
}

func (r Rebuilt) detail() registry.IndexRebuiltDetail {
	return registry.IndexRebuiltDetail{Reason: r.Why, Update: r.Number}
}

// remake is Rebuild in a folder that is open.
func remake(ctx context.Context, dir *datadir.Dir, force bool) (r Rebuilt, err error) {
	why := errors.New("it was asked for")
	var bad *BadIndexError
	x, err := openIndex(dir, 0, seams{}, slog.New(slog.DiscardHandler))
	switch {
	case errors.As(err, &bad):
		why = bad.Err
	case err != nil:
		return r, err
	default:
		if err := errors.Join(x.Sync(ctx), x.Close()); err != nil {
			return r, err
		}
		if !force {
			return r, ErrSound
		}
	}
	return rebuild(ctx, dir, why)
}

// rebuild puts an index in the place of a bad one. Whenever it dies, the old one
// is still there, or the journal without an index, which is rebuilt too.
func rebuild(ctx context.Context, dir *datadir.Dir, why error) (Rebuilt, error) {
	r := Rebuilt{Why: why.Error(), At: time.Now().UTC()}
	draft := dir.Index() + ".rebuilt"
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	report, err := fillDraft(ctx, dir, draft)
	if err != nil {
		return r, fmt.Errorf("rebuild the index: %w", errors.Join(err, os.Remove(draft)))
	}
	r.Number, r.Time, r.Rows, r.Cut = report.Number, report.Time, report.Rows, report.Cut
	if info, err := os.Stat(dir.Index()); err == nil {
		r.Until = info.ModTime().UTC()
	}
	if r.Aside, err = putAside(dir.Index(), r.At); err != nil {
		return r, fmt.Errorf("put the bad index aside: %w", err)
	}
	if err := os.Rename(draft, dir.Index()); err != nil {
		return r, fmt.Errorf("rebuild the index: %w", err)
	}
	return r, disk.Sync(disk.OS{}, dir.Path())
}

// fillDraft writes a new index under another name, and syncs it.
func fillDraft(ctx context.Context, dir *datadir.Dir, draft string) (journal.Report, error) {
	x, err := boltindex.Open(draft, boltindex.Options{Bulk: true})
	if err != nil {
		return journal.Report{}, err
	}
	report, err := journal.Replay(ctx, dir.Journal(), journal.At{}, x)
	if err == nil { // updates that were lost leave their numbers to others
		err = registry.NewLineage(ctx, x)
	}
	return report, errors.Join(err, x.Close())
}

// putAside gives a bad index another name, which is returned: "" if it is not there.
func putAside(path string, now time.Time) (string, error) {
	aside := filepath.Join(filepath.Dir(path), "index.damaged-"+now.Format("20060102T150405.000Z"))
	err := os.Rename(path, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return aside, err
}

// canRebuild says why a journal cannot give an index back, nil if it can.
func canRebuild(dir *datadir.Dir) error {
	s, err := journal.Open(dir.Journal(), journal.At{})
	if err != nil {
		return err
	}
	return s.Close()
}

// opening is how an index is opened.
type opening struct {
	rebuild  string        // the setting: what to do with a bad one
	patience time.Duration // see openIndex
}

// openOrRebuild opens the index of a folder, and a bad one after it was rebuilt, if
// the setting says so.
func openOrRebuild(ctx context.Context, dir *datadir.Dir, how opening, in seams, log *slog.Logger) (kept, *Rebuilt, error) {
	x, err := openIndex(dir, how.patience, in, log)
	var bad *BadIndexError
	if !errors.As(err, &bad) {
		return x, nil, err
	}
	if err := refuse(dir, how.rebuild, bad); err != nil {
		return x, nil, err
	}
	log.Error("the index is bad; it is made anew from its journal", "path", bad.Path, "error", bad.Err)
	r, err := rebuild(ctx, dir, bad.Err)
	if err != nil {
		return x, nil, errors.Join(bad, err)
	}
	log.Warn(r.String(), "rows", r.Rows, "update", r.Number, "cut", r.Cut)
	if x, err = openIndex(dir, 0, in, log); err != nil {
		return x, &r, err
	}
	if err := x.Sync(ctx); err != nil { // as in noteRebuilt
		log.Warn("the journal of the index that was made anew is not whole yet", "error", err)
	}
	return x, &r, nil
}

// refuse says what there is to do about a bad index, nil if a start makes it anew by itself.
func refuse(dir *datadir.Dir, setting string, bad *BadIndexError) error {
	if err := canRebuild(dir); err != nil {
		return fmt.Errorf("%w\nit cannot be made anew, put a backup in its place: %w", bad, err)
	}
	if setting != config.RebuildAuto {
		return fmt.Errorf("%w\nmake it anew from its journal by: berth rebuild --data %s\nor have each start do so by the setting rebuild: auto", bad, dir.Path())
	}
	return nil
}
