package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const window = 14 * 24 * time.Hour

func TestEnhancedStatuses(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now, RescanWindow: window, TrashWindow: time.Hour})
	n, off := create(t, s, "prod/app"), create(t, s, "off")
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "prod"))
	img, unmatched := addImage(t, s, n, "1", "one"), addImage(t, s, off, "1", "one")
	index := put(t, s, n, "index", indexOf(t, img))
	wantNotScanned(t, "what no rule matches", s, unmatched)
	wantNotScanned(t, "a list", s, index)
	_, err := s.StartScan(alice(t), n, byDigest(img))
	wantCode(t, "by hand", err, registry.ScansDisabled)
	wantStatus(t, "while it waits", s, img, scan.Pending, -1)

	for _, tt := range []struct {
		failed error
		status scan.Status
	}{
		{scan.NewProblem(scan.NoDatabase, "none"), scan.FindingsUnavailable},
		{scan.NewProblem(scan.NoData, "none"), scan.FindingsUnavailable},
	} {
		if n := scanAll(t, s, fails(tt.failed)); n != 1 {
			t.Errorf("%d scans for %v", n, tt.failed)
		}
		wantStatus(t, tt.failed.Error(), s, img, tt.status, -1)
		must(t, s.RematchScans(t.Context(), fmt.Sprint("after ", tt.failed, tt.status, time.Now())))
	}
	scanAll(t, s, finds(2))
	wantStatus(t, "found", s, img, scan.Active, 2)
	now.pass(window - 1)
	wantStatus(t, "within the window", s, img, scan.Active, 2)
	now.pass(1)
	wantStatus(t, "outside of the window", s, img, scan.EligibilityExpired, 2)
	must(t, s.RematchScans(t.Context(), "newer"))
	wantScans(t, "outside of the window", s, 0)

	_, err = s.DeleteImage(alice(t), n, byDigest(index), nil)
	must(t, err)
	setClass(t, s, n, img, registry.ArchiveClass)
	wantStatus(t, "archived", s, img, scan.Archived, -1)
	setClass(t, s, n, img, registry.StandardClass)
	wantStatus(t, "back from the archive", s, img, scan.Pending, -1)
	scanAll(t, s, finds(3))
	wantStatus(t, "back from the archive", s, img, scan.Active, 3)
	now.pass(window)
	_, err = s.DeleteImage(alice(t), n, byDigest(img), nil)
	must(t, err)
	_, err = s.RestoreImage(alice(t), n, byDigest(img))
	must(t, err)
	wantStatus(t, "back from the trash", s, img, scan.Pending, -1)
	scanAll(t, s, fails(scan.NewProblem(scan.UnknownSystem, "what is this")))
	wantStatus(t, "an unknown system", s, img, scan.Unsupported, -1)

	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "none"))
	wantNotScanned(t, "when no rule matches any more", s, img)
	putScanning(t, s, scan.Basic)
	wantNotScanned(t, "beside basic scans", s, img)
	startScan(t, s, img)
	scanAll(t, s, finds(5))
	wantStatus(t, "beside basic scans", s, img, scan.Complete, 5)
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "prod"))
	wantStatus(t, "beside enhanced scans again", s, img, scan.Unsupported, -1)
}

// Without a window images are scanned again for ever.
func TestNoWindow(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	n := create(t, s, "app")
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "*"))
	img := addImage(t, s, n, "1", "one")
	scanAll(t, s, finds(1))
	now.pass(100 * window)
	must(t, s.RematchScans(t.Context(), "newer"))
	wantScans(t, "after years", s, 1)
	wantStatus(t, "after years", s, img, scan.Active, 0)
}

// dies is an index that fails with one of its updates.
type dies struct {
	storage.Index
	lives int
}

func (d *dies) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if d.lives--; d.lives == 0 {
		return fmt.Errorf("it died")
	}
	return d.Index.Update(ctx, fn)
}

// What was there before a rule is scanned, once, if it came lately, and also if the
// server dies on the way.
func TestFillScans(t *testing.T) {
	now := newClock()
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	o := registry.Options{Now: now.now, Index: index, Blobs: blobs, RescanWindow: window}
	s := open(t, o)
	n := create(t, s, "a/first")
	old := addImage(t, s, n, "old", "old")
	now.pass(window)
	var want []registry.Image
	for _, repo := range []string{"a/first", "a/second", "b/other", "c/third"} {
		in := name(t, repo)
		if repo != "a/first" {
			create(t, s, repo)
		}
		for i := range 120 {
			img := addImage(t, s, in, "", fmt.Sprint(repo, i))
			if repo != "b/other" {
				want = append(want, img)
			}
		}
	}
	create(t, s, "empty")
	due := func(is bool) {
		t.Helper()
		if got, err := s.ScanFillDue(t.Context()); err != nil || got != is {
			t.Errorf("there is something to look for: %v, %v; want %v", got, err, is)
		}
	}
	due(false)
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "a*"), scanRule(scan.OnPush, "third"))
	select {
	case <-s.ScanningChanged():
	default:
		t.Error("nobody is told of the change")
	}
	due(true)
	wantStatus(t, "before the look", s, want[0], scan.Pending, -1)
	wantStatus(t, "what came long ago", s, old, scan.EligibilityExpired, -1)
	for n := 2; ; n++ { // each time it comes a page further
		o.Index = &dies{index, n % 3}
		if err := openUnchecked(t, o).FillScans(t.Context()); err == nil {
			break
		}
		if n > 1000 {
			t.Fatal("it comes to no end")
		}
	}
	due(false)
	scannedOnce := map[string]int{}
	for scanOne(t, s, func(j registry.ScanJob, _ scan.Image) (scan.Report, error) {
		scannedOnce[j.Name.String()+j.Digest.String()]++
		return reportOf(1), nil
	}) {
	}
	for _, img := range want {
		if n := scannedOnce[img.Name.String()+img.Digest.String()]; n != 1 {
			t.Errorf("%s of %s was scanned %d times", img.Digest, img.Name, n)
		}
	}
	if len(scannedOnce) != len(want) {
		t.Errorf("%d images were scanned, want %d", len(scannedOnce), len(want))
	}
	must(t, s.FillScans(t.Context()))
	wantScans(t, "again", s, 0)
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "*"))
	due(true)
	must(t, s.FillScans(t.Context()))
	wantScans(t, "by a wider rule", s, 120)
	putScanning(t, s, scan.Basic)
	due(true)
	must(t, s.FillScans(t.Context()))
	due(false)
	wantScans(t, "beside basic scans", s, 0)
}

// A new database has what was found matched again, without a layer's being opened, and
// what came to nothing scanned anew; nobody sees the status change.
func TestRematch(t *testing.T) {
	now := newClock()
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	o := registry.Options{Now: now.now, Index: index, Blobs: blobs, RescanWindow: window}
	s := open(t, o)
	n, pushed := create(t, s, "cont/app"), create(t, s, "push/app")
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "cont"), scanRule(scan.OnPush, "push"))
	good, none, onPush := addImage(t, s, n, "1", "good"), addImage(t, s, n, "2", "none"), addImage(t, s, pushed, "1", "good")
	addImage(t, s, pushed, "2", "none")
	scanAll(t, s, func(j registry.ScanJob, _ scan.Image) (scan.Report, error) {
		if j.Digest == none.Digest {
			return scan.Report{}, scan.NewProblem(scan.NoDatabase, "none")
		}
		return reportOf(2), nil
	})
	is := func(of string, want bool) {
		t.Helper()
		if got, err := s.RematchDue(t.Context(), of); err != nil || got != want {
			t.Errorf("there is something to look for with %q: %v, %v; want %v", of, got, err, want)
		}
	}
	rematched := func(what string, want int) {
		t.Helper()
		got := 0
		for scanOne(t, s, func(j registry.ScanJob, img scan.Image) (scan.Report, error) {
			switch j.Digest {
			case good.Digest:
				if got++; j.Name != n || !j.Rematch || img.Known == nil || len(img.Known.Packages) != 2 || img.Known.System.ID != "debian" {
					t.Errorf("%s: %+v has %+v", what, j, img.Known)
				}
				wantStatus(t, what, s, good, scan.Active, 2)
			case none.Digest:
				if got++; j.Rematch || img.Known != nil {
					t.Errorf("%s: %+v has %+v", what, j, img.Known)
				}
				of := none
				of.Name = j.Name
				wantStatus(t, what, s, of, scan.Pending, -1)
				return scan.Report{}, scan.NewProblem(scan.NoDatabase, "none")
			default:
				t.Errorf("%s: %s of %s is scanned", what, j.Digest, j.Name)
			}
			return reportOf(2), nil
		}) {
		}
		if got != want {
			t.Errorf("%s: %d scans, want %d", what, got, want)
		}
	}
	is("first", true)
	o.Index = &dies{index, 2}
	_ = openUnchecked(t, o).RematchScans(t.Context(), "first")
	before := len(readEvents(t, s, 1000))
	must(t, s.RematchScans(t.Context(), "first"))
	is("first", false)
	rematched("a first database", 3)
	if told := len(readEvents(t, s, 1000)) - before; told != 2 {
		t.Errorf("%d scans are told of, want those that were anew alone", told)
	}
	must(t, s.RematchScans(t.Context(), "first"))
	rematched("the same database", 0)
	is("", true)
	must(t, s.RematchScans(t.Context(), ""))
	is("", false)
	rematched("no database", 0)
	is("first", true)
	must(t, s.RematchScans(t.Context(), "first"))
	rematched("the database is back", 3)

	must(t, s.RematchScans(t.Context(), "second"))
	scanAll(t, s, finds(4))
	wantStatus(t, "with another database", s, good, scan.Active, 4)
	wantStatus(t, "with another database", s, onPush, scan.Active, 2)
	wantStatus(t, "with another database", s, none, scan.Active, 4)
	must(t, s.RematchScans(t.Context(), "third"))
	scanAll(t, s, fails(scan.NewProblem(scan.NoData, "no data")))
	wantStatus(t, "with a database that has nothing", s, good, scan.FindingsUnavailable, 4)
}

// A database that comes while a scan is under way is for that image too.
func TestRematchMeanwhile(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "app")
	putScanning(t, s, scan.Enhanced, scanRule(scan.Continuously, "*"))
	img := addImage(t, s, n, "1", "one")
	waits := addImage(t, s, n, "2", "two")
	job, ok, _, err := s.NextScan(t.Context(), time.Minute)
	if must(t, err); !ok || job.Digest != img.Digest {
		t.Fatalf("the first scan is %+v", job)
	}
	must(t, s.RematchScans(t.Context(), "newer"))
	_, _, err = s.FinishScan(t.Context(), job, reportOf(1), nil)
	must(t, err)
	got := map[string]int{}
	for scanOne(t, s, func(j registry.ScanJob, img scan.Image) (scan.Report, error) {
		got[fmt.Sprint(j.Digest, j.Rematch)]++
		return reportOf(2), nil
	}) {
	}
	if len(got) != 2 || got[fmt.Sprint(img.Digest, true)] != 1 || got[fmt.Sprint(waits.Digest, false)] != 1 {
		t.Errorf("scans: %v", got)
	}
	wantStatus(t, "in the end", s, img, scan.Active, 2)
}
