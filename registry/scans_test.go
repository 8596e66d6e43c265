package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// scanner answers for a scan.Scanner.
type scanner func(registry.ScanJob, scan.Image) (scan.Report, error)

// clean finds nothing.
func clean(registry.ScanJob, scan.Image) (scan.Report, error) { return scan.Report{}, nil }

// finds finds so many vulnerabilities.
func finds(n int) scanner {
	return func(registry.ScanJob, scan.Image) (scan.Report, error) { return reportOf(n), nil }
}

// fails ends with an error.
func fails(err error) scanner {
	return func(registry.ScanJob, scan.Image) (scan.Report, error) { return scan.Report{}, err }
}

var databaseDate = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// reportOf has so many findings, each of a number of its own, half of them high.
func reportOf(n int) scan.Report {
	r := scan.Report{Database: databaseDate, Inventory: scan.Inventory{System: scan.System{ID: "debian", VersionID: "12"}}}
	for i := range n {
		severity := scan.High
		if i >= (n+1)/2 {
			severity = scan.Low
		}
		p := scan.Package{Ecosystem: "Debian:12", Name: fmt.Sprintf("package-%d", i), Version: "1.0"}
		r.Inventory.Packages = append(r.Inventory.Packages, p)
		r.Findings = append(r.Findings, scan.Finding{ID: fmt.Sprintf("DSA-%06d", i), Name: fmt.Sprintf("CVE-2026-%06d", i), Severity: severity, Package: p})
	}
	return r
}

// scanOne takes the next scan through a scanner; false if none is due.
func scanOne(t testing.TB, s *registry.Service, by scanner) bool {
	t.Helper()
	job, ok, _, err := s.NextScan(t.Context(), time.Minute)
	must(t, err)
	if !ok {
		return false
	}
	img, there, err := s.ScanImage(t.Context(), job)
	if err == nil && !there {
		t.Fatalf("%s of %s is not there to be scanned", job.Digest, job.Name)
	}
	var report scan.Report
	if err == nil {
		report, err = by(job, img)
	}
	_, _, err = s.FinishScan(t.Context(), job, report, err)
	must(t, err)
	return true
}

// scanAll takes what is due through a scanner, and says how much that was.
func scanAll(t testing.TB, s *registry.Service, by scanner) (n int) {
	t.Helper()
	for scanOne(t, s, by) {
		n++
	}
	return n
}

func wantScans(t testing.TB, what string, s *registry.Service, want int) {
	t.Helper()
	if got := scanAll(t, s, clean); got != want {
		t.Errorf("%s: %d scans, want %d", what, got, want)
	}
}

func putScanning(t testing.TB, s *registry.Service, of scan.Type, rules ...scan.Rule) {
	t.Helper()
	_, err := s.PutScanning(alice(t), here, scan.Settings{Type: of, Rules: rules})
	must(t, err)
}

func scanRule(f scan.Frequency, filters ...string) scan.Rule {
	return scan.Rule{Frequency: f, Filters: filters}
}

func byDigest(img registry.Image) registry.Ref { return registry.Ref{Digest: img.Digest} }

// standing is how an image's scans stand, with a page of findings.
func standing(t testing.TB, s *registry.Service, img registry.Image) registry.ScanStanding {
	t.Helper()
	got, err := s.ScanFindings(alice(t), img.Name, byDigest(img), "", 1000)
	must(t, err)
	return got
}

// wantStatus fails the test unless an image's scans have a status, with so many findings,
// or with none to show if that is negative.
func wantStatus(t testing.TB, what string, s *registry.Service, img registry.Image, status scan.Status, findings int) {
	t.Helper()
	got := standing(t, s, img)
	n := -1
	if got.Answer != nil {
		n = len(got.Answer.Findings)
	}
	if got.Status != status || n != findings || got.Digest != img.Digest {
		t.Errorf("%s: %s %q with %d findings, want %s with %d", what, got.Status, got.Text, n, status, findings)
	}
}

func wantNotScanned(t testing.TB, what string, s *registry.Service, img registry.Image) {
	t.Helper()
	_, err := s.ScanFindings(alice(t), img.Name, byDigest(img), "", 10)
	wantCode(t, what, err, registry.ScanNotFound)
}

func startScan(t testing.TB, s *registry.Service, img registry.Image) {
	t.Helper()
	got, err := s.StartScan(alice(t), img.Name, byDigest(img))
	must(t, err)
	if got.Status != scan.InProgress || got.Digest != img.Digest {
		t.Errorf("a scan began: %+v", got)
	}
}

func TestWhatIsScannable(t *testing.T) {
	const dockerConfig, dockerManifest = "application/vnd.docker.container.image.v1+json", "application/vnd.docker.distribution.manifest.v2+json"
	s := open(t, registry.Options{})
	n := create(t, s, "app")
	putScanning(t, s, scan.Basic, scanRule(scan.OnPush, "*"))
	layer, config := addLayer(t, s, n, "layer"), addConfig(t, s, n)
	helm, docker, encrypted, attestation := config, config, layer, layer
	helm.MediaType, docker.MediaType = "application/vnd.cncf.helm.config.v1+json", dockerConfig
	encrypted.MediaType, attestation.MediaType = v1.MediaTypeImageLayerGzip+"+encrypted", "application/vnd.in-toto+json"
	of := func(config, layer v1.Descriptor, mediaType, artifactType string) registry.Image {
		m := v1.Manifest{MediaType: mediaType, Config: config, ArtifactType: artifactType, Layers: []v1.Descriptor{layer}}
		return put(t, s, n, "", imageOf(t, m))
	}
	plain := of(config, layer, "", "")
	of(docker, layer, dockerManifest, "")
	foreign := map[string]registry.Image{
		helm.MediaType:            of(helm, layer, "", ""),
		"application/vnd.example": of(config, layer, "", "application/vnd.example"),
		encrypted.MediaType:       of(config, encrypted, "", ""),
		attestation.MediaType:     of(config, attestation, "", ""),
		v1.MediaTypeImageIndex:    put(t, s, n, "", indexOf(t, plain)),
	}
	wantScans(t, "after the pushes", s, 2)
	wantStatus(t, "an image", s, plain, scan.Complete, 0)
	for called, img := range foreign {
		_, err := s.StartScan(alice(t), n, byDigest(img))
		if e := wantCode(t, called, err, registry.ImageNotScannable); e.Field != called {
			t.Errorf("refused for %q, want %q", e.Field, called)
		}
		wantNotScanned(t, called, s, img)
	}
	putScanning(t, s, scan.Enhanced, scanRule(scan.OnPush, "*"))
	wantStatus(t, "an image that waits to be looked for", s, plain, scan.Pending, -1)
	for called, img := range foreign { // none waits for what never comes
		wantNotScanned(t, called+" beside enhanced scans", s, img)
	}
}

// An image is scanned once a day, and what is no fault of its own does not count.
func TestScanOnceADay(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	img := addImage(t, s, create(t, s, "app"), "1", "layer")
	refused := func(what string) {
		t.Helper()
		_, err := s.StartScan(alice(t), img.Name, byDigest(img))
		wantCode(t, what, err, registry.ScanLimit)
	}
	wantNotScanned(t, "before any scan", s, img)
	startScan(t, s, img)
	wantStatus(t, "while it waits", s, img, scan.InProgress, -1)
	refused("while it waits")
	for _, ours := range []error{
		scan.NewProblem(scan.NoDatabase, "The server has no vulnerability database"), scan.NewProblem(scan.NoData, "no data"),
		scan.ErrDied, errors.New("open /secret: no such file"),
	} {
		scanAll(t, s, fails(ours))
		got := standing(t, s, img)
		if got.Status != scan.Failed || got.Answer != nil || got.Text == "" || strings.Contains(got.Text, "secret") {
			t.Errorf("after %v: %+v", ours, got)
		}
		startScan(t, s, img)
	}
	scanAll(t, s, fails(scan.NewProblem(scan.OverLimit, "more than 8 GiB")))
	wantStatus(t, "after a scan that failed for the image's sake", s, img, scan.Failed, -1)
	refused("after a scan that failed for the image's sake")
	now.pass(24*time.Hour - 1)
	refused("before the day is over")
	now.pass(1)
	startScan(t, s, img)
	scanAll(t, s, finds(3))
	wantStatus(t, "at the end", s, img, scan.Complete, 3)
	now.pass(24 * time.Hour)
	startScan(t, s, img)
	wantStatus(t, "while the next one waits", s, img, scan.InProgress, 3)
	scanAll(t, s, fails(scan.NewProblem(scan.UnknownSystem, "what is this")))
	got := standing(t, s, img)
	if got.Text != "UnsupportedImageError: The operating system and/or package manager are not supported." || got.Status != scan.Failed || len(got.Answer.Findings) != 3 {
		t.Errorf("after a scan of what is not known: %+v", got)
	}
}

// What comes is scanned by whichever way it came, as the settings say, and each once.
func TestScanWhatComes(t *testing.T) {
	now := newClock()
	index := memory.NewIndex()
	s := open(t, registry.Options{Now: now.now, Index: index, TrashWindow: time.Hour})
	n, quiet := create(t, s, "prod/app"), create(t, s, "quiet")
	putScanning(t, s, scan.Basic, scanRule(scan.OnPush, "prod"))
	img := addImage(t, s, n, "1", "layer")
	addImage(t, s, quiet, "1", "layer")
	wantStatus(t, "pushed", s, img, scan.InProgress, -1)
	wantScans(t, "a push", s, 1)
	_, err := s.StartScan(alice(t), n, byDigest(img))
	wantCode(t, "a scan on the day of the push", err, registry.ScanLimit)

	body := imageBody(t, s, img)
	put(t, s, n, "1", body)
	put(t, s, n, "2", body)
	wantScans(t, "the same image on the same day", s, 0)
	now.pass(25 * time.Hour)
	put(t, s, n, "1", body)
	wantScans(t, "a push that changes nothing", s, 0)
	put(t, s, n, "3", body)
	wantScans(t, "another tag a day later", s, 1)

	_, err = s.DeleteImage(alice(t), n, byDigest(img), nil)
	must(t, err)
	_, err = s.RestoreImage(alice(t), n, byDigest(img))
	must(t, err)
	wantNotScannedYet(t, s, img)
	wantScans(t, "back from the trash", s, 1)

	setClass(t, s, n, img, registry.ArchiveClass)
	wantNotScanned(t, "archived", s, img)
	_, err = s.StartScan(alice(t), n, byDigest(img))
	wantCode(t, "archived", err, registry.ImageArchived)
	setClass(t, s, n, img, registry.StandardClass)
	wantNotScannedYet(t, s, img)
	wantScans(t, "back from the archive", s, 1)

	_, err = s.SetScanOnPush(alice(t), quiet, true)
	must(t, err)
	addImage(t, s, quiet, "2", "by the flag")
	wantScans(t, "by the repository's flag", s, 1)
}

// wantNotScannedYet says that what was found before is gone.
func wantNotScannedYet(t testing.TB, s *registry.Service, img registry.Image) {
	t.Helper()
	wantStatus(t, "before it is scanned anew", s, img, scan.InProgress, -1)
}

func imageBody(t testing.TB, s *registry.Service, img registry.Image) []byte {
	t.Helper()
	_, body, err := s.Manifest(alice(t), img.Name, byDigest(img))
	must(t, err)
	return body
}

func TestReplicasAreScanned(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "app")
	there := registry.ID{Account: here.Account, Region: "eu-west-1"}
	must(t, s.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: []registry.ID{there}}}}))
	_, err := s.PutScanning(alice(t), there, onPush("*"))
	must(t, err)
	img := addImage(t, s, n, "1", "layer")
	page, _, err := s.Replicas(t.Context(), there, registry.Lane{}, 10)
	must(t, err)
	for _, r := range page {
		must(t, s.ReceiveReplica(t.Context(), r))
	}
	wantScans(t, "a replica", s, 1)
	copied := img
	copied.Name = nameIn(t, there, "app")
	wantStatus(t, "the copy", s, copied, scan.Complete, 0)
	wantNotScanned(t, "the source", s, img)
}

// A scanner is given the layers of an image, and what its config says of the platform.
func TestWhatAScannerIsGiven(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "app")
	config := addBlob(t, s, n, v1.MediaTypeImageConfig, `{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{}}`)
	foreign := descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("elsewhere"))
	foreign.URLs = []string{"https://example.com/layer"}
	layers := []v1.Descriptor{addLayer(t, s, n, "lower"), addLayer(t, s, n, "upper"), foreign}
	img := put(t, s, n, "1", imageOf(t, v1.Manifest{Config: config, Layers: layers}))
	startScan(t, s, img)
	scanAll(t, s, func(_ registry.ScanJob, img scan.Image) (scan.Report, error) {
		if want := (scan.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}); img.Platform != want || !img.SystemOnly || img.Known != nil {
			t.Errorf("the image is %+v, want %+v", img, want)
		}
		for i, l := range img.Layers {
			if l.Digest.OCI() != layers[i].Digest || l.Size != layers[i].Size || l.MediaType != layers[i].MediaType || l.Foreign != (i == 2) {
				t.Errorf("layer %d is %+v", i, l)
			}
			r, err := img.Open(t.Context(), l)
			var p *scan.Problem
			if l.Foreign {
				if !errors.As(err, &p) || p.Kind != scan.NotHere || !strings.Contains(p.Text, l.Digest.String()) {
					t.Errorf("a foreign layer is opened: %v", err)
				}
				continue
			}
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, errors.Join(err, r.Close()))
			if want := []string{"lower", "upper"}[i]; string(b) != want {
				t.Errorf("layer %d is %q, want %q", i, b, want)
			}
		}
		return scan.Report{}, nil
	})
}

// Pages of findings have no gap and no repeat, whatever their size; a place in what was
// found before is none.
func TestPagesOfFindings(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	img := addImage(t, s, create(t, s, "app"), "1", "layer")
	const all = 10_000
	startScan(t, s, img)
	scanAll(t, s, finds(all))
	want := reportOf(all)
	for _, size := range []int{77, 100, 999, 1000} {
		var got []scan.Finding
		after := ""
		for {
			page, err := s.ScanFindings(alice(t), img.Name, byDigest(img), after, size)
			must(t, err)
			got = append(got, page.Answer.Findings...)
			if diff := cmp.Diff(map[scan.Severity]int{scan.High: all / 2, scan.Low: all / 2}, page.Answer.Counts); diff != "" {
				t.Fatalf("counts (-want +got):\n%s", diff)
			}
			if !page.Answer.Database.Equal(databaseDate) {
				t.Fatalf("the database is of %s", page.Answer.Database)
			}
			if after = page.Answer.Next; after == "" {
				break
			}
			if len(page.Answer.Findings) != size || len(got) > all {
				t.Fatalf("a page of %d findings, want %d", len(page.Answer.Findings), size)
			}
		}
		if diff := cmp.Diff(want.Findings, got, cmpopts.EquateComparable(digest.Digest{})); diff != "" {
			t.Errorf("findings by %d (-want +got):\n%.2000s", size, diff)
		}
	}
	page, err := s.ScanFindings(alice(t), img.Name, byDigest(img), "", 10)
	must(t, err)
	old := page.Answer.Next
	for _, bad := range []string{"x", "x 10", strings.Split(old, " ")[0] + " 10000", strings.Split(old, " ")[0] + " -1", strings.Split(old, " ")[0]} {
		_, err := s.ScanFindings(alice(t), img.Name, byDigest(img), bad, 10)
		wantCode(t, bad, err, registry.PageInvalid)
	}
	now.pass(25 * time.Hour)
	startScan(t, s, img)
	_, err = s.ScanFindings(alice(t), img.Name, byDigest(img), old, 10)
	must(t, err)
	scanAll(t, s, finds(all))
	_, err = s.ScanFindings(alice(t), img.Name, byDigest(img), old, 10)
	wantCode(t, "a place in what was found before", err, registry.PageInvalid)
}

// An image that kills the scanner, and the server, is tried three times, behind the
// others, and then has failed.
func TestPoison(t *testing.T) {
	now := newClock()
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	s := open(t, registry.Options{Now: now.now, Index: index, Blobs: blobs})
	n := create(t, s, "app")
	putScanning(t, s, scan.Basic, scanRule(scan.OnPush, "*"))
	poison := addImage(t, s, n, "poison", "poison")
	for i := range 3 {
		now.pass(time.Second)
		addImage(t, s, n, fmt.Sprint(i), fmt.Sprint(i))
	}
	var order []string
	for range 20 {
		job, ok, next, err := s.NextScan(t.Context(), time.Minute)
		must(t, err)
		if !ok && next.IsZero() {
			break
		}
		if !ok { // the lease of who died
			if next.Before(now.now()) {
				t.Fatalf("the next one is due at %s, and it is %s", next, now.now())
			}
			now.at = next
			continue
		}
		if job.Digest == poison.Digest { // and nobody tells what became of it
			order = append(order, fmt.Sprint("poison ", job.Attempt))
			s = openUnchecked(t, registry.Options{Now: now.now, Index: index, Blobs: blobs})
			continue
		}
		order = append(order, "other")
		_, kept, err := s.FinishScan(t.Context(), job, scan.Report{}, nil)
		if must(t, err); !kept {
			t.Error("a scan is not kept")
		}
	}
	if want := []string{"poison 1", "other", "other", "other", "poison 2", "poison 3"}; !slices.Equal(order, want) {
		t.Errorf("scans in order: %q, want %q", order, want)
	}
	got := standing(t, s, poison)
	if got.Status != scan.Failed || got.Text != "The scanner died with this image each time" {
		t.Errorf("the image is %+v", got)
	}
	startScan(t, s, poison) // which was not to blame, as far as anybody knows
}

// A scan that is given back does not count as one, and goes before the others again; one
// that rests does.
func TestScansGivenBack(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	n := create(t, s, "app")
	first := addImage(t, s, n, "1", "one")
	startScan(t, s, first)
	now.pass(time.Second)
	second := addImage(t, s, n, "2", "two")
	startScan(t, s, second)
	next := func() registry.ScanJob {
		t.Helper()
		job, ok, _, err := s.NextScan(t.Context(), time.Minute)
		if must(t, err); !ok {
			t.Fatal("no scan is due")
		}
		return job
	}
	for range 5 {
		job := next()
		if job.Digest != first.Digest || job.Attempt != 1 {
			t.Errorf("the next scan is %+v", job)
		}
		must(t, s.GiveBackScan(t.Context(), job))
	}
	job := next()
	must(t, s.RestScan(t.Context(), job, time.Hour))
	if job := next(); job.Digest != second.Digest {
		t.Errorf("the next scan is %+v", job)
	}
	if _, ok, until, err := s.NextScan(t.Context(), time.Minute); ok || err != nil || !until.Equal(now.now().Add(time.Minute)) {
		t.Errorf("the next scan is due at %s (%v, %v)", until, ok, err)
	}
	now.pass(time.Hour)
	again := next() // of the second one, whose lease ended before
	if again.Digest != second.Digest || again.Attempt != 2 {
		t.Errorf("the next scan is %+v", again)
	}
	if job := next(); job.Digest != first.Digest || job.Attempt != 2 {
		t.Errorf("the next scan is %+v", job)
	}
}

// Who lost a scan to another, or works on what went or was changed, keeps nothing.
func TestScansThatNobodyWants(t *testing.T) {
	now := newClock()
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Now: now.now, Blobs: blobs})
	n := create(t, s, "app")
	img := addImage(t, s, n, "1", "one")
	take := func() registry.ScanJob {
		t.Helper()
		job, ok, _, err := s.NextScan(t.Context(), time.Minute)
		if must(t, err); !ok {
			t.Fatal("no scan is due")
		}
		return job
	}
	lost := func(what string, job registry.ScanJob) {
		t.Helper()
		if ok, err := s.RenewScan(t.Context(), job, time.Minute); err != nil || ok {
			t.Errorf("%s: renewed (%v, %v)", what, ok, err)
		}
		if _, kept, err := s.FinishScan(t.Context(), job, reportOf(1), nil); err != nil || kept {
			t.Errorf("%s: kept (%v, %v)", what, kept, err)
		}
	}
	startScan(t, s, img)
	first := take()
	now.pass(2 * time.Minute)
	second := take()
	lost("another one has it", first)
	if ok, err := s.RenewScan(t.Context(), second, time.Minute); err != nil || !ok {
		t.Errorf("not renewed: %v, %v", ok, err)
	}
	if _, kept, err := s.FinishScan(t.Context(), second, reportOf(2), nil); err != nil || !kept {
		t.Errorf("not kept: %v, %v", kept, err)
	}
	wantStatus(t, "after two", s, img, scan.Complete, 2)
	lost("it is kept already", second)
	wantStatus(t, "after two", s, img, scan.Complete, 2)

	now.pass(25 * time.Hour)
	startScan(t, s, img)
	job := take()
	body := imageBody(t, s, img)
	_, err := s.DeleteImage(alice(t), n, byDigest(img), nil)
	must(t, err)
	put(t, s, n, "1", body)
	lost("it was deleted, and pushed again", job)
	wantNotScanned(t, "pushed again", s, img)
	startScan(t, s, img)
	job = take()
	_, err = s.DeleteRepository(alice(t), n, true)
	must(t, err)
	if _, kept, err := s.FinishScan(t.Context(), job, reportOf(1), nil); err != nil || kept {
		t.Errorf("the repository is gone: kept (%v, %v)", kept, err)
	}

	other := addImage(t, s, create(t, s, "other"), "1", "other")
	startScan(t, s, other)
	putScanning(t, s, scan.Enhanced)
	wantScans(t, "the type has changed", s, 0)
	putScanning(t, s, scan.Basic)
	wantNotScanned(t, "the type has changed and changed back", s, other)
	startScan(t, s, other)
	job = take()
	putScanning(t, s, scan.Enhanced)
	if _, kept, err := s.FinishScan(t.Context(), job, reportOf(4), nil); err != nil || !kept {
		t.Errorf("what was under way when the type changed is not kept: %v, %v", kept, err)
	}
	wantNotScanned(t, "what is of the other type", s, other)
	putScanning(t, s, scan.Basic)
	wantStatus(t, "the type has changed back", s, other, scan.Complete, 4)
	_, err = s.CollectNow(t.Context(), 0)
	must(t, err)
	if got, want := blobCount(t, blobs), 2+2; got != want { // a layer and a config, an inventory and a page
		t.Errorf("%d blobs are left, want %d", got, want)
	}
}

// What was found goes with its image, and with its repository; a repository in the trash
// keeps what waits.
func TestScansGoWithTheirImages(t *testing.T) {
	now := newClock()
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Now: now.now, Blobs: blobs, TrashWindow: time.Hour})
	n := create(t, s, "app")
	one, two := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	startScan(t, s, one)
	scanAll(t, s, finds(1001))
	startScan(t, s, two)
	gone, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	checkRows(t, s)
	wantScans(t, "in the trash", s, 0)
	as := name(t, "elsewhere")
	_, err = s.RestoreRepository(alice(t), gone.Name, as)
	must(t, err)
	checkRows(t, s)
	one.Name, two.Name = as, as
	wantStatus(t, "back under another name", s, one, scan.Complete, 1000)
	wantStatus(t, "back under another name", s, two, scan.InProgress, -1)
	wantScans(t, "back from the trash", s, 1)
	wantStatus(t, "scanned after that", s, two, scan.Complete, 0)
	_, err = s.DeleteImage(alice(t), as, byDigest(one), nil)
	must(t, err)
	_, err = s.DeleteRepository(alice(t), as, true)
	must(t, err)
	now.pass(2 * time.Hour)
	for range 2 { // what was in the trash is cleared away by the next one
		_, err = s.CollectNow(t.Context(), 0)
		must(t, err)
	}
	if n := blobCount(t, blobs); n != 0 {
		t.Errorf("%d blobs are left of nothing", n)
	}
}

// Each scan is told of with what it came to.
func TestScansAreTold(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	n := create(t, s, "app")
	img := addImage(t, s, n, "1", "one")
	put(t, s, n, "latest", imageBody(t, s, img))
	before := len(readEvents(t, s, 1000))
	startScan(t, s, img)
	scanAll(t, s, finds(3))
	now.pass(25 * time.Hour)
	startScan(t, s, img)
	scanAll(t, s, fails(scan.NewProblem(scan.OverLimit, "too large")))
	var got []registry.ScanDetail
	for _, e := range readEvents(t, s, 1000)[before:] {
		var d registry.ScanDetail
		must(t, json.Unmarshal(e.Detail, &d))
		if e.Kind != registry.ImageScanned || e.Digest != img.Digest || e.Repository != n || e.Actor != "" {
			t.Errorf("an event %+v", e)
		}
		got = append(got, d)
	}
	want := []registry.ScanDetail{
		{Status: "COMPLETE", Counts: map[string]int{"HIGH": 2, "LOW": 1}, Tags: []string{"1", "latest"}},
		{Status: "FAILED", Tags: []string{"1", "latest"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Beside basic scans, the details of images say what the last finished scan found.
func TestScanSummaries(t *testing.T) {
	now := newClock()
	s := open(t, registry.Options{Now: now.now})
	n := create(t, s, "app")
	img, other := addImage(t, s, n, "1", "one"), addImage(t, s, n, "2", "two")
	summary := func() map[digest.Digest]registry.ScanSummary {
		t.Helper()
		all, err := s.ScanSummaries(alice(t), n, []digest.Digest{img.Digest, other.Digest})
		must(t, err)
		return all
	}
	startScan(t, s, img)
	if got := summary(); len(got) != 0 {
		t.Errorf("while it waits: %+v", got)
	}
	scanAll(t, s, finds(1))
	now.pass(25 * time.Hour)
	startScan(t, s, img)
	scanAll(t, s, fails(scan.ErrDied))
	got := summary()
	if one := got[img.Digest]; len(got) != 1 || one.Status != scan.Complete || one.Counts[scan.High] != 1 || !one.Database.Equal(databaseDate) {
		t.Errorf("after a scan, and one that failed: %+v", got)
	}
	putScanning(t, s, scan.Enhanced)
	if got := summary(); len(got) != 0 {
		t.Errorf("beside enhanced scans: %+v", got)
	}
	_, err := s.ScanSummaries(alice(t), name(t, "absent"), nil)
	wantCode(t, "absent", err, registry.RepositoryNotFound)
}

// A backup has what scans found.
func TestPagesAreContents(t *testing.T) {
	index, blobs := memory.NewIndex(), memory.NewBlobs()
	s := open(t, registry.Options{Index: index, Blobs: blobs})
	img := addImage(t, s, create(t, s, "app"), "1", "one")
	startScan(t, s, img)
	scanAll(t, s, finds(1500))
	var named []string
	must(t, index.View(t.Context(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			c, ok, err := registry.ContentOf(e)
			if err != nil || !ok {
				must(t, err)
				continue
			}
			named = append(named, c.Blob)
			open, err := blobs.Open(t.Context(), c.Blob)
			must(t, err)
			b, err := io.ReadAll(open)
			if must(t, err); int64(len(b)) != c.Size || digest.FromBytes(c.Digest.Algorithm(), b) != c.Digest {
				t.Errorf("blob %s is not what its row says", c.Blob)
			}
		}
		return nil
	}))
	if n := blobCount(t, blobs); len(named) != n || n != 2+3 {
		t.Errorf("%d of %d blobs are named, want 5", len(named), n)
	}
}

// The check of the store finds pages that are lost, damaged or nobody's.
func TestCheckOfScans(t *testing.T) {
	tests := []struct {
		what  string
		spoil func(t *testing.T, index storage.Index, blobs storage.Blobs)
		kinds []registry.FaultKind
	}{
		{"nothing is wrong", func(*testing.T, storage.Index, storage.Blobs) {}, nil},
		{"the owner's row is lost", dropRows("owner\x00", isScanPage), []registry.FaultKind{registry.FaultOwner}},
		{"a page's row is lost", dropRows("scanpage\x00", nil), []registry.FaultKind{registry.FaultOwner, registry.FaultScan}},
		{"the scan's row is lost", dropRows("scan\x00", nil), []registry.FaultKind{registry.FaultScan, registry.FaultScan}},
		{"the turn of a scan is lost", dropRows("scandue\x00", nil), []registry.FaultKind{registry.FaultScan}},
		{"the bytes are lost", spoilPage(func(t *testing.T, blobs storage.Blobs, id string) {
			must(t, blobs.Delete(t.Context(), id))
		}), []registry.FaultKind{registry.FaultMissing}},
	}
	for _, tt := range tests {
		index, blobs := memory.NewIndex(), memory.NewBlobs()
		s := openUnchecked(t, registry.Options{Index: index, Blobs: blobs})
		n := create(t, s, "app")
		img := addImage(t, s, n, "1", "one")
		startScan(t, s, img)
		scanAll(t, s, finds(1))
		startScan(t, s, addImage(t, s, n, "2", "two"))
		tt.spoil(t, index, blobs)
		var kinds []registry.FaultKind
		for f, err := range s.Check(t.Context(), registry.Check{Hash: true}) {
			must(t, err)
			kinds = append(kinds, f.Kind)
		}
		slices.Sort(kinds)
		kinds = slices.Compact(kinds)
		slices.Sort(tt.kinds)
		if want := slices.Compact(tt.kinds); !slices.Equal(kinds, want) {
			t.Errorf("%s: faults %q, want %q", tt.what, kinds, want)
		}
	}
}

func isScanPage(value string) bool { return strings.Contains(value, "Scan") }

// dropRows deletes the first row of a table that fits.
func dropRows(prefix string, fits func(value string) bool) func(*testing.T, storage.Index, storage.Blobs) {
	return func(t *testing.T, index storage.Index, _ storage.Blobs) {
		must(t, index.Update(t.Context(), func(tx storage.Tx) error {
			for e, err := range tx.Scan(storage.Range{Prefix: prefix}) {
				if err != nil {
					return err
				}
				if fits == nil || fits(string(e.Value)) {
					return tx.Delete(e.Key)
				}
			}
			return fmt.Errorf("no row of %q", prefix)
		}))
	}
}

// spoilPage does something to a blob with a page.
func spoilPage(fn func(*testing.T, storage.Blobs, string)) func(*testing.T, storage.Index, storage.Blobs) {
	return func(t *testing.T, index storage.Index, blobs storage.Blobs) {
		id := ""
		must(t, index.View(t.Context(), func(r storage.Reader) error {
			for e, err := range r.Scan(storage.Range{Prefix: "scanpage\x00", Limit: 1}) {
				if err != nil {
					return err
				}
				c, _, err := registry.ContentOf(e)
				id = c.Blob
				return err
			}
			return nil
		}))
		fn(t, blobs, id)
	}
}

// await is whether a wait for scans ends at once.
func TestAwaitScans(t *testing.T) {
	s := open(t, registry.Options{})
	img := addImage(t, s, create(t, s, "app"), "1", "one")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.AwaitScans(over); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing waits: %v", err)
	}
	told := make(chan error)
	go func() { told <- s.AwaitScans(t.Context()) }()
	startScan(t, s, img)
	must(t, <-told)
}
