// Package remote is the server's one way out: an HTTP client that looks at each
// address before it connects there. Whoever may configure a webhook, or later an
// upstream, must not by that reach what only this machine or its network can
// reach: loopback, private and link-local addresses, and with them the metadata
// services of clouds, are refused unless the operator lists them.
//
// The address is what a name has resolved to, looked at for each connection: a
// name that is changed between two look-ups gains nothing.
package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
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
}

// ErrRefused says that the settings let nothing connect to an address.
var ErrRefused = errors.New("remote: the address is refused")

// Limits on the phases of a request. The whole of one is for its caller to bound.
const (
	dialTime   = 10 * time.Second
	tlsTime    = 10 * time.Second
	headerTime = 30 * time.Second
	idleTime   = 90 * time.Second
	maxHeader  = 1 << 20
)

// New returns a client that follows no redirects: what is answered by one is for
// the caller to see. A proxy that the environment names is used, and its address is
// looked at like any other: list it in Allow if it is not public. What it is asked
// for is looked at too, as far as names resolve on this machine.
func New(o Options) (*http.Client, error) {
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: g.dial, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: tlsTime, ResponseHeaderTimeout: headerTime, ExpectContinueTimeout: time.Second,
		IdleConnTimeout: idleTime, MaxIdleConns: 100, MaxIdleConnsPerHost: 10, MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{
		Transport:     gate{g, t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// guard decides where the client may go.
type guard struct {
	hosts    []string // lower case, with or without port
	networks []netip.Prefix
	plain    []string
}

func newGuard(o Options) (*guard, error) {
	g := &guard{}
	for _, entry := range o.Allow {
		switch network, err := parseNetwork(entry); {
		case err == nil:
			g.networks = append(g.networks, network)
		case isHost(entry):
			g.hosts = append(g.hosts, strings.ToLower(entry))
		default:
			return nil, fmt.Errorf("%.80q is no host, host:port, address or network", entry)
		}
	}
	for _, entry := range o.PlainHTTP {
		if !isHost(entry) {
			return nil, fmt.Errorf("%.80q is no host or host:port", entry)
		}
		g.plain = append(g.plain, strings.ToLower(entry))
	}
	return g, nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// isHost says whether an entry can be a host with or without a port.
func isHost(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && u.Host == s && u.Hostname() != "" && !strings.ContainsAny(s, " /@?#")
}

// listed says whether a host, by itself or with its port, is in a list.
func listed(list []string, host, port string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.Contains(list, host) || slices.Contains(list, net.JoinHostPort(host, port))
}

// dial connects to a host whose address may be reached.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}
	if !listed(g.hosts, host, port) {
		d.Control = func(_, resolved string, _ syscall.RawConn) error { return g.check(resolved) }
	}
	return d.DialContext(ctx, network, address)
}

// check refuses a resolved address that is not public and not listed.
func (g *guard) check(resolved string) error {
	at, err := netip.ParseAddrPort(resolved)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrRefused, resolved)
	}
	addr := at.Addr().Unmap().WithZone("")
	for _, n := range g.networks {
		if n.Contains(addr) {
			return nil
		}
	}
	if !isPublic(addr) {
		return fmt.Errorf("%w: %s is not public and not in egress.allow", ErrRefused, addr)
	}
	return nil
}

// reserved are networks that are not public beyond those that netip knows (IANA's
// registries of special-purpose addresses).
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network (RFC 791)
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by carriers (RFC 6598), also of cloud metadata
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments (RFC 6890)
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation (RFC 5737)
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks (RFC 2544)
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // other addresses through NAT64 (RFC 6052)
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same, local (RFC 8215)
	netip.MustParsePrefix("100::/64"),        // discarded (RFC 6666)
	netip.MustParsePrefix("2001::/23"),       // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("2002::/16"),       // other addresses through 6to4 (RFC 3056)
	netip.MustParsePrefix("fec0::/10"),       // site-local, once
	netip.MustParsePrefix("::/96"),           // IPv4-compatible, once
}

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	return !slices.ContainsFunc(reserved, func(n netip.Prefix) bool { return n.Contains(a) })
}

// gate refuses requests without TLS to hosts that are not listed, and requests
// through a proxy to what could not be asked without it.
type gate struct {
	guard *guard
	next  *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.check(r); err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return g.next.RoundTrip(r)
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
	addresses, err := net.DefaultResolver.LookupNetIP(r.Context(), "ip", host)
	if err != nil {
		return nil // a name that only the proxy knows
	}
	for _, a := range addresses {
		if err := g.guard.check(netip.AddrPortFrom(a, 0).String()); err != nil {
			return err
		}
	}
	return nil
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
