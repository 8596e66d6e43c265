package peer_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/remote/remotetest"
)

// What is not public is not asked, in whatever way it is written.
func TestUpstreamsInside(t *testing.T) {
	hosts := []string{
		"127.0.0.1", "[::1]", "169.254.169.254", "[fd00:ec2::254]", "[fd12::1]", "10.0.0.1", "172.16.0.1", "192.168.0.1", "0.0.0.0", "[::]",
		"2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "localhost.", "LOCALHOST", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]",
	}
	client, err := remote.New(remote.Options{PlainHTTP: hosts, Redirects: remote.MostRedirects})
	must(t, err)
	upstream := script(t, content)
	port := ":" + upstream.URL[strings.LastIndexByte(upstream.URL, ':')+1:]
	for _, host := range hosts {
		for _, address := range []string{"https://" + host + port, "http://" + host + port, "http://" + host} {
			r, err := peer.New(peer.Options{URL: address, Client: client, Credentials: login()})
			if err != nil {
				t.Errorf("%s: %v", address, err)
				continue
			}
			if err := r.Ping(t.Context()); err == nil || !errors.Is(err, remote.ErrRefused) && !odd[host] {
				t.Errorf("%s: %v", address, err)
			}
		}
	}
	if asked, _ := upstream.seen(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// odd are hosts that some resolvers take for addresses of this machine, and others
// for names that nobody has.
var odd = map[string]bool{"localhost.": true, "2130706433": true, "0x7f000001": true, "0177.0.0.1": true, "127.1": true}

// A name counts for the addresses that it has when it is asked.
func TestUpstreamsOfNames(t *testing.T) {
	upstream := script(t, content)
	port := upstream.URL[strings.LastIndexByte(upstream.URL, ':'):]
	names := remotetest.Resolver(t, map[string][]string{
		"turns.example": {"127.0.0.1"}, "inside.example": {"10.0.0.1"}, "metadata.example": {"169.254.169.254"}, "loop.example": {"127.0.0.2"},
	})
	client := local(t, func(o *remote.Options) {
		o.PlainHTTP, o.Resolver = []string{"turns.example", "inside.example", "metadata.example", "loop.example"}, names.Client
	})
	client.Transport = fresh{client.Transport}
	for _, name := range []string{"inside", "metadata", "loop"} {
		r, err := peer.New(peer.Options{URL: "http://" + name + ".example" + port, Client: client})
		must(t, err)
		check(t, name, r.Ping(t.Context()), remote.ErrRefused)
	}
	r, err := peer.New(peer.Options{URL: "http://turns.example" + port, Client: client})
	must(t, err)
	must(t, r.Ping(t.Context()))
	names.Set("turns.example", "192.168.0.1")
	check(t, "a name that has turned", r.Ping(t.Context()), remote.ErrRefused)
}

// fresh has each request connect anew.
type fresh struct{ http.RoundTripper }

func (f fresh) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Close = true
	return f.RoundTripper.RoundTrip(r)
}

// A registry that redirects to what it may not be asked for.
func TestRedirectsInside(t *testing.T) {
	for _, target := range []string{
		"http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/", "https://[fd00::1]/", "http://localhost.:1/", "https://192.168.0.1/x", "ftp://127.0.0.1/", "file:///etc/passwd",
	} {
		upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
		})
		r := to(t, upstream.URL, loggedIn)
		_, _, err := readAll(t, r, 0)
		check(t, "to "+target, err, remote.ErrRefused)
		_, err = r.Manifest(t.Context(), repo, "v1")
		check(t, "to "+target, err, remote.ErrRefused)
	}
}

// Fifty hops are five.
func TestHops(t *testing.T) {
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		hop := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("hop"), &hop) // 0 without one
		if hop < 50 {
			http.Redirect(w, r, fmt.Sprintf("%s?hop=%d", r.URL.Path, hop+1), http.StatusFound)
			return
		}
		content(w, r)
	})
	_, _, err := readAll(t, to(t, upstream.URL), 0)
	if e := new(peer.Error); !errors.As(err, &e) || e.Status != http.StatusFound {
		t.Errorf("%v", err)
	}
	if asked, _ := upstream.seen(); len(asked) != 6 {
		t.Errorf("%d requests", len(asked))
	}
}

// Where a registry leads to another origin, that sees no credentials: layers that lie
// elsewhere, uploads that go elsewhere, challenges from elsewhere.
func TestOtherOrigins(t *testing.T) {
	proofs := []string{`Basic realm="x"`, ""}
	service := tokens(t)
	proofs[1] = fmt.Sprintf(`Bearer realm=%q`, service.URL)
	for _, challenge := range proofs {
		elsewhere := script(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/challenge":
				w.Header().Set("Www-Authenticate", challenge)
				w.WriteHeader(http.StatusUnauthorized)
			case r.Header.Get("Referer") != "":
				t.Errorf("the other is told of %s", r.Header.Get("Referer"))
			case r.Method == http.MethodPut:
				w.WriteHeader(http.StatusCreated)
			default:
				content(w, r)
			}
		})
		registry := func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost:
				w.Header().Set("Location", elsewhere.URL+"/upload?x=y")
				w.WriteHeader(http.StatusAccepted)
			case strings.Contains(r.URL.Path, sha256Of("challenge").String()):
				http.Redirect(w, r, elsewhere.URL+"/challenge", http.StatusTemporaryRedirect)
			default:
				http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
			}
		}
		upstream := script(t, wanted(challenge, registry))
		r := to(t, upstream.URL, loggedIn, func(o *peer.Options) { o.Realms = []string{host(service)} })
		if got, _, err := readAll(t, r, 0); err != nil || got != layer {
			t.Errorf("%s: %q, %v", challenge, got, err)
		}
		must(t, r.PushBlob(t.Context(), repo, sha256Of(layer), int64(len(layer)), from([]byte(layer))))
		_, err := r.HasBlob(t.Context(), repo, sha256Of("challenge"))
		check(t, "challenged elsewhere", err, peer.ErrDenied)
		if asked, proof := elsewhere.seen(); elsewhere.secrets() || len(asked) < 3 {
			t.Errorf("%s: the other is asked %q and sees %q", challenge, asked, proof)
		}
		if !upstream.secrets() {
			t.Errorf("%s: the registry sees nothing", challenge)
		}
	}
}

// wanted has a handler behind a challenge.
func wanted(challenge string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("Www-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, bad := range []string{"", "registry.example", "ftp://registry.example", "https://", "https://a:b@registry.example", "https://registry.example?x", "https://registry.example/#x", "https://%zz"} {
		if _, err := peer.New(peer.Options{URL: bad, Client: http.DefaultClient}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := peer.New(peer.Options{URL: "https://registry.example"}); err == nil {
		t.Error("no client is taken")
	}
}

func TestHub(t *testing.T) {
	for _, name := range []string{"docker.io", "index.docker.io", "Docker.IO", "registry-1.docker.io"} {
		r, err := peer.New(peer.Options{URL: (&url.URL{Scheme: "https", Host: name}).String(), Client: http.DefaultClient})
		must(t, err)
		if r.Host() != "registry-1.docker.io" {
			t.Errorf("%s is %s", name, r.Host())
		}
	}
}
