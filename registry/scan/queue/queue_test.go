package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/queue"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

var here = registry.ID{Account: "000000000000", Region: "us-east-1"}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scannerFunc is a scan.Scanner.
type scannerFunc func(context.Context, scan.Image) (scan.Report, error)

func (f scannerFunc) Scan(ctx context.Context, img scan.Image) (scan.Report, error) {
	return f(ctx, img)
}

// clean finds one vulnerability in everything.
func clean(context.Context, scan.Image) (scan.Report, error) {
	return scan.Report{Findings: []scan.Finding{{ID: "X-1", Name: "CVE-2026-1", Severity: scan.High}}}, nil
}

func reopen(t testing.TB, index storage.Index, blobs storage.Blobs) *registry.Service {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: blobs, CreateOnPush: registry.CreateAlways})
	must(t, err)
	return s
}

// open makes a service that has all images scanned when they are pushed.
func open(t testing.TB) (*registry.Service, storage.Index, storage.Blobs) {
	t.Helper()
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	s := reopen(t, index, blobs)
	_, err := s.PutScanning(t.Context(), here, scan.Settings{Rules: []scan.Rule{{Frequency: scan.OnPush, Filters: []string{"*"}}}})
	must(t, err)
	return s, index, blobs
}

func repository(t testing.TB) registry.Name {
	t.Helper()
	n, err := registry.ParseName(here, "team/app")
	must(t, err)
	return n
}

// push stores an image of one layer, which names it, under a tag.
func push(t testing.TB, s *registry.Service, content string) registry.Image {
	t.Helper()
	n, ctx := repository(t), t.Context()
	u, err := s.StartUpload(ctx, n, registry.NewUpload{MayCreate: true})
	must(t, err)
	_, err = s.AppendUpload(ctx, n, u.ID, registry.Part{Offset: -1, Length: -1, Body: strings.NewReader(content)})
	must(t, err)
	d := digest.FromBytes(digest.SHA256, []byte(content))
	_, err = s.FinishUpload(ctx, n, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	must(t, err)
	of := func(mediaType string) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, d, len(content))
	}
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, manifest.MediaTypeOCIManifest,
		of("application/vnd.oci.image.config.v1+json"), of("application/vnd.oci.image.layer.v1.tar"))
	tag, err := registry.ParseTag(strings.ReplaceAll(content, " ", "-"))
	must(t, err)
	done, err := s.PutImage(ctx, n, registry.Push{Tags: []registry.Tag{tag}, Body: []byte(body)})
	must(t, err)
	return done.Image
}

func isOf(img scan.Image, content string) bool {
	return img.Layers[0].Digest == digest.FromBytes(digest.SHA256, []byte(content))
}

func worker(t testing.TB, s queue.Registry, by scannerFunc) *queue.Worker {
	t.Helper()
	w, err := queue.New(queue.Options{Registry: s, Scanner: by, Workers: 2})
	must(t, err)
	return w
}

// run runs a worker until stop, which waits for its end.
func run(t testing.TB, w *queue.Worker) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		must(t, <-done)
	}
}

// outcomes are what is told of scans, by image.
func outcomes(t testing.TB, s *registry.Service) map[digest.Digest][]string {
	t.Helper()
	all := map[digest.Digest][]string{}
	page, err := s.Events(t.Context(), 0, 100_000)
	must(t, err)
	for _, e := range page {
		if e.Kind != registry.ImageScanned {
			continue
		}
		var d registry.ScanDetail
		must(t, json.Unmarshal(e.Detail, &d))
		all[e.Digest] = append(all[e.Digest], d.Status)
	}
	return all
}

func sound(t testing.TB, s *registry.Service) {
	t.Helper()
	for f, err := range s.Check(t.Context(), registry.Check{Hash: true}) {
		must(t, err)
		t.Errorf("rows do not agree: %v", f)
	}
}

func TestOptions(t *testing.T) {
	s, _, _ := open(t)
	for what, o := range map[string]queue.Options{
		"no registry": {Scanner: scannerFunc(clean)}, "no scanner": {Registry: s},
		"a negative number": {Registry: s, Scanner: scannerFunc(clean), Workers: -1},
	} {
		if _, err := queue.New(o); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// What waits is scanned, and what is pushed while the worker waits.
func TestDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		for i := range 50 {
			push(t, s, fmt.Sprint(i))
		}
		w := worker(t, s, clean)
		stop := run(t, w)
		synctest.Wait()
		push(t, s, "later")
		synctest.Wait()
		stop()
		all := outcomes(t, s)
		for d, list := range all {
			if len(list) != 1 || list[0] != "COMPLETE" {
				t.Errorf("%s: %q", d, list)
			}
		}
		if len(all) != 51 {
			t.Errorf("%d images were scanned, want 51", len(all))
		}
		want := map[queue.Kind]int64{{Type: scan.Basic, Status: scan.Complete}: 51}
		if diff := cmp.Diff(want, w.Figures().Done); diff != "" {
			t.Errorf("figures (-want +got):\n%s", diff)
		}
		sound(t, s)
	})
}

// A fault is tried three times, with rests between, beside which others go on; what is the
// image's own is told at once.
func TestTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		for _, content := range []string{"dies", "faulty", "heals", "too large", "good"} {
			push(t, s, content)
		}
		var mu sync.Mutex
		var order []string
		tries := map[string]int{}
		began := time.Now()
		stop := run(t, worker(t, s, func(ctx context.Context, img scan.Image) (scan.Report, error) {
			mu.Lock()
			defer mu.Unlock()
			for content, err := range map[string]error{
				"dies": scan.ErrDied, "faulty": errors.New("no memory"), "heals": errors.New("not now"), "too large": scan.NewProblem(scan.OverLimit, "too large"), "good": nil,
			} {
				if !isOf(img, content) {
					continue
				}
				tries[content]++
				if content == "heals" && tries[content] == 2 {
					err = nil
				}
				order = append(order, fmt.Sprintf("%s after %s", content, time.Since(began).Truncate(10*time.Second)))
				return scan.Report{}, err
			}
			return scan.Report{}, errors.New("what is this")
		}))
		time.Sleep(time.Hour)
		stop()
		if diff := cmp.Diff(map[string]int{"dies": 3, "faulty": 3, "heals": 2, "too large": 1, "good": 1}, tries); diff != "" {
			t.Errorf("tries (-want +got):\n%s\n%q", diff, order)
		}
		got := map[string]int{}
		for _, list := range outcomes(t, s) {
			got[strings.Join(list, " ")]++
		}
		if diff := cmp.Diff(map[string]int{"COMPLETE": 2, "FAILED": 3}, got); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		sound(t, s)
	})
}

// A scan that is under way at an orderly stop waits for the next start, and does not
// count as one that failed.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		img := push(t, s, "slow")
		for range 5 {
			stop := run(t, worker(t, s, func(ctx context.Context, _ scan.Image) (scan.Report, error) {
				<-ctx.Done()
				return scan.Report{}, ctx.Err()
			}))
			synctest.Wait()
			stop()
			list, err := s.WaitingScans(t.Context(), 10)
			must(t, err)
			if len(list) != 1 || list[0].Attempts != 0 || list[0].Running || list[0].Digest != img.Digest {
				t.Fatalf("after a stop there wait %+v", list)
			}
		}
		stop := run(t, worker(t, s, clean))
		synctest.Wait()
		stop()
		if got := outcomes(t, s)[img.Digest]; len(got) != 1 || got[0] != "COMPLETE" {
			t.Errorf("in the end it is %q", got)
		}
	})
}

// full is a registry that has no room for what scans found.
type full struct {
	*registry.Service
	mu    sync.Mutex
	tries int
	until int
}

func (f *full) FinishScan(ctx context.Context, j registry.ScanJob, r scan.Report, failed error) (scan.Outcome, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tries++; f.tries <= f.until {
		return scan.Outcome{}, false, storage.ErrFull
	}
	return f.Service.FinishScan(ctx, j, r, failed)
}

// A full store is none of the image's doing: it is scanned again until there is room.
func TestFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		img := push(t, s, "found")
		stop := run(t, worker(t, &full{Service: s, until: 20}, clean))
		time.Sleep(time.Hour)
		stop()
		if got := outcomes(t, s)[img.Digest]; len(got) != 1 || got[0] != "COMPLETE" {
			t.Errorf("in the end it is %q", got)
		}
	})
}

// A scan of what is deleted meanwhile is broken off.
func TestBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		img := push(t, s, "slow")
		ended := make(chan error, 1)
		stop := run(t, worker(t, s, func(ctx context.Context, _ scan.Image) (scan.Report, error) {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return scan.Report{}, ctx.Err()
		}))
		synctest.Wait()
		_, err := s.DeleteImage(t.Context(), img.Name, registry.Ref{Digest: img.Digest}, nil)
		must(t, err)
		time.Sleep(time.Minute)
		select {
		case err := <-ended:
			if err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it ended by %v", err)
			}
		default:
			t.Error("it goes on")
		}
		stop()
		if got := outcomes(t, s); len(got) != 0 {
			t.Errorf("scans are told of: %v", got)
		}
	})
}

// A long scan keeps its lease, so no other one begins it too.
func TestLongScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _ := open(t)
		push(t, s, "slow")
		var mu sync.Mutex
		n := 0
		stop := run(t, worker(t, s, func(ctx context.Context, img scan.Image) (scan.Report, error) {
			mu.Lock()
			n++
			mu.Unlock()
			time.Sleep(10 * time.Minute)
			return clean(ctx, img)
		}))
		time.Sleep(time.Hour)
		stop()
		if n != 1 {
			t.Errorf("it was scanned %d times", n)
		}
	})
}

// A server that dies at any update of its index while images are scanned tells of each of
// them once, when it is started again.
func TestKilledAnywhere(t *testing.T) {
	storagetest.KillAnywhere(t, killAt)
}

// killAt kills a server with its update n, and says whether there was one.
func killAt(t *testing.T, n int, after bool) (killed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		what := fmt.Sprintf("killed at update %d, committed: %v", n, after)
		s, index, blobs := open(t)
		var pushed []registry.Image
		for i := range 5 {
			pushed = append(pushed, push(t, s, fmt.Sprint(i)))
		}
		m := storagetest.NewMortal(index, n, after)
		stop := run(t, worker(t, reopen(t, m, blobs), clean))
		synctest.Wait()
		killed = m.Dead()
		stop()

		s = reopen(t, index, blobs)
		stop = run(t, worker(t, s, clean))
		time.Sleep(5 * time.Minute) // the leases of those that died
		stop()
		all := outcomes(t, s)
		for _, img := range pushed {
			if got := all[img.Digest]; len(got) != 1 || got[0] != "COMPLETE" {
				t.Errorf("%s: %s is %q", what, img.Digest, got)
			}
		}
		sound(t, s)
	})
	return killed
}
