package replicate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/replicate"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

// away makes a service whose images go to far, and maybe to others.
func away(t testing.TB, index storage.Index, d registry.Destination, more ...registry.ID) *registry.Service {
	t.Helper()
	s := awayAgain(t, index, memory.NewBlobs(), d)
	must(t, s.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: append(more, d.To)}}}))
	return s
}

func awayAgain(t testing.TB, index storage.Index, blobs storage.Blobs, d registry.Destination) *registry.Service {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{
		Index: index, Blobs: blobs, CreateOnPush: registry.CreateAlways, Destinations: []registry.Destination{d},
	})
	must(t, err)
	return s
}

var remoteFar = registry.Destination{To: far, Remote: true}

// goes has a worker work until the test is over.
func goes(t testing.TB, w *replicate.Worker) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	})
}

// pushList stores a list of one image, under a tag.
func pushList(t testing.TB, s *registry.Service, path, tag string, of registry.Image) registry.Image {
	t.Helper()
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		manifest.MediaTypeOCIIndex, of.MediaType, of.Digest, of.ManifestSize)
	done, err := s.PutImage(alice(t), nameIn(t, here, path), registry.Push{Tags: []registry.Tag{ref(t, tag).Tag}, Body: []byte(body)})
	must(t, err)
	return done.Image
}

// Layers that the destination has, or has in another repository, are not sent again, and
// the images of a list go before it.
func TestSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := awayAgain(t, memory.NewIndex(), memory.NewBlobs(), remoteFar)
		before := push(t, s, "team/app", "child")
		must(t, s.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: []registry.ID{far}}}}))
		at := newShelf()
		goes(t, sender(t, s, at, func(o *replicate.RemoteOptions, _ *replicate.Options) { o.Prefix = "copies/" }))
		synctest.Wait()
		sent := at.count("PUT", "/blobs/")
		list := pushList(t, s, "team/app", "list", before)
		one := push(t, s, "team/app", "1")
		again := retag(t, s, "team/app", "1", "latest")
		synctest.Wait()
		at.has(t, "copies/team/app", "1", one)
		at.has(t, "copies/team/app", "latest", again)
		if got := at.manifests["copies/team/app list"]; digest.FromBytes(digest.SHA256, got) != list.Digest {
			t.Errorf("the list there is %s", got)
		}
		if at.manifests["copies/team/app "+before.Digest.String()] == nil {
			t.Error("the image of the list is not there")
		}
		if n := at.count("PUT", "/blobs/") - sent; n != 2 {
			t.Errorf("%d layers were sent, want two: the image that got another tag has them", n)
		}
		other := nameIn(t, here, "team/other")
		_, err := s.CreateRepository(alice(t), other, registry.Settings{})
		must(t, err)
		layer, err := digest.Parse(layerOf("team/app", "1"))
		must(t, err)
		_, err = s.Mount(alice(t), other, layer, registry.Mount{From: nameIn(t, here, "team/app"), MayRead: func(context.Context, registry.Name) bool { return true }})
		must(t, err)
		_, body, err := s.Manifest(alice(t), nameIn(t, here, "team/app"), ref(t, "1"))
		must(t, err)
		_, err = s.PutImage(alice(t), other, registry.Push{Tags: []registry.Tag{ref(t, "1").Tag}, Body: body})
		must(t, err)
		synctest.Wait()
		at.has(t, "copies/team/other", "1", one)
		if n := at.count("PUT", "/blobs/") - sent; n != 2 {
			t.Errorf("%d layers were sent in all, want two: another repository has the layer", n)
		}
		for _, o := range at.origins {
			if _, err := registry.ParseOrigin(o); err != nil {
				t.Errorf("a request has the origin %q", o)
			}
		}
		if f := state(t, s, "team/app", "1", far); f.State != registry.ReplicationComplete {
			t.Errorf("it is %+v", f)
		}
	})
}

// What passes is tried again without end, and what a destination refuses has failed at
// once, until somebody wants it now.
func TestFaultsOfDestinations(t *testing.T) {
	hangs := func(r *http.Request) *http.Response {
		<-r.Context().Done()
		return said(503, "")
	}
	answers := func(status int, body string, header ...string) func(*http.Request) *http.Response {
		return func(*http.Request) *http.Response { return said(status, body, header...) }
	}
	errorsOf := func(code, message string) string {
		return fmt.Sprintf(`{"errors":[{"code":%q,"message":%q}]}`, code, message)
	}
	onPut := func(part string, then func(*http.Request) *http.Response) func(*http.Request) *http.Response {
		return func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, part) {
				return then(r)
			}
			return nil
		}
	}
	tests := []struct {
		what  string
		fault func(*http.Request) *http.Response
		code  string // "" for what passes
		says  string
	}{
		{"it is down", answers(503, ""), "", "far.example"},
		{"it is broken", answers(500, errorsOf("UNKNOWN", "oh")), "", "far.example"},
		{"it wants to be left alone", answers(429, "", "Retry-After", "600"), "", "429"},
		{"it hangs", hangs, "", "far.example"},
		{"it breaks midway", onPut("/blobs/", answers(502, "")), "", "502"},
		{"manifests are too much for it", onPut("/manifests/", answers(503, "")), "", "503"},
		{"who asks is not known, for ever", answers(401, "", "Www-Authenticate", `Bearer realm="https://far.example/token"`), registry.FailedByPolicy, "far.example"},
		{"it may not", answers(403, errorsOf("DENIED", "not you")), registry.FailedByPolicy, "not you"},
		{"there is no such repository", onPut("/manifests/", answers(404, errorsOf("NAME_UNKNOWN", "no such"))), registry.FailedByRefusal, "no such"},
		{"it is too large", onPut("/manifests/", answers(413, "")), registry.FailedByLimit, "413"},
		{"it is not valid", onPut("/manifests/", answers(400, errorsOf("MANIFEST_INVALID", "bad"))), registry.FailedByRefusal, "bad"},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := away(t, memory.NewIndex(), remoteFar, west)
				at := newShelf()
				at.fails(tt.fault)
				w := sender(t, s, at)
				goes(t, w)
				goes(t, localWorker(t, s))
				img := push(t, s, "team/app", "1")
				time.Sleep(25 * time.Minute)
				synctest.Wait()
				wantCopy(t, s, west, "team/app", "1", img) // which waits for nobody
				got := state(t, s, "team/app", "1", far)
				if tt.code == "" {
					if got.State != registry.ReplicationInProgress || !strings.Contains(w.Trouble().Why, tt.says) || w.Trouble().Next.IsZero() {
						t.Errorf("it is %+v, and the trouble %+v", got, w.Trouble())
					}
				} else if got.State != registry.ReplicationFailure || got.FailureCode != tt.code || !strings.Contains(got.FailureReason, tt.says) {
					t.Errorf("it is %+v", got)
				}
				at.fails(nil)
				_, err := s.PlanReplicas(t.Context(), here, "", far)
				must(t, err)
				must(t, w.Now(t.Context()))
				time.Sleep(11 * time.Minute) // as long as was wanted
				synctest.Wait()
				at.has(t, "team/app", "1", img)
				if got := state(t, s, "team/app", "1", far); got.State != registry.ReplicationComplete {
					t.Errorf("in the end it is %+v", got)
				}
				f := w.Figures()[far]
				if f.Done != 1 || f.Bytes == 0 || (f.Failed == 1) != (tt.code != "") {
					t.Errorf("figures are %+v", f)
				}
			})
		})
	}
}

// localWorker is the one of this server's registries.
func localWorker(t testing.TB, s *registry.Service) *replicate.Worker {
	t.Helper()
	w, err := replicate.New(replicate.Options{Registry: s, Takes: func(id registry.ID) bool { return id != far }})
	must(t, err)
	return w
}

// A tag that is immutable there and names another image stays, and the image comes
// without it.
func TestImmutableTagThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := away(t, memory.NewIndex(), remoteFar)
		at := newShelf()
		at.fails(func(r *http.Request) *http.Response {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/1") {
				return said(400, `{"errors":[{"code":"TAG_INVALID","message":"immutable"}]}`)
			}
			return nil
		})
		goes(t, sender(t, s, at))
		img := push(t, s, "team/app", "1")
		synctest.Wait()
		at.has(t, "team/app", img.Digest.String(), img)
		if got := state(t, s, "team/app", "1", far).State; got != registry.ReplicationComplete {
			t.Errorf("it is %s", got)
		}
	})
}

// Tags and images that are deleted are deleted there, unless somebody else moved the tag.
func TestDeletesThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := remoteFar
		d.Deletes = true
		s := away(t, memory.NewIndex(), d)
		at := newShelf()
		goes(t, sender(t, s, at))
		n := nameIn(t, here, "team/app")
		one := push(t, s, "team/app", "1")
		push(t, s, "team/app", "moved")
		whole := push(t, s, "team/app", "whole")
		synctest.Wait()
		at.manifests["team/app moved"] = []byte("of somebody else")
		for _, tag := range []string{"1", "moved"} {
			_, err := s.Untag(alice(t), n, ref(t, tag).Tag, registry.KeepImage, nil)
			must(t, err)
		}
		_, err := s.DeleteImage(alice(t), n, ref(t, "whole"), nil)
		must(t, err)
		synctest.Wait()
		if at.manifests["team/app 1"] != nil || at.manifests["team/app "+one.Digest.String()] == nil {
			t.Error("the tag stays, or the image has gone with it")
		}
		if at.manifests["team/app moved"] == nil {
			t.Error("a tag of somebody else's was deleted")
		}
		if at.manifests["team/app "+whole.Digest.String()] != nil {
			t.Error("an image that was deleted is there")
		}
	})
}

// Outside of windows nothing is begun, unless it is wanted now.
func TestWindows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose time begins at midnight, UTC
		w, err := replicate.ParseWindow("01:00-02:00")
		must(t, err)
		s := away(t, memory.NewIndex(), remoteFar)
		at := newShelf()
		work := sender(t, s, at, func(_ *replicate.RemoteOptions, o *replicate.Options) { o.Windows = []replicate.Window{w} })
		goes(t, work)
		one := push(t, s, "team/app", "1")
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		if len(at.asked) != 0 || time.Until(work.Trouble().Reopens) != time.Minute {
			t.Errorf("before its window %q, and %+v", at.asked, work.Trouble())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		at.has(t, "team/app", "1", one)
		time.Sleep(2 * time.Hour)
		two, asked := push(t, s, "team/app", "2"), len(at.asked)
		synctest.Wait()
		if len(at.asked) != asked {
			t.Error("an image was sent behind its window")
		}
		must(t, work.Now(t.Context()))
		synctest.Wait()
		at.has(t, "team/app", "2", two)
		asked = len(at.asked)
		push(t, s, "team/app", "3")
		synctest.Wait()
		if len(at.asked) != asked {
			t.Error("what came after it was wanted now was sent too")
		}
	})
}

func TestParseWindow(t *testing.T) {
	for text, ok := range map[string]bool{
		"22:00-06:00": true, "00:00-24:00": true, "06:30-06:31": true,
		"": false, "22:00": false, "6:00-7:00": false, "06:00-06:00": false, "24:00-06:00": false, "10:60-11:00": false, "22:00-06:00 ": false, "-1:00-02:00": false,
	} {
		if _, err := replicate.ParseWindow(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A window may be open over midnight, and the time that it opens is found from any other.
func TestOpening(t *testing.T) {
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct{ windows, now, opens string }{
		{"", "03:00", "0s"},
		{"22:00-06:00", "03:00", "0s"}, {"22:00-06:00", "06:00", "16h0m0s"}, {"22:00-06:00", "21:59", "1m0s"}, {"22:00-06:00", "22:00", "0s"},
		{"01:00-02:00", "02:00", "23h0m0s"}, {"01:00-02:00 12:00-13:00", "02:00", "10h0m0s"},
	} {
		var list []replicate.Window
		for _, text := range strings.Fields(tt.windows) {
			w, err := replicate.ParseWindow(text)
			must(t, err)
			list = append(list, w)
		}
		at, err := time.Parse("15:04", tt.now)
		must(t, err)
		now := day.Add(time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute).In(time.FixedZone("", 7200))
		if got := replicate.Opening(list, now).Sub(now); got.String() != tt.opens {
			t.Errorf("%q at %s: opens in %s, want %s", tt.windows, tt.now, got, tt.opens)
		}
	}
}

// No more bytes are sent in a second than the bound.
func TestBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := away(t, memory.NewIndex(), remoteFar)
		at := newShelf()
		goes(t, sender(t, s, at, func(o *replicate.RemoteOptions, _ *replicate.Options) { o.Bandwidth = 4 }))
		began := time.Now()
		img := push(t, s, "team/app", "1") // its layer has ten bytes
		time.Sleep(time.Second)
		if n := at.count("PUT", "/manifests/"); n != 0 {
			t.Error("ten bytes were sent in a second")
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		at.has(t, "team/app", "1", img)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// A server that dies at any update of its index while it sends brings everything there
// when it is started again, and knows that it did.
func TestKilledAnywhereWhileSending(t *testing.T) {
	storagetest.KillAnywhere(t, killWhileSending)
}

func killWhileSending(t *testing.T, n int, after bool) (killed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		what := fmt.Sprintf("killed at update %d, committed: %v", n, after)
		index, blobs, at, d := memory.NewIndex(), memory.NewBlobs(), newShelf(), remoteFar
		d.Deletes = true
		first := awayAgain(t, index, blobs, d)
		must(t, first.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: []registry.ID{far}}}}))
		latest := map[string]registry.Image{}
		for i := range 4 {
			path := fmt.Sprintf("team/app-%d", i%2)
			push(t, first, path, fmt.Sprint(i))
			latest[path] = retag(t, first, path, fmt.Sprint(i), "latest")
		}
		_, err := first.Untag(alice(t), nameIn(t, here, "team/app-0"), ref(t, "0").Tag, registry.KeepImage, nil)
		must(t, err)
		m := storagetest.NewMortal(index, n, after)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- sender(t, awayAgain(t, m, blobs, d), at).Run(ctx) }()
		synctest.Wait()
		killed = m.Dead()
		stop()
		must(t, <-done)

		s := awayAgain(t, index, blobs, d)
		goes(t, sender(t, s, at))
		synctest.Wait()
		for path, img := range latest {
			at.has(t, path, "latest", img)
			if got := state(t, s, path, "latest", far).State; got != registry.ReplicationComplete {
				t.Errorf("%s: %s is %s", what, path, got)
			}
		}
		if at.manifests["team/app-0 0"] != nil || at.manifests["team/app-1 1"] == nil {
			t.Errorf("%s: a tag that was deleted is there, or one that was not is gone", what)
		}
	})
	return killed
}
