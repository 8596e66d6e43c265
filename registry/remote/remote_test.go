package remote_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/remote"
)

// client is a client that asks no proxy of the machine that tests run on.
func client(t testing.TB, o remote.Options) *http.Client {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	c, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAddresses has an address of each class. None of them answers: what matters is
// that nothing is sent there.
func TestAddresses(t *testing.T) {
	c := client(t, remote.Options{Allow: []string{"192.168.7.0/24"}, PlainHTTP: []string{
		"127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "224.0.0.1", "255.255.255.255",
		"198.18.0.1", "192.0.2.1", "240.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]", "[::127.0.0.1]", "localhost", "2130706433", "0x7f000001", "127.1",
	}})
	for _, host := range []string{
		"127.0.0.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "224.0.0.1", "255.255.255.255",
		"198.18.0.1", "192.0.2.1", "240.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]", "[::127.0.0.1]", "localhost",
	} {
		for _, scheme := range []string{"https://", "http://"} {
			_, err := c.Get(scheme + host + "/")
			if !errors.Is(err, remote.ErrRefused) {
				t.Errorf("%s%s: %v, want it refused", scheme, host, err)
			}
		}
	}
	for _, odd := range []string{"2130706433", "0x7f000001", "127.1"} { // which some resolvers take for 127.0.0.1
		if resp, err := c.Get("http://" + odd + "/"); err == nil {
			t.Errorf("%s is answered by %s", odd, resp.Status)
		}
	}
}

func TestAllowed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	byName := "http://localhost:" + port
	tests := []struct {
		what         string
		allow, plain []string
		url          string
		ok           bool
	}{
		{"nothing", nil, nil, server.URL, false},
		{"no plain HTTP", []string{"127.0.0.1"}, nil, server.URL, false},
		{"not the address", nil, []string{"127.0.0.1"}, server.URL, false},
		{"an address", []string{"127.0.0.1"}, []string{"127.0.0.1"}, server.URL, true},
		{"a network", []string{"127.0.0.0/8"}, []string{address}, server.URL, true},
		{"a mapped address", []string{"::ffff:127.0.0.1"}, []string{address}, server.URL, true},
		{"a name by its address", []string{"127.0.0.1", "::1"}, []string{"localhost"}, byName, true},
		{"a name", []string{"localhost"}, []string{"LOCALHOST"}, byName, true},
		{"a name with its port", []string{"localhost:" + port}, []string{"localhost:" + port}, byName, true},
		{"a name with another port", []string{"localhost:1"}, []string{"localhost"}, byName, false},
		{"another name of the address", []string{"registry.internal"}, []string{"localhost"}, byName, false},
	}
	for _, tt := range tests {
		resp, err := client(t, remote.Options{Allow: tt.allow, PlainHTTP: tt.plain}).Get(tt.url)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, remote.ErrRefused) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if err == nil {
			resp.Body.Close()
		}
	}
	resp, err := client(t, remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1"}}).Get(server.URL + "/away")
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Errorf("a redirect: %v, %v", resp, err)
	}
}

func TestBadLists(t *testing.T) {
	for _, bad := range []string{"", "http://x", "a/b", "a b", "10.0.0.0/33", "user@host", "host:port"} {
		if _, err := remote.New(remote.Options{Allow: []string{bad}}); err == nil || !strings.Contains(err.Error(), "host") {
			t.Errorf("%q may be reached: %v", bad, err)
		}
	}
	if _, err := remote.New(remote.Options{PlainHTTP: []string{"10.0.0.0/8"}}); err == nil {
		t.Error("a network is asked without TLS")
	}
}

// A proxy is no way around.
func TestThroughAProxy(t *testing.T) {
	asked := ""
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.String() }))
	defer proxy.Close()
	c := client(t, remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"169.254.169.254", "public.invalid"}})
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	remote.SetProxy(c, address)
	if _, err := c.Get("http://169.254.169.254/latest"); !errors.Is(err, remote.ErrRefused) || asked != "" {
		t.Errorf("%v, and the proxy is asked for %q", err, asked)
	}
	resp, err := c.Get("http://public.invalid/")
	if err != nil || asked != "http://public.invalid/" {
		t.Fatalf("%v, and the proxy is asked for %q", err, asked)
	}
	resp.Body.Close()
}
