package server_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/events"
)

// TestWebhooksOfAServer has a server tell a receiver that is down at first, across a
// restart, and what it told in the file and to the command.
func TestWebhooksOfAServer(t *testing.T) {
	dir := t.TempDir()
	const secret = "a secret of some length"
	got, down := make(chan string, 100), true
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		want := "v1=" + hex.EncodeToString(events.Sign([]byte(secret), r.Header.Get(events.TimestampHeader), body))
		if err != nil || r.Header.Get(events.SignatureHeader) != want {
			t.Errorf("signed by %s, want %s (%v)", r.Header.Get(events.SignatureHeader), want, err)
		}
		var env events.Envelope
		if err := json.Unmarshal(body, &env); err != nil {
			t.Error(err)
		}
		if down {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusBadGateway)
		}
		got <- fmt.Sprintf("%s %s %d", env.DetailType, env.Detail.RepositoryName, map[bool]int{true: 502, false: 200}[down])
	}))
	defer receiver.Close()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("berth.yml", fmt.Sprintf(`
events:
  file: %s
  webhooks: [{name: hook, url: %s/in, secret-file: %s, types: [Berth Repository Created]}]
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
`, filepath.Join(dir, "events.jsonl"), receiver.URL, write("secret", secret+"\n")))
	next := func() string {
		t.Helper()
		select {
		case s := <-got:
			return s
		case <-time.After(patient):
			t.Fatal("nothing is sent")
		}
		return ""
	}
	h := inFolder(t, dir, "config", conf)
	h.call("CreateRepository", `{"repositoryName":"one"}`)
	if s := next(); s != "Berth Repository Created one 502" {
		t.Errorf("sent %q", s)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	down = false
	h = inFolder(t, dir, "config", conf)
	if s := next(); s != "Berth Repository Created one 200" {
		t.Errorf("after the restart sent %q", s)
	}
	h.call("PutImageTagMutability", `{"repositoryName":"one","imageTagMutability":"IMMUTABLE"}`)
	h.call("CreateRepository", `{"repositoryName":"two"}`)
	if s := next(); s != "Berth Repository Created two 200" {
		t.Errorf("then sent %q", s)
	}
	page, err := h.Events(context.Background(), 0, false)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, env := range page.Events {
		told = append(told, env.DetailType+" "+env.Detail.RepositoryName)
	}
	want := []string{"Berth Repository Created one", "Berth Repository Changed one", "Berth Repository Created two"}
	if diff := cmp.Diff(want, told); diff != "" || page.Last != 3 {
		t.Errorf("up to %d (-want +got):\n%s", page.Last, diff)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{} // a stop may have one written twice
	for line := range strings.Lines(string(text)) {
		lines[line] = true
	}
	if len(lines) == 0 || len(lines) > 3 { // the stop may come before the last ones are taken over
		t.Errorf("the file has %d lines:\n%s", len(lines), text)
	}
}

// A webhook does not get at what only the server can reach.
func TestWebhooksStayOutside(t *testing.T) {
	asked := make(chan struct{}, 1)
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked <- struct{}{} }))
	defer inside.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "berth.yml")
	text := fmt.Sprintf("events: {webhooks: [{name: hook, url: %s}]}\negress: {plain-http: [127.0.0.1]}\n", inside.URL)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h := dev(t, "config", conf)
	h.call("CreateRepository", `{"repositoryName":"one"}`)
	awaitLog(t, h, "is not public and not in egress.allow")
	select {
	case <-asked:
		t.Error("the server asked itself")
	default:
	}
}
