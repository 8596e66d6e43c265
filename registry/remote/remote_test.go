package remote_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/remote/remotetest"
)

// TestAddresses has rows for each class of addresses. None of them answers: what
// matters is that nothing is sent there.
func TestAddresses(t *testing.T) {
	tests := []struct {
		class string
		hosts []string
	}{
		{"loopback", []string{"127.0.0.1", "127.255.255.254", "[::1]", "localhost"}},
		{"unspecified and this network", []string{"0.0.0.0", "0.1.2.3", "[::]"}},
		{"private", []string{"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "[fc00::1]", "[fd12:3456::1]"}},
		{"link-local", []string{"169.254.1.1", "[fe80::1]", "[febf::1]"}},
		{"shared by carriers", []string{"100.64.0.1", "100.127.255.255"}},
		{"multicast", []string{"224.0.0.1", "239.255.255.255", "[ff02::1]", "[ff0e::1]"}},
		{"broadcast and reserved", []string{"255.255.255.255", "240.0.0.1", "[4000::1]", "[fec0::1]"}},
		{"metadata", []string{"169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[fd00:ec2::254]", "[fd20:ce::254]"}},
		{"documentation, benchmarks, assignments", []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.0.0.1", "[2001:db8::1]", "[3fff::1]", "[2001::1]", "[100::1]"}},
		{"IPv4 mapped", []string{"[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:169.254.169.254]"}},
		{"IPv4 compatible and translated", []string{"[::127.0.0.1]", "[::ffff:0:127.0.0.1]"}},
		{"NAT64", []string{"[64:ff9b::127.0.0.1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]"}},
		{"6to4", []string{"[2002:7f00:1::]", "192.88.99.1"}},
	}
	var all []string
	for _, tt := range tests {
		all = append(all, tt.hosts...)
	}
	c := client(t, remote.Options{Allow: []string{"192.168.7.0/24"}, PlainHTTP: all})
	for _, tt := range tests {
		for _, host := range tt.hosts {
			for _, scheme := range []string{"https://", "http://"} {
				resp, err := c.Get(scheme + host + "/")
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, remote.ErrRefused) || !strings.Contains(fmt.Sprint(err), "not public") {
					t.Errorf("%s: %s%s: %v, want it refused", tt.class, scheme, host, err)
				}
			}
		}
	}
}

// Some resolvers take these for 127.0.0.1.
func TestOddAddresses(t *testing.T) {
	odd := []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"}
	c := client(t, remote.Options{PlainHTTP: odd})
	for _, host := range odd {
		if resp, err := c.Get("http://" + host + "/"); err == nil {
			t.Errorf("%s is answered by %s", host, resp.Status)
			resp.Body.Close()
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
		{"a network of mapped addresses", []string{"::ffff:127.0.0.0/104"}, []string{address}, server.URL, true},
		{"whole names", []string{"localhost."}, []string{"localhost.:" + port}, byName, true},
		{"an address with its port", []string{address}, []string{address}, server.URL, true},
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
}

// An entry in brackets is the address within.
func TestIPv6Entries(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0") // a machine without IPv6 tests the form alone
	}
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
	server.Start()
	defer server.Close()
	for _, entry := range []string{"::1", "[::1]", "[0:0::1]", l.Addr().String()} {
		o := remote.Options{Allow: []string{"::1", "127.0.0.1"}, PlainHTTP: []string{entry, "127.0.0.1"}}
		resp, err := client(t, o).Get(server.URL)
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		resp.Body.Close()
	}
}

func TestRedirects(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}))
	defer server.Close()
	const metadata = "http://169.254.169.254/"
	once, twice := "/?to=/end", "/?to="+url.QueryEscape("/?to=/end")
	tests := []struct {
		redirects int
		path      string
		status    int // 0 for a refusal
	}{
		{0, "/end", 200}, {0, once, 302}, {0, "/?to=" + metadata, 302},
		{1, once, 200}, {1, twice, 302}, {2, twice, 200},
		{1, "/?to=" + metadata, 0}, {1, "/?to=https://10.0.0.1/", 0}, {1, "/?to=http://plain.example/", 0},
	}
	for _, tt := range tests {
		o := remote.Options{Allow: []string{"127.0.0.1"}, PlainHTTP: []string{"127.0.0.1", "169.254.169.254"}, Redirects: tt.redirects}
		resp, err := client(t, o).Get(server.URL + tt.path)
		if err == nil {
			resp.Body.Close()
		}
		if tt.status == 0 && !errors.Is(err, remote.ErrRefused) || tt.status != 0 && (err != nil || resp.StatusCode != tt.status) {
			t.Errorf("%d redirects, %s: %v, %v; want status %d", tt.redirects, tt.path, resp, err, tt.status)
		}
	}
}

// A name counts for the addresses that it has when it is asked, not for those that
// it had.
func TestNames(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	address := server.Listener.Addr().(*net.TCPAddr)
	names := remotetest.Resolver(t, map[string][]string{
		"inside.example": {"10.0.0.1"},
		"both.example":   {"192.168.0.1", "169.254.169.254"},
		"turns.example":  {"127.0.0.1"},
	})
	ask := func(allow []string, host string) error {
		o := remote.Options{Allow: allow, PlainHTTP: []string{host}, Resolver: names.Client}
		resp, err := client(t, o).Get(fmt.Sprintf("http://%s:%d/", host, address.Port))
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, host := range []string{"inside.example", "both.example", "turns.example"} {
		if err := ask([]string{"172.16.0.0/12"}, host); !errors.Is(err, remote.ErrRefused) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := ask([]string{"127.0.0.0/8"}, "turns.example"); err != nil {
		t.Errorf("a name of an address that is listed: %v", err)
	}
	names.Set("turns.example", "10.0.0.1")
	if err := ask([]string{"127.0.0.0/8"}, "turns.example"); !errors.Is(err, remote.ErrRefused) {
		t.Errorf("the name of another address now: %v", err)
	}
}

func TestBadLists(t *testing.T) {
	for _, bad := range []string{"", "http://x", "a/b", "a b", "10.0.0.0/33", "user@host", "host:port", "[::1", "::1/129"} {
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
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Host) }))
	defer proxy.Close()
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	names := remotetest.Resolver(t, map[string][]string{"public.example": {"8.8.8.8"}, "both.example": {"8.8.8.8", "10.0.0.1"}, "listed.example": {"10.0.0.1"}})
	hosts := []string{"169.254.169.254", "both.example", "unknown.example", "unknown.listed", "listed.example", "public.example"}
	allow := []string{"127.0.0.1", "listed.example", "unknown.listed"}
	for i, host := range hosts {
		c := client(t, remote.Options{Allow: allow, PlainHTTP: hosts, Resolver: names.Client})
		remote.SetProxy(c, address)
		resp, err := c.Get("http://" + host + "/")
		if err == nil {
			resp.Body.Close()
		}
		if refused := i < 3; errors.Is(err, remote.ErrRefused) != refused || (err != nil) != refused {
			t.Errorf("%s: %v", host, err)
		}
	}
	if diff := cmp.Diff(hosts[3:], asked); diff != "" {
		t.Errorf("the proxy is asked for (-want +got):\n%s", diff)
	}
	c := client(t, remote.Options{PlainHTTP: hosts, Resolver: names.Client})
	remote.SetProxy(c, address)
	if _, err := c.Get("http://public.example/"); !errors.Is(err, remote.ErrRefused) {
		t.Errorf("by a proxy that is not listed: %v", err)
	}
}
