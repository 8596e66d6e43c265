package events_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// receiver is what a webhook's requests come to, without a network.
type receiver struct {
	mu     sync.Mutex
	got    []string // "<repository> <action> <tag>" of what was taken
	bodies [][]byte
	heads  []http.Header
	answer func(env events.Envelope) int // nil takes all
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies, r.heads = append(r.bodies, body), append(r.heads, q.Header)
	text := body
	if strings.HasPrefix(q.Header.Get("Content-Type"), "application/cloudevents+json") {
		var ce struct{ Data json.RawMessage }
		if err := json.Unmarshal(body, &ce); err != nil {
			return nil, err
		}
		text = ce.Data
	}
	var env events.Envelope
	if err := json.Unmarshal(text, &env); err != nil {
		return nil, err
	}
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(env)
	}
	if status/100 == 2 {
		r.got = append(r.got, strings.TrimSpace(env.Detail.RepositoryName+" "+env.DetailType))
	}
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Body: http.NoBody, Header: http.Header{"Retry-After": {"7"}}}, nil
}

func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// world is a registry with a follower at work.
type world struct {
	t        *testing.T
	index    storage.Index
	registry *registry.Service
	follower *events.Follower
	stop     func()
}

func start(t *testing.T, index storage.Index, o events.Options) *world {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	o.Registry, o.Index = s, index
	f, err := events.New(o)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		must(t, f.Run(ctx))
	}()
	synctest.Wait()
	return &world{t, index, s, f, func() { cancel(); <-done }}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) create(paths ...string) {
	w.t.Helper()
	for _, path := range paths {
		_, err := w.registry.CreateRepository(w.t.Context(), name(w.t, path), registry.Settings{})
		must(w.t, err)
	}
}

func (w *world) change(path string) {
	w.t.Helper()
	_, err := w.registry.SetScanOnPush(w.t.Context(), name(w.t, path), true)
	must(w.t, err)
}

const created, changed = events.RepositoryCreated, events.RepositoryChanged

func TestWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, some := &receiver{}, &receiver{}
		clients := &http.Client{Transport: byHost{"all": all, "some": some}}
		w := start(t, memory.NewIndex(), events.Options{Client: clients, Webhooks: []events.Webhook{
			{Name: "all", URL: "https://all/x", Secret: []byte("secret"), Format: events.CloudEvents},
			{Name: "some", URL: "https://some/x", Repositories: []string{"team/*"}, Types: []string{created}},
		}})
		defer w.stop()
		w.create("team/app", "other")
		w.change("team/app")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := all.take()
		slices.Sort(got) // there is no order between repositories
		if diff := cmp.Diff([]string{"other " + created, "team/app " + changed, "team/app " + created}, got); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"team/app " + created}, some.take()); diff != "" {
			t.Errorf("some (-want +got):\n%s", diff)
		}
		for i, h := range all.heads {
			want := "v1=" + hex.EncodeToString(events.Sign([]byte("secret"), h.Get(events.TimestampHeader), all.bodies[i]))
			if !hmac.Equal([]byte(want), []byte(h.Get(events.SignatureHeader))) {
				t.Errorf("signed by %s, want %s", h.Get(events.SignatureHeader), want)
			}
		}
		if some.heads[0].Get(events.SignatureHeader) != "" {
			t.Error("signed without a secret")
		}
		var ce map[string]any
		must(t, json.Unmarshal(all.bodies[0], &ce))
		for member, want := range map[string]any{"specversion": "1.0", "source": "urn:berth:000000000000:us-east-1", "datacontenttype": "application/json"} {
			if ce[member] != want {
				t.Errorf("%s is %v", member, ce[member])
			}
		}
	})
}

// byHost sends requests to receivers.
type byHost map[string]http.RoundTripper

func (m byHost) RoundTrip(r *http.Request) (*http.Response, error) { return m[r.URL.Host].RoundTrip(r) }

// A repository whose events are not taken waits, in its order, and holds up no
// other; nothing is lost when the process stops meanwhile.
func TestWebhooksThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index := memory.NewIndex()
		down := true
		r := &receiver{}
		r.answer = func(env events.Envelope) int {
			if down && env.Detail.RepositoryName == "broken" {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
		o := events.Options{Client: &http.Client{Transport: r}, Webhooks: []events.Webhook{{Name: "hook", URL: "https://x/"}}}
		w := start(t, index, o)
		w.create("broken", "fine")
		w.change("broken")
		w.change("fine")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"fine " + created, "fine " + changed}, r.take()); diff != "" {
			t.Errorf("beside the broken one (-want +got):\n%s", diff)
		}
		tries := len(r.bodies)
		time.Sleep(3 * time.Second) // within the seven seconds that the receiver asked for
		synctest.Wait()
		if len(r.bodies) != tries {
			t.Errorf("tried again %d times against Retry-After", len(r.bodies)-tries)
		}
		w.stop()
		w = start(t, index, o)
		defer w.stop()
		r.mu.Lock()
		down = false
		r.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"broken " + created, "broken " + changed}, r.take()); diff != "" {
			t.Errorf("after the repair (-want +got):\n%s", diff)
		}
	})
}

func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		status := http.StatusFound // redirects are not followed
		r.answer = func(events.Envelope) int { return status }
		w := start(t, memory.NewIndex(), events.Options{
			Client:   &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
			Webhooks: []events.Webhook{{Name: "hook", URL: "https://x/", MaxAge: time.Minute}},
		})
		defer w.stop()
		w.create("one", "two")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		letters, err := w.follower.DeadLetters(t.Context())
		must(t, err)
		if len(letters) != 2 || letters[0].Error != "answered 302" || letters[0].Attempts < 3 || letters[0].GivenUpAt.Sub(letters[0].TakenAt) < time.Minute {
			t.Fatalf("dead letters %+v", letters)
		}
		r.mu.Lock()
		status = http.StatusOK
		r.mu.Unlock()
		must(t, w.follower.Replay(t.Context(), "hook", letters[0].Sequence))
		must(t, w.follower.Drop(t.Context(), "hook", letters[1].Sequence))
		for _, sequence := range []string{letters[0].Sequence, letters[1].Sequence, "", "a\x00b"} {
			if err := w.follower.Replay(t.Context(), "hook", sequence); !errors.Is(err, events.ErrNoLetter) {
				t.Errorf("replay of %q: %v", sequence, err)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := r.take(); len(got) != 1 || !strings.HasSuffix(got[0], created) {
			t.Errorf("replayed %q", got)
		}
	})
}

func lines(t testing.TB, path string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	for line := range bytes.Lines(text) {
		var env events.Envelope
		if json.Unmarshal(line, &env) != nil {
			list = append(list, "torn")
			continue
		}
		list = append(list, env.Detail.RepositoryName+" "+env.DetailType)
	}
	return list
}

func TestFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "events.jsonl")
		must(t, os.WriteFile(path, []byte(`{"version":`), 0o600)) // a crash had cut it
		index := memory.NewIndex()
		w := start(t, index, events.Options{File: path})
		w.create("one")
		time.Sleep(time.Second)
		synctest.Wait()
		moved := path + ".1"
		must(t, os.Rename(path, moved))
		w.create("two")
		time.Sleep(time.Second)
		w.stop()
		w.create("three")
		w = start(t, index, events.Options{File: path})
		time.Sleep(time.Second)
		w.stop()
		if diff := cmp.Diff([]string{"torn", "one " + created}, lines(t, moved)); diff != "" {
			t.Errorf("the file that was moved away (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"two " + created, "three " + created}, lines(t, path)); diff != "" {
			t.Errorf("the new file (-want +got):\n%s", diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})
}

func TestBadWebhooks(t *testing.T) {
	index := memory.NewIndex()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	good := events.Webhook{Name: "a", URL: "https://x/"}
	for what, hooks := range map[string][]events.Webhook{
		"no name": {{URL: "https://x/"}}, "no address": {{Name: "a"}}, "an odd scheme": {{Name: "a", URL: "ftp://x/"}}, "a path": {{Name: "a", URL: "/x"}},
		"an odd format": {{Name: "a", URL: "https://x/", Format: "xml"}}, "an odd type": {{Name: "a", URL: "https://x/", Types: []string{"ECR image action"}}}, "two alike": {good, good},
	} {
		if _, err := events.New(events.Options{Registry: s, Index: index, Client: &http.Client{}, Webhooks: hooks}); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if _, err := events.New(events.Options{Registry: s, Index: index, Webhooks: []events.Webhook{good}}); err == nil {
		t.Error("a webhook without a client is taken")
	}
}
