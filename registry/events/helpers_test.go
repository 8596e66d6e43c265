package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func registryID(t testing.TB) registry.ID {
	t.Helper()
	id, err := registry.ParseID("000000000000", "us-east-1")
	must(t, err)
	return id
}

func repositoryName(t testing.TB, path string) registry.Name {
	t.Helper()
	n, err := registry.ParseName(registryID(t), path)
	must(t, err)
	return n
}

// here is the Repository of events of a whole registry, which only a registry makes.
func here(t testing.TB) registry.Name {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()})
	must(t, err)
	must(t, s.PutAccountSetting(t.Context(), registryID(t), "BLOB_MOUNTING", "ENABLED"))
	page, err := s.Events(t.Context(), 0, 1)
	if err != nil || len(page) != 1 {
		t.Fatalf("events %+v, %v", page, err)
	}
	return page[0].Repository
}

// receiver is what a webhook's requests come to, without a network.
type receiver struct {
	answer func(env events.Envelope) int // nil takes all
	wait   string                        // the Retry-After of what it does not take

	mu     sync.Mutex
	got    []string // "<repository> <detail-type>" of what was taken
	ids    []string // of those
	bodies [][]byte // of all
	heads  []http.Header
}

func (r *receiver) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return nil, err
	}
	env, err := envelopeIn(q.Header, body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies, r.heads = append(r.bodies, body), append(r.heads, q.Header)
	status := http.StatusNoContent
	if r.answer != nil {
		status = r.answer(env)
	}
	answer := &http.Response{StatusCode: status, Status: strings.Repeat("x", 1<<20), Body: http.NoBody, Header: http.Header{}}
	if status/100 == 2 {
		r.got, r.ids = append(r.got, told(env)), append(r.ids, env.ID)
	} else if r.wait != "" {
		answer.Header.Set("Retry-After", r.wait)
	}
	return answer, nil
}

func told(env events.Envelope) string {
	return strings.TrimSpace(env.Detail.RepositoryName + " " + env.DetailType)
}

// envelopeIn is the envelope in a body of either format.
func envelopeIn(h http.Header, body []byte) (env events.Envelope, err error) {
	if strings.HasPrefix(h.Get("Content-Type"), "application/cloudevents+json") {
		var ce struct{ Data json.RawMessage }
		if err := json.Unmarshal(body, &ce); err != nil {
			return env, err
		}
		body = ce.Data
	}
	return env, json.Unmarshal(body, &env)
}

// take is what was taken since the last call.
func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// tries is how many requests there were.
func (r *receiver) tries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

// answers sets what is answered from now on.
func (r *receiver) answers(fn func(events.Envelope) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

func always(status int) func(events.Envelope) int { return func(events.Envelope) int { return status } }

// hookTo is a webhook whose requests come to a receiver.
func hookTo(r http.RoundTripper, more ...func(*events.Webhook)) events.Options {
	h := events.Webhook{Name: "hook", URL: "https://hooks.example/x"}
	for _, change := range more {
		change(&h)
	}
	return events.Options{Client: &http.Client{Transport: r}, Webhooks: []events.Webhook{h}}
}

// world is a registry with a follower at work.
type world struct {
	t        testing.TB
	index    storage.Index
	registry *registry.Service
	follower *events.Follower
	stop     func()
}

// start has a follower at work until stop is called. It is for bubbles of synctest.
func start(t testing.TB, index storage.Index, o events.Options) *world {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs(), EventRetention: retention})
	must(t, err)
	o.Registry, o.Index = s, index
	f, err := events.New(t.Context(), o)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return &world{t, index, s, f, func() { cancel(); <-done }}
}

// retention is how long events are kept in tests.
const retention = 10 * time.Minute

func (w *world) create(paths ...string) {
	w.t.Helper()
	for _, path := range paths {
		_, err := w.registry.CreateRepository(w.t.Context(), repositoryName(w.t, path), registry.Settings{})
		must(w.t, err)
	}
}

func (w *world) change(path string) {
	w.t.Helper()
	_, err := w.registry.SetScanOnPush(w.t.Context(), repositoryName(w.t, path), true)
	must(w.t, err)
}

func (w *world) remove(path string) {
	w.t.Helper()
	_, err := w.registry.DeleteRepository(w.t.Context(), repositoryName(w.t, path), false)
	must(w.t, err)
}

func (w *world) letters() []events.DeadLetter {
	w.t.Helper()
	list, err := w.follower.DeadLetters(w.t.Context(), events.LetterID{}, 1000)
	must(w.t, err)
	return list
}

// pass has a time pass in a bubble, and then all come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// lines takes what is logged line by line.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// numbered is n of a kind of name.
func numbered(kind string, n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint(kind, i))
	}
	return list
}

const created, changed, deleted = events.RepositoryCreated, events.RepositoryChanged, events.RepositoryDeleted
