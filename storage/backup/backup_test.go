package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage/backup"
)

func TestBackupComesBack(t *testing.T) {
	s, to := newStore(t), folder(t)
	for i := range 20 {
		s.add(fmt.Sprintf("layer %d", i))
		s.put(fmt.Sprintf("tag %d", i), "something")
	}
	s.add("")
	r := s.backUp(to)
	if r.Blobs != 21 || r.Copied != 21 || r.Number != 41 || len(r.Lacks) != 0 {
		t.Errorf("report %+v", r)
	}
	got, number, err := restored(t, to, backup.Wanted{})
	if diff := cmp.Diff(s.rows(), got); err != nil || number != 41 || diff != "" {
		t.Errorf("restored state %d, %v (-want +got):\n%s", number, err, diff)
	}
}

// TestNothingIsCopiedTwice counts how often each blob is read of the store.
func TestNothingIsCopiedTwice(t *testing.T) {
	s, to := newStore(t), folder(t)
	first := s.add("first")
	s.backUp(to)
	second := s.add("second")
	if r := s.backUp(to); r.Copied != 1 || r.Blobs != 2 {
		t.Errorf("the second backup copied %d of %d", r.Copied, r.Blobs)
	}
	third := s.add("third")
	s.records(to)
	if r := s.backUp(to); r.Copied != 0 || r.Blobs != 3 {
		t.Errorf("the fourth backup copied %d of %d", r.Copied, r.Blobs)
	}
	if diff := cmp.Diff(map[string]int{first: 1, second: 1, third: 1}, s.reads); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

// TestDamagedLayerIsNamed damages layers in the store in several ways.
func TestDamagedLayerIsNamed(t *testing.T) {
	s, to := newStore(t), folder(t)
	ctx := t.Context()
	s.add("good")
	for content, bad := range map[string]string{"flipped": "flippee", "short": "shor", "long": "longer"} {
		id := s.add(content)
		must(t, s.blobs.Delete(ctx, id))
		_, err := s.blobs.Append(ctx, id, 0, strings.NewReader(bad))
		must(t, err)
		must(t, s.blobs.Seal(ctx, id))
	}
	must(t, s.blobs.Delete(ctx, s.add("gone")))
	r := s.backUp(to)
	if r.Blobs != 1 || r.Total.Damaged != 4 || len(r.Lacks) != 4 {
		t.Errorf("report %+v", r)
	}
	for _, l := range r.Lacks {
		if l.Damaged == "" || l.ID == "" {
			t.Errorf("a damaged layer is told as %+v", l)
		}
	}
	_, _, err := restored(t, to, backup.Wanted{})
	if !errors.Is(err, backup.ErrLacking) || !strings.Contains(err.Error(), digestOf("gone").String()) {
		t.Errorf("restored: %v, want that it lacks layers", err)
	}
	for name := range files(t, to.Path()) {
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s is left behind", name)
		}
	}
	b, err := backup.Find(ctx, to, backup.Wanted{}, signKey)
	must(t, err)
	if err := b.Verify(ctx, func(backup.Progress) {}); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("verified: %v", err)
	}
}

func TestDamagedTargetIsMendedByVerify(t *testing.T) {
	s, to := newStore(t), folder(t)
	id := s.add("content")
	s.backUp(to)
	name := filepath.Join(to.Path(), "blobs", id[:2], id)
	write(t, name, "CONTENT")
	if r := s.backUp(to); r.Copied != 0 {
		t.Errorf("copied %d without being asked to look", r.Copied)
	}
	o := s.options(to)
	o.Rehash = true
	r, err := backup.Make(t.Context(), o)
	must(t, err)
	if r.Copied != 1 {
		t.Errorf("copied %d, want the damaged one", r.Copied)
	}
	if _, _, err := restored(t, to, backup.Wanted{}); err != nil {
		t.Error(err)
	}
}

// TestAnyStateInBetween restores each state between several backups.
func TestAnyStateInBetween(t *testing.T) {
	s, to := newStore(t), folder(t)
	states := map[uint64]map[string]string{}
	times := map[uint64]time.Time{}
	step := func(n int) {
		if n%3 == 0 {
			s.add(fmt.Sprintf("layer %d", n))
		} else {
			s.put(fmt.Sprintf("row %d", n%7), fmt.Sprint(n))
		}
		must(t, s.index.Sync(t.Context())) // the record has its time then
		states[s.index.Last()], times[s.index.Last()] = s.rows(), time.Now()
	}
	for n := range 40 {
		step(n)
		switch n {
		case 9, 30:
			s.backUp(to)
		case 15, 20, 35, 39:
			s.records(to)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(states)) {
		wants := []backup.Wanted{{Number: number}, {At: times[number]}}
		for _, want := range wants {
			got, at, err := restored(t, to, want)
			switch {
			case number <= 10 && errors.Is(err, backup.ErrNone):
			case number == 40 && want.Number == 0: // later than the last backup began, by a hair
			case err != nil || at != number:
				t.Errorf("state %d by %+v: %d, %v", number, want, at, err)
			default:
				if diff := cmp.Diff(states[number], got); diff != "" {
					t.Errorf("state %d (-want +got):\n%s", number, diff)
				}
			}
		}
	}
	for _, want := range []backup.Wanted{{Number: 41}, {At: time.Now().Add(time.Hour)}, {ID: "20260102T150405Z-01234567"}} {
		if _, _, err := restored(t, to, want); !errors.Is(err, backup.ErrNone) {
			t.Errorf("%+v: %v, want ErrNone", want, err)
		}
	}
	last, number, err := restored(t, to, backup.Wanted{})
	if diff := cmp.Diff(s.rows(), last); err != nil || number != 40 || diff != "" {
		t.Errorf("the last state is %d, %v (-want +got):\n%s", number, err, diff)
	}
}

// TestStateWithLayersThatCameAndWent names what cannot be had.
func TestStateWithLayersThatCameAndWent(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("stays")
	s.backUp(to)
	id := s.add("comes and goes")
	there := s.index.Last()
	s.drop("comes and goes", id)
	s.records(to)
	if _, _, err := restored(t, to, backup.Wanted{Number: there}); !errors.Is(err, backup.ErrLacking) {
		t.Errorf("restored: %v, want ErrLacking", err)
	}
	if _, _, err := restored(t, to, backup.Wanted{}); err != nil {
		t.Error(err)
	}
}

// TestOtherHistoriesAreNotMixed goes on from an older state of the same store.
func TestOtherHistoriesAreNotMixed(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("one")
	s.backUp(to)
	other := newStore(t)
	other.add("two")
	other.put("a", "b")
	o := other.options(to)
	o.Lineage = "elsewhere"
	if _, err := backup.MakeRecords(t.Context(), o); !errors.Is(err, backup.ErrNoRecords) {
		t.Errorf("records of another history: %v, want ErrNoRecords", err)
	}
	r, err := backup.Make(t.Context(), o)
	must(t, err)
	list, err := backup.List(t.Context(), to)
	if err != nil || len(list) != 2 || list[1].ID != r.ID {
		t.Errorf("list %+v, %v", list, err)
	}
	o.Key = "other"
	if _, err := backup.Make(t.Context(), o); !errors.Is(err, backup.ErrForeign) {
		t.Errorf("backup of another store: %v, want ErrForeign", err)
	}
}

func TestPruneKeepsWhatIsNamed(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("always there")
	old := s.add("old")
	s.backUp(to)
	s.drop("old", old)
	s.records(to)
	between := s.add("between")
	s.backUp(to)
	s.drop("between", between)
	s.backUp(to)
	last := s.rows()
	done, err := backup.Prune(t.Context(), to, 2)
	must(t, err)
	if len(done.Backups) != 3 { // the first, and the changes after it in two steps
		t.Errorf("pruned %v", done.Backups)
	}
	list, err := backup.List(t.Context(), to)
	must(t, err)
	for _, l := range list {
		if _, _, err := restored(t, to, backup.Wanted{ID: l.ID}); err != nil {
			t.Errorf("backup %s after the pruning: %v", l.ID, err)
		}
	}
	got, _, err := restored(t, to, backup.Wanted{})
	if diff := cmp.Diff(last, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name := range files(t, to.Path()) {
		if strings.HasSuffix(name, old) {
			t.Errorf("%s is still there", name)
		}
	}
	if _, err := backup.Prune(t.Context(), to, 0); err == nil {
		t.Error("nothing was to be kept")
	}
}

func TestPruneRemovesNothingBesideADamagedManifest(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("one")
	first := s.backUp(to)
	s.backUp(to)
	name := filepath.Join(to.Path(), "manifests", first.ID)
	must(t, os.Truncate(name, 100))
	before := files(t, to.Path())
	if _, err := backup.Prune(t.Context(), to, 1); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("pruned: %v, want ErrDamaged", err)
	}
	if diff := cmp.Diff(before, files(t, to.Path())); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

func TestLock(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.backUp(to)
	_, unlock, err := openFolder(t, to.Path()).Lock(t.Context())
	must(t, err)
	if _, err := backup.Make(t.Context(), s.options(to)); !errors.Is(err, backup.ErrLocked) {
		t.Errorf("backup beside another process: %v, want ErrLocked", err)
	}
	if _, err := backup.Prune(t.Context(), to, 1); !errors.Is(err, backup.ErrLocked) {
		t.Errorf("pruning beside another process: %v, want ErrLocked", err)
	}
	must(t, unlock())
	s.backUp(to)
}

// failing is a target that fails after so many writes.
type failing struct {
	*backup.Folder
	left atomic.Int64
}

func newFailing(to *backup.Folder, left int64) *failing {
	f := &failing{Folder: to}
	f.left.Store(left)
	return f
}

var errDisk = errors.New("no room")

func (f *failing) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if left := f.left.Add(-1); left < 0 {
		if left%2 == 0 { // as with a process that dies in the middle
			_ = os.MkdirAll(filepath.Dir(filepath.Join(f.Path(), name)), 0o700)
			_ = os.WriteFile(filepath.Join(f.Path(), name+".part"), []byte("half"), 0o600)
		}
		return errDisk
	}
	return f.Folder.Put(ctx, name, r, size)
}

// TestBrokenOffAnywhere fails at each write in turn. What was there before comes back
// whole, and the next backup succeeds.
func TestBrokenOffAnywhere(t *testing.T) {
	s, to := newStore(t), folder(t)
	s.add("before")
	s.backUp(to)
	before := s.rows()
	for n := range 6 {
		s.add(fmt.Sprintf("layer %d", n))
	}
	for left := int64(0); ; left++ {
		_, err := backup.Make(t.Context(), s.options(newFailing(to, left)))
		if err == nil {
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("after %d writes: %v", left, err)
		}
		list, err := backup.List(t.Context(), to)
		must(t, err)
		got, _, err := restored(t, to, backup.Wanted{ID: list[0].ID})
		if diff := cmp.Diff(before, got); err != nil || diff != "" {
			t.Fatalf("after %d writes: %v (-want +got):\n%s", left, err, diff)
		}
	}
	got, _, err := restored(t, to, backup.Wanted{})
	if diff := cmp.Diff(s.rows(), got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name := range files(t, to.Path()) {
		if strings.HasSuffix(name, ".part") {
			t.Errorf("%s is left behind", name)
		}
	}
}

func TestEndOfContextEndsABackup(t *testing.T) {
	s, to := newStore(t), folder(t)
	for n := range 50 {
		s.add(fmt.Sprintf("layer %d", n))
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := s.options(to)
	o.Progress = func(p backup.Progress) {
		if p.Doing == "copy layers" || p.Doing == "take a snapshot of the index" {
			cancel()
		}
	}
	if _, err := backup.Make(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
	if list, err := backup.List(t.Context(), to); err != nil || len(list) != 0 {
		t.Errorf("list %v, %v", list, err)
	}
}
