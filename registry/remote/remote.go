// Package remote is the server's one way out: an HTTP client that looks at each
// address before it connects there. Whoever may configure a webhook, or later an
// upstream, must not by that reach what only this machine or its network can
// reach: loopback, private and link-local addresses, and with them the metadata
// services of clouds, are refused unless the operator lists them.
//
// The address is what a name has resolved to, looked at for each connection: a
// name that is changed between two look-ups gains nothing. Each redirect and each
// attempt is a request of its own, so it is looked at like the first; and what
// proves who asks goes to no other origin than the one that it was meant for.
package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Options say where the client may go besides the public internet by HTTPS.
type Options struct {
	// Allow lists hosts ("registry.internal"), hosts with a port
	// ("registry.internal:5000"), addresses and networks ("10.0.0.0/8") that may be
	// reached though their addresses are not public.
	Allow []string
	// PlainHTTP lists hosts, or hosts with a port, that may be asked without TLS.
	PlainHTTP []string
	// Redirects is how many redirects of a request are followed, MostRedirects at
	// most, each looked at like the request itself. Beyond them, and with 0 at once,
	// an answer that redirects is what the caller gets.
	Redirects int
	// Times bound the phases of a request.
	Times Times
	// RootCAs vouch for certificates; nil means those of the machine.
	RootCAs *x509.CertPool
	// Resolver looks names up; nil means that of the machine.
	Resolver *net.Resolver
}

// ErrRefused says that the settings let nothing connect to an address.
var ErrRefused = errors.New("remote: the address is refused")

// MostRedirects is how many redirects are followed at most.
const MostRedirects = 5

const (
	idleTime  = 90 * time.Second // that a connection is kept for the next request
	maxHeader = 1 << 20
)

// New returns a client that goes nowhere else, keeps to the times of Options, and
// leaves bodies as they were sent: it asks for no compression by itself. A proxy that the environment names
// is used, and its address is looked at like any other: list it in Allow if it is
// not public. What it is asked for is looked at too, as this machine resolves it; a
// name that only the proxy can resolve has to be listed.
func New(o Options) (*http.Client, error) {
	if o.Redirects < 0 || o.Redirects > MostRedirects {
		return nil, fmt.Errorf("%d redirects: at most %d are followed", o.Redirects, MostRedirects)
	}
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	times := o.Times.orUsual()
	g.dialTime = times.Connect
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: g.dial, ForceAttemptHTTP2: true, DisableCompression: true,
		TLSClientConfig:     &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: times.TLS, ResponseHeaderTimeout: times.Answer, ExpectContinueTimeout: time.Second,
		IdleConnTimeout: idleTime, MaxIdleConns: 100, MaxIdleConnsPerHost: 10, MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: gate{g, t, times.Rest}, CheckRedirect: redirects(o.Redirects)}, nil
}

// gate refuses requests without TLS to hosts that are not listed, and requests
// through a proxy to what could not be asked without it.
type gate struct {
	guard *guard
	next  *http.Transport
	rest  time.Duration // that a body may rest
}

// RoundTrip implements http.RoundTripper.
func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.check(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return watched(r, g.rest, g.next.RoundTrip)
}

func (g gate) check(r *http.Request) error {
	host, port := r.URL.Hostname(), portOf(r.URL)
	if r.URL.Scheme != "https" && (r.URL.Scheme != "http" || !listed(g.guard.plain, host, port)) {
		return fmt.Errorf("%w: %s is not asked without TLS, and not in egress.plain-http", ErrRefused, r.URL.Host)
	}
	proxy, err := g.next.Proxy(r)
	if err != nil || proxy == nil || listed(g.guard.hosts, host, port) {
		return err
	}
	return g.guard.checkName(r.Context(), host)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
