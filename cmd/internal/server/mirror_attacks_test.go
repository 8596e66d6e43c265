package server_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/remote/remotetest"
)

// refusedHost is a host that is never reached, in a URL of an upstream's.
type refusedHost struct{ name, url string }

// No rule leads to where only the server can get, whatever an upstream's address looks
// like and whatever its name resolves to.
func TestUpstreamInsideIsRefused(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	inside.Config.ConnState = func(net.Conn, http.ConnState) { reached.Add(1) }
	inside.Start()
	defer inside.Close()
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	names := remotetest.Resolver(t, map[string][]string{
		"loopback.example": {"127.0.0.1"}, "metadata.example": {"169.254.169.254"}, "private.example": {"10.0.0.1"},
		"localhost": {"127.0.0.1"}, "half.example": {"127.0.0.1", "192.168.1.1"}, "2130706433": {"127.0.0.1"}, "0x7f000001": {"127.0.0.1"},
	})
	var hosts []refusedHost
	text := "egress: {plain-http: ["
	for _, address := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::]", "0.0.0.0", "169.254.169.254", "[fe80::1]", "[fd00::1]", "[fd00:ec2::254]",
		"10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "2130706433", "0x7f000001", "localhost", "localhost.",
		"loopback.example", "metadata.example", "private.example", "half.example",
	} {
		hosts = append(hosts, refusedHost{fmt.Sprintf("u%d.example", len(hosts)), "http://" + address + ":" + port})
		text += fmt.Sprintf("%q, ", address)
	}
	text += "]}\nmirror: {upstreams: ["
	for _, h := range hosts {
		text += fmt.Sprintf("{host: %s, url: %q}, ", h.name, h.url)
	}
	h := watchedHouse(t, map[string]string{"dev": "true", "data": config.Memory, "config": settingsIn(t, text+"]}\n")}, server.Watch{Names: names.Client})
	password := h.password()
	for i, at := range hosts {
		prefix := fmt.Sprintf("up%d", i)
		h.rule(prefix, at.name, "")
		for _, path := range []string{"/v2/" + prefix + "/app/manifests/v1", "/v2/app/manifests/v1?ns=" + at.name} {
			got := h.read(http.MethodGet, path, password)
			if got.status != http.StatusBadGateway || !strings.Contains(got.body, "refused") && !strings.Contains(got.body, "no such host") {
				t.Errorf("%s: %d %s", at.url, got.status, got.body)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d connections came where none should", n)
	}
}

// A name is looked at for each connection: one that led where it may, and then does not,
// is refused.
func TestUpstreamNameMoves(t *testing.T) {
	up := newUpstreamOf(t)
	up.server.Config.SetKeepAlivesEnabled(false)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(up.url, "http://"))
	names := remotetest.Resolver(t, map[string][]string{"moving.example": {"127.0.0.1"}})
	text := fmt.Sprintf("mirror: {revalidate: 1ms, upstreams: [{host: moving.example, url: %q}]}\negress: {allow: [127.0.0.1/32], plain-http: [moving.example]}\n", "http://moving.example:"+port)
	h := watchedHouse(t, map[string]string{"dev": "true", "data": config.Memory, "config": settingsIn(t, text)}, server.Watch{Names: names.Client})
	h.rule("moving", "moving.example", "")
	password := h.password()
	if got := h.read(http.MethodGet, "/v2/moving/team/app/manifests/v1", password); got.status != http.StatusOK {
		t.Fatalf("where it may: %d %s", got.status, got.body)
	}
	for _, address := range []string{"127.0.0.2", "169.254.169.254", "10.1.2.3"} {
		names.Set("moving.example", address)
		await(t, "what is at "+address+" is not refused", func() bool { // a connection of before may be left
			got := h.read(http.MethodGet, "/v2/moving/team/app/manifests/v2", password)
			return got.status == http.StatusBadGateway && strings.Contains(got.body, address+" is not public")
		})
	}
}

// redirecting has layers at another place.
func redirecting(to func(r *http.Request) string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") {
			return false
		}
		http.Redirect(w, r, to(r), http.StatusTemporaryRedirect)
		return true
	}
}

// withSecret is a server with a rule "quay" for an upstream, and credentials for it.
func withSecret(t testing.TB, up *upstreamOf, more string) (h *house, password string) {
	t.Helper()
	t.Setenv("BERTH_TEST_UPSTREAM", "robot:hush-hush")
	text := fmt.Sprintf(`mirror:
  revalidate: 1ms
  upstreams: [{host: up.example, url: %q}]
  credentials: [{arn: %s, env: BERTH_TEST_UPSTREAM}]
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
%s`, up.url, secretARN, more)
	h = dev(t, "config", settingsIn(t, text))
	h.rule("quay", "up.example", `,"credentialArn":"`+secretARN+`"`)
	return h, h.password()
}

const secretARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/up"

// asking has it ask for a password, and otherwise answer as next says.
func asking(next func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if user, secret, _ := r.BasicAuth(); user != "robot" || secret != "hush-hush" {
			w.Header().Set("WWW-Authenticate", `Basic realm="up"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return next != nil && next(w, r)
	}
}

// Layers that an upstream has elsewhere come from there, without the upstream's
// credentials; from where nobody may go they do not come, nor by more than five
// redirects.
func TestUpstreamRedirects(t *testing.T) {
	up := newUpstreamOf(t)
	var proofs, last atomic.Int64 // last is the hop that was come to at least
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || strings.Contains(r.URL.String(), "hush") {
			proofs.Add(1)
		}
		if n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/hops/")); n > 0 {
			last.Store(min(last.Load(), int64(n)))
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
			return
		}
		io.WriteString(w, up.layer)
	}))
	defer store.Close()
	layer := "/v2/quay/team/app/blobs/" + digest.FromBytes(digest.SHA256, []byte(up.layer)).String()
	for _, tt := range []struct {
		name, to string
		taken    bool
	}{
		{"another origin", store.URL + "/", true},
		{"four more", store.URL + "/hops/4", true},
		{"fifty", store.URL + "/hops/50", false},
		{"the metadata service", "http://169.254.169.254/latest/", false},
		{"a private address", "https://10.0.0.1/", false},
		{"another loopback address", "https://[::1]:443/", false},
		{"a file", "file:///etc/passwd", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, password := withSecret(t, up, "")
			up.script(asking(redirecting(func(*http.Request) string { return tt.to })))
			defer up.script(nil)
			last.Store(50)
			if got := h.read(http.MethodGet, "/v2/quay/team/app/manifests/v1", password); got.status != http.StatusOK {
				t.Fatalf("the manifest: %d %s", got.status, got.body)
			}
			got := h.read(http.MethodGet, layer, password)
			if taken := got.status == http.StatusOK && got.body == up.layer; taken != tt.taken {
				t.Errorf("the layer: %d, %d bytes: %.300s", got.status, len(got.body), got.body)
			}
			if !tt.taken && got.status != http.StatusBadGateway {
				t.Errorf("status %d, want 502", got.status)
			}
			if n := 51 - last.Load(); tt.name == "fifty" && (n < 1 || n > 5) {
				t.Errorf("%d redirects were followed", n)
			}
		})
	}
	if proofs.Load() != 0 {
		t.Error("credentials went to another origin")
	}
}

// Credentials go to no token service but the upstream's own, and those that are listed
// for it.
func TestUpstreamRealmElsewhere(t *testing.T) {
	up := newUpstreamOf(t)
	var asked, proofs atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			proofs.Add(1)
		}
		fmt.Fprint(w, `{"token":"good"}`)
	}))
	defer service.Close()
	elsewhere := strings.Replace(service.URL, "127.0.0.1", "localhost", 1) // another host, as its port is no difference
	for _, tt := range []struct {
		name, realms string
		taken        bool
	}{
		{"not listed", "", false},
		{"listed", strings.TrimPrefix(elsewhere, "http://"), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked.Store(0)
			proofs.Store(0)
			up.script(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Header.Get("Authorization") == "Bearer good" {
					return false
				}
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="up"`, elsewhere))
				w.WriteHeader(http.StatusUnauthorized)
				return true
			})
			defer up.script(nil)
			t.Setenv("BERTH_TEST_UPSTREAM", "robot:hush-hush")
			h := dev(t, "config", settingsIn(t, fmt.Sprintf(`mirror:
  upstreams: [{host: up.example, url: %q, realms: [%q]}]
  credentials: [{arn: %s, env: BERTH_TEST_UPSTREAM}]
egress: {allow: [127.0.0.1, localhost], plain-http: [127.0.0.1, localhost]}
`, up.url, tt.realms, secretARN)))
			h.rule("quay", "up.example", `,"credentialArn":"`+secretARN+`"`)
			got := h.read(http.MethodGet, "/v2/quay/team/app/manifests/v1", h.password())
			if taken := got.status == http.StatusOK; taken != tt.taken {
				t.Errorf("the manifest: %d %s", got.status, got.body)
			}
			if sent := proofs.Load() > 0; sent != tt.taken {
				t.Errorf("credentials were sent: %v", sent)
			}
			if strings.Contains(got.body+h.log.String(), "hush-hush") {
				t.Error("the secret is told")
			}
		})
	}
	for _, proof := range up.proofs() {
		if strings.HasPrefix(proof, "Basic ") {
			t.Error("who asks for a token was shown a password")
		}
	}
}

// A path leads to no other repository of an upstream than the one that it names, and to
// no upstream that no rule of the caller's registry names.
func TestUpstreamPathTricks(t *testing.T) {
	up := newUpstreamOf(t)
	h := dev(t, "config", settingsIn(t, fmt.Sprintf(mirrorOf, up.url)))
	h.rule("quay", "quay.io", `,"upstreamRepositoryPrefix":"open"`)
	password := h.password()
	for _, path := range []string{
		"/v2/quay/../team/app/manifests/v1",
		"/v2/quay/%2e%2e/team/app/manifests/v1",
		"/v2/quay/..%2fteam/app/manifests/v1",
		"/v2/quay%2f..%2fteam%2fapp/manifests/v1",
		"/v2/quay/..%252fteam/app/manifests/v1",
		"/v2/quay//team/app/manifests/v1",
		"/v2/quay/./team/app/manifests/v1",
		"/v2/quay/team%00/app/manifests/v1",
		"/v2/quay/team/app@evil/manifests/v1",
		"/v2/quay/app/manifests/..%2f..%2f..%2fteam%2fapp%2fmanifests%2fv1",
		"/v2/quayx/team/app/manifests/v1",
		"/v2/team/app/manifests/v1?ns=quay.io",
		"/v2/open/../team/app/manifests/v1?ns=quay.io",
		"/v2/open%2f..%2fteam/app/manifests/v1?ns=quay.io",
		"/v2/app/manifests/v1?ns=evil.example",
		"/v2/app/manifests/v1?ns=quay.io@evil.example",
		"/v2/app/manifests/v1?ns=quay.io/open",
		"/v2/app/manifests/v1?ns=quay.io&ns=evil.example",
		"/v2/app/manifests/v1?ns=http://quay.io",
		"/v2/app/manifests/v1?ns=127.0.0.1:" + up.url[strings.LastIndex(up.url, ":")+1:],
	} {
		if got := h.read(http.MethodGet, path, password); got.status < 300 || got.status >= 500 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	for what := range up.asked {
		method, path, _ := strings.Cut(what, " ")
		if method == http.MethodGet && path != "/v2/" && !strings.HasPrefix(path, "/v2/open/") {
			t.Errorf("upstream was asked for %s", path)
		}
	}
}
