package events_test

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage/memory"
)

// byHost sends requests to receivers.
type byHost map[string]http.RoundTripper

func (m byHost) RoundTrip(r *http.Request) (*http.Response, error) { return m[r.URL.Host].RoundTrip(r) }

func TestWebhooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, some := &receiver{}, &receiver{}
		w := start(t, memory.NewIndex(), events.Options{Client: &http.Client{Transport: byHost{"all": all, "some": some}}, Webhooks: []events.Webhook{
			{Name: "all", URL: "https://all/x", Secret: []byte("secret"), Format: events.CloudEvents},
			{Name: "some", URL: "https://some/x", Repositories: []string{"team/*"}, Types: []string{created}},
		}})
		defer w.stop()
		w.create("team/app", "other")
		w.change("team/app")
		synctest.Wait() // and no time passes
		if diff := cmp.Diff([]string{"other " + created, "team/app " + changed, "team/app " + created}, sorted(all.take())); diff != "" {
			t.Errorf("all (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"team/app " + created}, some.take()); diff != "" {
			t.Errorf("some (-want +got):\n%s", diff)
		}
		for i, h := range all.heads {
			want := "v1=" + hex.EncodeToString(events.Sign([]byte("secret"), h.Get(events.TimestampHeader), all.bodies[i]))
			if at := fmt.Sprint(time.Now().Unix()); !hmac.Equal([]byte(want), []byte(h.Get(events.SignatureHeader))) || h.Get(events.TimestampHeader) != at {
				t.Errorf("signed by %s at %s, want %s at %s", h.Get(events.SignatureHeader), h.Get(events.TimestampHeader), want, at)
			}
		}
		if h := some.heads[0]; h.Get(events.SignatureHeader) != "" || h.Get("Content-Type") != "application/json" {
			t.Errorf("without a secret the head is %v", h)
		}
	})
}

// The members of CloudEvents 1.0 in structured mode.
func TestCloudEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := start(t, memory.NewIndex(), hookTo(r, func(h *events.Webhook) { h.Format = events.CloudEvents }))
		defer w.stop()
		w.create("team/app")
		must(t, w.registry.PutAccountSetting(t.Context(), registryID(t), "BLOB_MOUNTING", "ENABLED"))
		synctest.Wait()
		bodies := map[string]map[string]any{}
		for i, body := range r.bodies {
			var ce map[string]any
			must(t, json.Unmarshal(body, &ce))
			env, err := envelopeIn(r.heads[i], body)
			must(t, err)
			if ce["id"] != env.ID || ce["time"] != env.Time.Format(time.RFC3339) || r.heads[i].Get("Content-Type") != "application/cloudevents+json; charset=UTF-8" {
				t.Errorf("%v, and the head %v, do not go with %+v", ce, r.heads[i], env)
			}
			delete(ce, "id")
			delete(ce, "time")
			delete(ce, "data")
			bodies[env.DetailType] = ce
		}
		want := map[string]map[string]any{
			created: {"specversion": "1.0", "source": "urn:berth:000000000000:us-east-1", "type": "berth.berth-repository-created", "subject": "team/app", "datacontenttype": "application/json"},
			events.RegistryChanged: {
				"specversion": "1.0", "source": "urn:berth:000000000000:us-east-1", "type": "berth.berth-registry-changed", "datacontenttype": "application/json"},
		}
		if diff := cmp.Diff(want, bodies); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFilters(t *testing.T) {
	type hook = func(*events.Webhook)
	of := func(patterns ...string) hook { return func(h *events.Webhook) { h.Repositories = patterns } }
	types := func(list ...string) hook { return func(h *events.Webhook) { h.Types = list } }
	tests := []struct {
		what string
		hook hook
		want []string
	}{
		{"all", of(), []string{events.RegistryChanged, "other " + created, "team/app " + changed, "team/app " + created}},
		{"a name", of("other"), []string{"other " + created}},
		{"patterns", of("x*", "t*m/*"), []string{"team/app " + changed, "team/app " + created}},
		{"any repository", of("*"), []string{"other " + created, "team/app " + changed, "team/app " + created}},
		{"types", types(changed, events.RegistryChanged), []string{events.RegistryChanged, "team/app " + changed}},
		{"nothing that happens", types(events.ImageAction), nil},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			w := start(t, memory.NewIndex(), hookTo(r, tt.hook))
			defer w.stop()
			w.create("team/app", "other")
			w.change("team/app")
			must(t, w.registry.PutAccountSetting(t.Context(), registryID(t), "BLOB_MOUNTING", "ENABLED"))
			synctest.Wait()
			if diff := cmp.Diff(tt.want, sorted(r.take())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.what, diff)
			}
		})
	}
}

// An event of several repositories, which has no name of its own, is for whoever
// waits for one of them.
func TestFilterOfScanning(t *testing.T) {
	for pattern, want := range map[string]int{"team/*": 1, "other": 0} {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{}
			w := start(t, memory.NewIndex(), hookTo(r, func(h *events.Webhook) {
				h.Repositories, h.Types = []string{pattern}, []string{events.ScanResourceChange}
			}))
			defer w.stop()
			w.create("team/app")
			_, err := w.registry.PutScanning(t.Context(), registryID(t), scan.Settings{Type: scan.Basic, Rules: []scan.Rule{
				{Frequency: scan.OnPush, Filters: []string{"*"}}}})
			must(t, err)
			synctest.Wait()
			if got := r.take(); len(got) != want {
				t.Errorf("%s is told %q", pattern, got)
			}
		})
	}
}

// A repository whose events are not taken waits, in its order, and holds up no
// other; nothing is lost when the process stops meanwhile.
func TestWebhooksThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, r := memory.NewIndex(), &receiver{wait: "7"}
		r.answers(func(env events.Envelope) int {
			if env.Detail.RepositoryName == "broken" {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
		w := start(t, index, hookTo(r))
		w.create("broken", "fine")
		w.change("broken")
		w.change("fine")
		pass(3 * time.Second)
		if diff := cmp.Diff([]string{"fine " + created, "fine " + changed}, r.take()); diff != "" {
			t.Errorf("beside the broken one (-want +got):\n%s", diff)
		}
		tries := r.tries()
		pass(3 * time.Second) // within the seven seconds that the receiver asked for
		if r.tries() != tries {
			t.Errorf("tried again %d times against Retry-After", r.tries()-tries)
		}
		w.stop()
		r.answers(nil)
		w = start(t, index, hookTo(r))
		defer w.stop()
		pass(10 * time.Second)
		if diff := cmp.Diff([]string{"broken " + created, "broken " + changed}, r.take()); diff != "" {
			t.Errorf("after the repair (-want +got):\n%s", diff)
		}
	})
}

// A receiver that fails now and then, beside stops of the server, is told all in
// order within each repository.
func TestOrder(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			random, luck := rand.New(rand.NewPCG(seed, 0)), rand.New(rand.NewPCG(seed, 1))
			index, r := memory.NewIndex(), &receiver{}
			r.answers(func(events.Envelope) int {
				return []int{200, 200, 500}[luck.IntN(3)] // under the receiver's lock
			})
			w := start(t, index, hookTo(r))
			names, want := numbered("r", 6), map[string][]string{}
			w.create(names...)
			for range 120 {
				n := names[random.IntN(len(names))]
				w.change(n)
				want[n] = append(want[n], n+" "+changed)
				if random.IntN(20) == 0 {
					w.stop()
					w = start(t, index, hookTo(r))
				}
				time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			}
			r.answers(nil)
			pass(time.Hour)
			w.stop()
			got := map[string][]string{}
			for _, line := range r.take() {
				n, _, _ := strings.Cut(line, " ")
				got[n] = append(got[n], line)
			}
			for _, n := range names {
				want[n] = append([]string{n + " " + created}, want[n]...)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("seed %d (-want +got):\n%s", seed, diff)
			}
		})
	}
}

// A repository that was deleted and made again is one to receivers.
func TestOrderByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		r.answers(always(500))
		w := start(t, memory.NewIndex(), hookTo(r))
		defer w.stop()
		want := []string{}
		for range 5 {
			w.create("app")
			w.remove("app")
			want = append(want, "app "+created, "app "+deleted)
		}
		synctest.Wait()
		r.answers(nil)
		pass(5 * time.Second)
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// slow takes its time for each request.
type slow struct {
	*receiver
	wait func(env events.Envelope) time.Duration
}

func (s slow) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := q.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var env events.Envelope
	if err := json.NewDecoder(body).Decode(&env); err != nil {
		return nil, err
	}
	select {
	case <-time.After(s.wait(env)):
		return s.receiver.RoundTrip(q)
	case <-q.Context().Done():
		return nil, q.Context().Err()
	}
}

// Repositories with much to tell leave room for one with little.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := start(t, memory.NewIndex(), hookTo(slow{r, func(events.Envelope) time.Duration { return time.Second }}))
		defer w.stop()
		busy := numbered("busy", 10)
		w.create(busy...)
		for range 100 {
			for _, n := range busy {
				w.change(n)
			}
		}
		w.create("zz")
		for waited := 0; ; waited++ {
			pass(time.Second)
			got := r.take()
			if len(got) > 0 && strings.HasPrefix(strings.Join(got, "\n"), "zz") || strings.Contains(strings.Join(got, "\n"), "\nzz") {
				return
			}
			if waited > 100 { // of more than 250 that all take
				t.Fatal("the last repository is not told within 100 seconds")
			}
		}
	})
}

// A receiver that does not answer about some repositories is asked about others.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		w := start(t, memory.NewIndex(), hookTo(slow{r, func(env events.Envelope) time.Duration {
			if strings.HasPrefix(env.Detail.RepositoryName, "stuck") {
				return time.Hour
			}
			return 0
		}}))
		defer w.stop()
		w.create("stuck1", "stuck2", "stuck3", "fine")
		synctest.Wait()
		if diff := cmp.Diff([]string{"fine " + created}, r.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		w.create(numbered("stuckmore", 20)...)
		w.create("late")
		pass(5 * time.Minute)
		if diff := cmp.Diff([]string{"late " + created}, r.take()); diff != "" {
			t.Errorf("later (-want +got):\n%s", diff)
		}
	})
}

// A receiver that is sent too much is left alone by all repositories.
func TestTooManyRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{wait: "60"}
		r.answers(always(http.StatusTooManyRequests))
		w := start(t, memory.NewIndex(), hookTo(r))
		defer w.stop()
		w.create("one")
		synctest.Wait()
		w.create("two", "three")
		pass(59 * time.Second)
		if r.tries() != 1 {
			t.Errorf("%d requests within the minute", r.tries())
		}
		r.answers(nil)
		pass(2 * time.Second)
		if got := r.take(); len(got) != 3 {
			t.Errorf("then it is told %q", got)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		header string
		tries  []time.Duration // of the second and third attempt, from the first one on
	}{
		{"90", []time.Duration{90 * time.Second, 180 * time.Second}},
		{"date", []time.Duration{100 * time.Second, 100*time.Second + 2*time.Second}}, // which has passed by then
		{"7200", []time.Duration{time.Hour}},                                          // the last time, as old as it may be
		{"99999999999999", []time.Duration{time.Hour}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			r := &receiver{wait: tt.header}
			if tt.header == "date" {
				r.wait = time.Now().Add(100 * time.Second).UTC().Format(http.TimeFormat)
			}
			r.answers(always(http.StatusServiceUnavailable))
			w := start(t, memory.NewIndex(), hookTo(r, func(h *events.Webhook) { h.MaxAge = time.Hour }))
			defer w.stop()
			w.create("one")
			synctest.Wait()
			since := time.Duration(0)
			for i, at := range tt.tries {
				pass(at - since - 2*time.Second)
				if r.tries() != i+1 {
					t.Errorf("%q: %d attempts long before %v", tt.header, r.tries(), at)
				}
				pass(4 * time.Second)
				since = at + 2*time.Second
				if r.tries() != i+2 {
					t.Errorf("%q: %d attempts at %v", tt.header, r.tries(), at)
				}
			}
		})
	}
}

// Without a word from the receiver attempts become rarer, to one in an hour, and end
// after a day.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		var at []time.Time
		r.answers(func(events.Envelope) int {
			at = append(at, time.Now())
			return http.StatusInternalServerError
		})
		w := start(t, memory.NewIndex(), hookTo(r))
		defer w.stop()
		w.create("one")
		pass(25 * time.Hour)
		last := at[len(at)-1]
		for i := range at[1 : len(at)-1] {
			wait, most := at[i+1].Sub(at[i]), min(2*time.Second<<min(i, 20), time.Hour)
			if wait < most/2 || wait > most {
				t.Errorf("attempt %d comes %v after the one before it, want %v to %v", i+2, wait, most/2, most)
			}
		}
		if age := last.Sub(at[0]); age < 24*time.Hour || age > 24*time.Hour || len(w.letters()) != 1 {
			t.Errorf("the last attempt is after %v, and then there are dead letters %+v", age, w.letters())
		}
	})
}

// A client that would follow redirects does not.
func TestNoRedirects(t *testing.T) {
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	said := make(lines, 10)
	index := memory.NewIndex()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	f, err := events.New(t.Context(), events.Options{Registry: s, Index: index, Client: &http.Client{}, Log: slog.New(slog.NewTextHandler(said, nil)), Webhooks: []events.Webhook{
		{Name: "hook", URL: strings.Replace(server.URL, "http://", "http://user:password@", 1) + "/in?token=hush", Secret: []byte("signed by this")}}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	_, err = s.CreateRepository(t.Context(), repositoryName(t, "one"), registry.Settings{})
	must(t, err)
	if path := <-asked; path != "/in" {
		t.Errorf("asked for %s", path)
	}
	line := <-said
	cancel()
	must(t, <-done)
	for _, secret := range []string{"password", "hush", "signed by this"} {
		if strings.Contains(line, secret) || !strings.Contains(line, "answered 307 Temporary Redirect") {
			t.Errorf("logged: %s", line)
		}
	}
	if len(asked) > 0 {
		t.Errorf("then asked for %s", <-asked)
	}
}

func TestSecretsAreHidden(t *testing.T) {
	h := events.Webhook{Secret: []byte("hush")}
	text, err := json.Marshal(h)
	must(t, err)
	log := &journal{}
	log.logger().Info("a webhook", "secret", h.Secret, "hook", h)
	for _, shown := range []string{fmt.Sprint(h), fmt.Sprintf("%+v %#v %x %s %d %q", h, h, h.Secret, h.Secret, h.Secret, h.Secret), string(text), log.String()} {
		if strings.Contains(shown, "hush") || strings.Contains(shown, "68757368") || strings.Contains(shown, "104") || strings.Contains(shown, "aHVzaA") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestBadWebhooks(t *testing.T) {
	index := memory.NewIndex()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	good := events.Webhook{Name: "a", URL: "https://x/"}
	for what, hooks := range map[string][]events.Webhook{
		"no name": {{URL: "https://x/"}}, "no address": {{Name: "a"}}, "an odd scheme": {{Name: "a", URL: "ftp://x/"}}, "a path": {{Name: "a", URL: "/x"}},
		"no host": {{Name: "a", URL: "https://:443/"}}, "a name with a zero": {{Name: "a\x00b", URL: "https://x/"}}, "a long name": {{Name: strings.Repeat("a", 101), URL: "https://x/"}},
		"an odd format": {{Name: "a", URL: "https://x/", Format: "xml"}}, "an odd type": {{Name: "a", URL: "https://x/", Types: []string{"ECR image action"}}},
		"an odd age": {{Name: "a", URL: "https://x/", MaxAge: -1}}, "two alike": {good, good},
	} {
		if _, err := events.New(t.Context(), events.Options{Registry: s, Index: index, Client: &http.Client{}, Webhooks: hooks}); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	for what, o := range map[string]events.Options{
		"a webhook without a client": {Registry: s, Index: index, Webhooks: []events.Webhook{good}}, "no registry": {Index: index}, "no index": {Registry: s},
	} {
		if _, err := events.New(t.Context(), o); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// endless is an answer whose body never ends, and counts what is read of it.
type endless struct {
	http.RoundTripper
	read atomic.Int64
}

func (e *endless) RoundTrip(q *http.Request) (*http.Response, error) {
	resp, err := e.RoundTripper.RoundTrip(q)
	if err == nil {
		resp.Body = io.NopCloser(e)
	}
	return resp, err
}

func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// Of an answer no more is read than lets the connection be used again, however long it is.
func TestEndlessAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		e := &endless{RoundTripper: r}
		w := start(t, memory.NewIndex(), hookTo(e))
		defer w.stop()
		w.create("one", "two")
		synctest.Wait()
		if got := r.take(); len(got) != 2 {
			t.Errorf("told of %q", got)
		}
		if n := e.read.Load(); n > 1<<20 {
			t.Errorf("%d bytes were read of two answers", n)
		}
	})
}
