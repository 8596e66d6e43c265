package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// configured is a development server with settings that only a file can hold.
func configured(t testing.TB, content string) *house {
	t.Helper()
	name := filepath.Join(t.TempDir(), "berth.yml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return dev(t, "config", name)
}

// Each address speaks as it is told to, over one store.
func TestPortsShareAStore(t *testing.T) {
	h := configured(t, `
tls: {auto: local}
listeners:
  - {listen: "127.0.0.1:0", tls: false}
  - {listen: "127.0.0.1:0", tls: false, compat: ecr}
`)
	st, err := h.Status(t.Context())
	if err != nil || len(st.Listeners) != 3 {
		t.Fatalf("status: %+v, %v; want three listeners", st.Listeners, err)
	}
	if status, answer := h.call("CreateRepository", `{"repositoryName":"app"}`); status != http.StatusOK {
		t.Fatalf("CreateRepository: %d %s", status, answer)
	}
	password := h.password()
	for i, want := range []string{"https", "http", "http"} {
		l := st.Listeners[i]
		if scheme, _, _ := strings.Cut(l.URL, ":"); scheme != want {
			t.Errorf("listener %d is at %s, want %s", i, l.URL, want)
		}
		h.url = want + "://" + l.Address
		client := h.client
		if want == "http" {
			client = http.DefaultClient
		}
		resp, body := h.request(client, password, http.MethodGet, "/v2/app/tags/list", nil)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("listener %d: tags/list: %s %s", i, resp.Status, body)
		}
	}
}

func TestForwardedHeaders(t *testing.T) {
	told := func(r *http.Request) {
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "registry.example")
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
	}
	for _, tt := range []struct {
		setting, realm, remote string // "HOST" is the address of the server
	}{
		{"trusted-proxies: [127.0.0.0/8]\nhosts: [registry.example]\n", `"https://registry.example/"`, "remote=192.0.2.7:0"},
		{"trusted-proxies: [192.0.2.0/24]\nhosts: [registry.example]\n", `"http://HOST/"`, "remote=127.0.0.1:"},
		{"hosts: [registry.example]\n", `"http://HOST/"`, "remote=127.0.0.1:"},
	} {
		h := configured(t, tt.setting)
		req, err := http.NewRequest(http.MethodGet, h.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		told(req)
		want := strings.ReplaceAll(tt.realm, "HOST", h.Address())
		if got := h.do(req).header.Get("Www-Authenticate"); !strings.Contains(got, want) {
			t.Errorf("%s: challenge %s, want %s", tt.setting, got, want)
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(h.log.String(), tt.remote) {
			t.Errorf("%s: the log does not have %s:\n%s", tt.setting, tt.remote, h.log)
		}
	}
}

func TestLargeHeadsAreRefused(t *testing.T) {
	for _, settings := range [][]string{{"limits.head", "16KiB"}, {"limits.head", "16KiB", "tls.auto", "local"}} {
		h := dev(t, settings...)
		if len(settings) > 2 { // a client of HTTP/2 knows the bound, and does not even ask
			h.client = h.trusting(false)
		}
		req, err := http.NewRequest(http.MethodGet, h.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 24 {
			req.Header.Set(fmt.Sprintf("X-Long-%d", i), strings.Repeat("a", 1<<10))
		}
		if got := h.do(req).status; got != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v: a head of 24 KiB is answered %d, want 431", settings, got)
		}
	}
}
