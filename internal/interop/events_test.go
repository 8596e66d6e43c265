package interop_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// event is what these tests look at of an event.
type event struct {
	ID         string `json:"id"`
	DetailType string `json:"detail-type"`
	Detail     struct {
		Repository string `json:"repository-name"`
		Tag        string `json:"image-tag"`
		Digest     string `json:"image-digest"`
		Action     string `json:"action-type"`
	} `json:"detail"`
}

func (e event) String() string {
	return strings.Join([]string{e.ID, e.DetailType, e.Detail.Action, e.Detail.Repository, e.Detail.Tag}, " ")
}

// hookSecret signs what webhooks of these tests get.
const hookSecret = "a secret of some length"

// A receiver is who is told of events by webhooks: what it took, by path, each once.
type receiver struct {
	t       *testing.T
	address string
	server  *http.Server
	took    chan struct{} // after each that is new

	mu     sync.Mutex
	full   bool // it takes nothing
	first  map[string][]event
	seen   map[string]bool // path and id
	head   http.Header     // of the last one
	body   []byte
	repeat int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t, address: "127.0.0.1:0", took: make(chan struct{}, 1), first: map[string][]event{}, seen: map[string]bool{}}
	r.open()
	t.Cleanup(r.close)
	return r
}

// open has it listen, again at the same address.
func (r *receiver) open() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.address, r.server = l.Addr().String(), &http.Server{Handler: r}
	go func(s *http.Server) { _ = s.Serve(l) }(r.server)
}

func (r *receiver) close() { _ = r.server.Close() }

// refuse has it answer that it takes nothing, or everything again.
func (r *receiver) refuse(full bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.full = full
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return // a server that was killed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.take(q, body)
}

func (r *receiver) take(q *http.Request, body []byte) {
	checkSignature(r.t, q.Header, body)
	e := eventIn(r.t, q.Header, body)
	r.head, r.body = q.Header, body
	if key := q.URL.Path + " " + e.ID; r.seen[key] {
		r.repeat++
	} else {
		r.seen[key], r.first[q.URL.Path] = true, append(r.first[q.URL.Path], e)
	}
	select {
	case r.took <- struct{}{}:
	default:
	}
}

func checkSignature(t *testing.T, h http.Header, body []byte) {
	at := h.Get("Berth-Timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)).Abs(); err != nil || age > time.Minute {
		t.Errorf("signed at %q", at)
	}
	m := hmac.New(sha256.New, []byte(hookSecret))
	fmt.Fprintf(m, "%s.%s", at, body)
	if want := "v1=" + hex.EncodeToString(m.Sum(nil)); h.Get("Berth-Signature") != want {
		t.Errorf("signed by %s, want %s", h.Get("Berth-Signature"), want)
	}
}

// eventIn is the event in a body, plain or as a CloudEvent.
func eventIn(t *testing.T, h http.Header, body []byte) (e event) {
	envelope := body
	if h.Get("Content-Type") == "application/cloudevents+json; charset=UTF-8" {
		var ce struct {
			ID   string
			Data json.RawMessage
		}
		if err := json.Unmarshal(body, &ce); err != nil || ce.ID == "" {
			t.Errorf("CloudEvent %s: %v", body, err)
		}
		envelope = ce.Data
	}
	if err := json.Unmarshal(envelope, &e); err != nil || e.ID == "" {
		t.Errorf("event %s: %v", body, err)
	}
	return e
}

// await waits until so many events came to a path.
func (r *receiver) await(path string, n int) []event {
	r.t.Helper()
	late := time.After(2 * time.Minute)
	for {
		r.mu.Lock()
		got := slices.Clone(r.first[path])
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.took:
		case <-late:
			r.t.Fatalf("%d events came to %s, want %d; the last: %v", len(got), path, n, got[max(0, len(got)-5):])
		}
	}
}

// watched starts a server with a plain webhook and one of CloudEvents, which have more
// settings than those of all, and a file of events.
func watched(t *testing.T, r *receiver, more ...string) (s *harness.Server, file string) {
	t.Helper()
	folder := t.TempDir()
	file = filepath.Join(folder, "events.jsonl")
	makeFile(t, filepath.Join(folder, "secret"), hookSecret+"\n")
	makeFile(t, filepath.Join(folder, "berth.yml"), fmt.Sprintf(`
events:
  file: %[1]s
  webhooks:
    - {name: plain, url: "http://user:password@%[2]s/plain?token=hush", secret-file: %[3]s%[4]s}
    - {name: cloud, url: "http://%[2]s/cloud", format: cloudevents, secret-file: %[3]s%[4]s}
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
`, file, r.address, filepath.Join(folder, "secret"), strings.Join(append([]string{""}, more...), ", ")))
	return harness.Start(t, "--config", filepath.Join(folder, "berth.yml")), file
}

// logOf is the server's log of events, by `berth events tail`.
func logOf(t *testing.T, s *harness.Server) []event {
	t.Helper()
	return eventsIn(t, strings.NewReader(s.Shell(t).Run("berth", "events", "tail", "--after", "0", "--json")))
}

// eventsIn reads a line for each event, and takes each once.
func eventsIn(t *testing.T, text io.Reader) (list []event) {
	t.Helper()
	seen := map[string]bool{}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && !seen[e.ID] { // else a line that a kill has cut
			seen[e.ID], list = true, append(list, e)
		}
	}
	return list
}

// of are the events of a repository.
func of(repository string, list []event) (some []string) {
	for _, e := range list {
		if e.Detail.Repository == repository {
			some = append(some, e.String())
		}
	}
	return some
}

// Images are pushed while the receiver of webhooks is there, takes nothing, and is
// away, and the server is killed again and again: the receiver is told all of it,
// signed, in order within each repository, as `berth events tail` and the file have it.
func TestSDKKillDuringEvents(t *testing.T) {
	r := newReceiver(t)
	s, file := watched(t, r)
	repositories := []string{"team/one", "team/two"}
	for _, n := range repositories {
		s.CreateRepository(t, n)
	}
	const pushes = 5
	for round := range *kills {
		if round == 1 {
			r.close()
		}
		r.refuse(round%2 == 1)
		door := s.OCI(t)
		for i := range pushes {
			for _, n := range repositories {
				if err := door.PushImage(t.Context(), n, fmt.Sprintf("%d-%d", round, i), ociImage(t, uint64(900+pushes*round+i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.Kill()
		s.Launch()
		if round == 1 {
			r.open()
		}
	}
	r.refuse(false)
	log := logOf(t, s)
	for path, got := range map[string][]event{"/plain": r.await("/plain", len(log)), "/cloud": r.await("/cloud", len(log))} {
		for _, n := range repositories {
			if len(of(n, log)) != 1+pushes**kills || !slices.Equal(of(n, got), of(n, log)) {
				t.Errorf("%s is told of %s\n%s\nwant\n%s", path, n, strings.Join(of(n, got), "\n"), strings.Join(of(n, log), "\n"))
			}
		}
	}
	t.Logf("%d events, %d of them told again", len(log), r.repeat)
	if strings.Contains(s.Log(), "hush") || strings.Contains(s.Log(), "password@") {
		t.Errorf("the log tells secrets:\n%s", s.Log())
	}
	if told := awaitFile(t, file, len(log)); !slices.Equal(told, log) {
		t.Errorf("the file has\n%v\nwant\n%v", told, log)
	}
}

// awaitFile waits until a file has so many events.
func awaitFile(t *testing.T, path string, n int) (list []event) {
	t.Helper()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		if list = eventsIn(t, strings.NewReader(string(readFile(t, path)))); len(list) >= n {
			break
		}
	}
	return list
}

// What a webhook does not take in time is listed, sent again and dropped by the
// command.
func TestSDKDeadEvents(t *testing.T) {
	r := newReceiver(t)
	r.refuse(true)
	s, _ := watched(t, r, "max-age: 1s, types: [Berth Repository Created]")
	sh := s.Shell(t)
	for _, n := range []string{"one", "two", "three", "four"} {
		s.CreateRepository(t, n)
	}
	type letter struct {
		Webhook  string
		Sequence int
		Error    string
		Event    event
	}
	list := func(n int) (list []letter) {
		t.Helper()
		for until := time.Now().Add(time.Minute); time.Now().Before(until); {
			if err := json.Unmarshal([]byte(sh.Run("berth", "events", "dead", "list", "--json")), &list); err != nil {
				t.Fatal(err)
			}
			if len(list) == n {
				break
			}
		}
		return list
	}
	dead := list(8) // four of each webhook
	if len(dead) != 8 || dead[4].Webhook != "plain" || dead[4].Error != "answered 503 Service Unavailable" || dead[4].Event.Detail.Repository != "one" {
		t.Fatalf("dead letters %+v", dead)
	}
	if got := sh.Run("berth", "events", "dead"); strings.Count(got, "\n") != 7 || !strings.Contains(got, "answered 503") {
		t.Errorf("berth events dead prints\n%s", got)
	}
	r.refuse(false)
	sh.Run("berth", "events", "dead", "replay", "plain", fmt.Sprint(dead[6].Sequence))
	sh.Run("berth", "events", "dead", "drop", "plain", fmt.Sprint(dead[5].Sequence))
	sh.Run("berth", "events", "dead", "drop", "cloud", "--all")
	if got := r.await("/plain", 1); got[0] != dead[6].Event {
		t.Errorf("replayed %v, want %v", got[0], dead[6].Event)
	}
	sh.Run("berth", "events", "dead", "replay", "plain", "--all")
	if got := of("four", r.await("/plain", 3)); len(got) != 1 {
		t.Errorf("replayed %v", got)
	}
	if left := list(0); len(left) != 0 {
		t.Errorf("there are still %+v", left)
	}
	for _, args := range [][]string{{"plain"}, {"plain", "1", "--all"}, {"plain", "first"}, {"plain", "1"}} {
		sh.Refused("berth", append([]string{"events", "dead", "drop"}, args...)...)
	}
}

// pythonCheck is the check of signatures that the page for users shows.
var pythonCheck = regexp.MustCompile("(?s)```python\n(.*?)```")

// The check of signatures in the page for users takes what the server sends, and
// nothing else.
func TestBoto3EventSignature(t *testing.T) {
	r := newReceiver(t)
	s, _ := watched(t, r)
	s.CreateRepository(t, "team/app")
	r.await("/plain", 1)
	sh := s.Shell(t)
	check := pythonCheck.FindSubmatch(readFile(t, "../../docs/events.md"))
	if check == nil {
		t.Fatal("the page shows no check in Python")
	}
	r.mu.Lock()
	head, err := json.Marshal(map[string]string{"Berth-Timestamp": r.head.Get("Berth-Timestamp"), "Berth-Signature": r.head.Get("Berth-Signature")})
	makeFile(t, filepath.Join(sh.Home(), "body"), string(r.body))
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	makeFile(t, filepath.Join(sh.Home(), "check.py"), string(check[1])+fmt.Sprintf(`
import os
secret, headers, body = %q.encode(), %s, open(os.path.expanduser("~/body"), "rb").read()
late = dict(headers, **{"Berth-Timestamp": str(int(headers["Berth-Timestamp"]) - 1000)})
print(is_genuine(secret, headers, body), is_genuine(secret, headers, body + b" "), is_genuine(b"x" + secret, headers, body), is_genuine(secret, late, body))
`, hookSecret, head))
	if got := sh.Run("python3", filepath.Join(sh.Home(), "check.py")); got != "True False False False" {
		t.Errorf("the check says %s", got)
	}
}
