package endpoint_test

import (
	"net/http"
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// by is a request that a proxy at an address passed on with headers.
func by(remote string, headers http.Header) *http.Request {
	r := request("inner:5000", false)
	r.RemoteAddr, r.Header = remote, headers
	return r
}

func TestForwardedByTrustedProxiesOnly(t *testing.T) {
	o := endpoint.Options{Hosts: []string{"berth.example", "inner"}, Proxies: []string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"}}
	told := http.Header{
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"berth.example"}, "X-Forwarded-For": {"192.0.2.7"},
	}
	tests := []struct {
		remote       string
		headers      http.Header
		url, address string // URL of "/x", RemoteAddr
	}{
		{"10.1.2.3:999", told, "https://berth.example/x", "192.0.2.7:0"},
		{"[::ffff:10.1.2.3]:999", told, "https://berth.example/x", "192.0.2.7:0"},
		{"[fd00::1]:999", told, "https://berth.example/x", "192.0.2.7:0"},
		{"127.0.0.1:999", told, "https://berth.example/x", "192.0.2.7:0"},
		{"127.0.0.2:999", told, "http://inner:5000/x", "127.0.0.2:999"},
		{"192.0.2.1:999", told, "http://inner:5000/x", "192.0.2.1:999"},
		{"10.1.2.3:999", nil, "http://inner:5000/x", "10.1.2.3:999"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-Proto": {"gopher"}}, "http://inner:5000/x", "10.1.2.3:999"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-Proto": {"http, HTTPS"}}, "https://inner:5000/x", "10.1.2.3:999"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-Host": {"evil.example", "berth.example"}}, "http://berth.example/x", "10.1.2.3:999"},
		// Addresses that the client wrote itself come before those of proxies.
		{"10.1.2.3:999", http.Header{"X-Forwarded-For": {"1.1.1.1, 192.0.2.7, 10.9.9.9"}}, "http://inner:5000/x", "192.0.2.7:0"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-For": {"1.1.1.1", "192.0.2.7"}}, "http://inner:5000/x", "192.0.2.7:0"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-For": {"nonsense"}}, "http://inner:5000/x", "10.1.2.3:999"},
		{"10.1.2.3:999", http.Header{"X-Forwarded-For": {"nonsense, 10.9.9.9"}}, "http://inner:5000/x", "10.9.9.9:0"},
	}
	for _, tt := range tests {
		n := names(t, o)
		f := n.Forwarded(by(tt.remote, tt.headers))
		s, err := n.Site(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.URL("/x"); got != tt.url || f.RemoteAddr != tt.address {
			t.Errorf("from %s with %v: %s of %s, want %s of %s", tt.remote, tt.headers, got, f.RemoteAddr, tt.url, tt.address)
		}
	}
}

// A host that a trusted proxy tells is looked at like any other.
func TestForwardedHostMayBeAStranger(t *testing.T) {
	n := names(t, endpoint.Options{Strict: true, Proxies: []string{"10.0.0.1"}})
	for _, host := range strangers[1:] {
		f := n.Forwarded(by("10.0.0.1:1", http.Header{"X-Forwarded-Host": {host}}))
		if _, err := n.Site(f); err == nil {
			t.Errorf("the host %q of a proxy is taken for one of this server", host)
		}
	}
}

func TestProxiesRefused(t *testing.T) {
	for _, p := range []string{"", "proxy", "10.0.0.0/33", "10.0.0.0/8/8", "fe80::1%lo", "10.0.0.0:80"} {
		if _, err := endpoint.New(endpoint.Options{Proxies: []string{p}}); err == nil {
			t.Errorf("trusted-proxies: %q is taken", p)
		}
	}
}
