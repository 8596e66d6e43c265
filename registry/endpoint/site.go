package endpoint

import (
	"errors"
	"net/http"
	"strings"
	"sync"
)

// ErrMisdirected says that a request came to a host that this server is not
// (421 Misdirected Request).
var ErrMisdirected = errors.New("endpoint: not a host of this server")

// Site is the place that one request came to. Names.Site makes it; the zero
// value is of no use.
type Site struct {
	// Account and Region are what the host name says; "" where it says nothing.
	// Whether they exist is not checked.
	Account, Region string

	names  *Names
	scheme string  // of the request
	at     address // the Host header; zero if it is not one to print back
	aws    Host    // at, if it is AWS-shaped
}

// Site reads the Host header of r, and whether it came by TLS, to this server
// or to a trusted proxy (see Forwarded). The only error is ErrMisdirected.
//
// A Host is printed back if it is loopback (localhost, a name below it, a
// loopback address), AWS-shaped, one of the hosts that are set, or the
// external or listening one with any port.
func (n *Names) Site(r *http.Request) (Site, error) {
	s := Site{names: n, scheme: scheme(r)}
	at, ok := n.trusted.of(r.Host, n.trustedAddress)
	if !ok {
		if n.o.Strict {
			return Site{}, ErrMisdirected
		}
		return s, nil
	}
	s.at, s.aws = at, at.shape()
	s.Account, s.Region = s.aws.Account, s.aws.Region
	return s, nil
}

// trustedAddress reads a Host header, and says whether it is one to print back.
func (n *Names) trustedAddress(host string) (address, bool) {
	at, ok := parseAddress(host)
	return at, ok && n.trusts(at)
}

// hosts are Host headers that were read: each request has one, and they are few.
type hosts struct {
	mu   sync.RWMutex
	read map[string]readHost
}

type readHost struct {
	at      address
	trusted bool
}

// maxHosts is how many are known at most. Then they are read anew.
const maxHosts = 256

func (k *hosts) of(host string, read func(string) (address, bool)) (address, bool) {
	k.mu.RLock()
	known, ok := k.read[host]
	k.mu.RUnlock()
	if ok {
		return known.at, known.trusted
	}
	known.at, known.trusted = read(host)
	if len(host) > maxHost {
		return known.at, known.trusted
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.read == nil || len(k.read) >= maxHosts {
		k.read = map[string]readHost{}
	}
	k.read[strings.Clone(host)] = known
	return known.at, known.trusted
}

// Trusts says whether a Host header is one that Site prints back.
func (n *Names) Trusts(host string) bool {
	_, ok := n.trustedAddress(host)
	return ok
}

func (n *Names) trusts(a address) bool {
	return a.isLoopback() || n.lists(a.host, a.port) || n.trustsShape(a.shape())
}

// trustsShape says whether an AWS-shaped name is one of this server. Where
// strange hosts are refused, the domain below which anybody may have such a
// name made to lead here must not be just anyone's: a web page could come from
// it (DNS rebinding). There it is Amazon's or one of the hosts that are set.
func (n *Names) trustsShape(h Host) bool {
	return h.Kind != Other && (!n.o.Strict || isAmazons(h.Suffix) || n.lists(h.Suffix, ""))
}

// lists says whether a host is among those that are set, with this port or any.
func (n *Names) lists(host, port string) bool {
	for _, h := range n.hosts {
		if h.host == host && (h.port == "" || h.port == port) {
			return true
		}
	}
	return false
}

// URL is the absolute form of a path on this server (with its query, if it has
// one) for Location and Link headers; the path alone where the Host header is
// not one to print back and no external address is set.
func (s Site) URL(path string) string {
	if s.at == (address{}) && s.names.external == (origin{}) {
		return path
	}
	return s.AbsoluteURL(path)
}

// AbsoluteURL is URL, but with the listening address where URL would give the
// path alone.
func (s Site) AbsoluteURL(path string) string { return s.origin().String() + path }

// Host is the name, with a port if it has one, by which the one who asks knows the
// server: that of AbsoluteURL.
func (s Site) Host() string { return s.origin().at.String() }

// origin is where the server is for the one who asks. A request that came to
// the external address gets that as it is set: behind a proxy that ends TLS,
// only the setting knows the scheme.
func (s Site) origin() origin {
	known := s.names.external != origin{}
	switch {
	case s.at == address{} && known, known && s.names.external.leadsTo(s.at):
		return s.names.external
	case s.at == address{}:
		return origin{s.scheme, s.names.listen}
	}
	return origin{s.scheme, s.at}
}

// RepositoryURI is what is printed for a repository, without a scheme, such as
// "localhost:5000/team/app".
func (s Site) RepositoryURI(account, region, name string) string {
	if s.names.o.Style == StylePath && s.aws.Kind == Other {
		name = account + "/" + region + "/" + name
	}
	return s.printed(account, region).at.String() + "/" + name
}

// ProxyEndpoint is scheme and host, without a path, that a client logs in to.
// The form is AWS's https name where the request came to an AWS-shaped host,
// and where named says that the caller named the registry by its id (Amazon's
// helpers do, and refuse any other form).
//
// With named the suffix is always Amazon's, since the helpers know no other;
// else it is that of the host that the caller used. A port of that host stays
// for as long as its suffix does.
func (s Site) ProxyEndpoint(account, region string, named bool) string {
	switch {
	case s.aws.Kind != Other && (!named || isAmazons(s.aws.Suffix)):
		return origin{"https", s.at.registry(s.aws, account, region)}.String()
	case named:
		return origin{"https", amazons(account, region)}.String()
	}
	return s.printed(account, region).String()
}

// printed is where a registry is said to be, by the style that is set.
func (s Site) printed(account, region string) origin {
	switch s.names.o.Style {
	case StyleExternal:
		return s.names.external
	case StyleAWS:
		return origin{"https", amazons(account, region)}
	case StyleHostname:
		name := account + ".dkr.ecr." + region + ".localhost"
		return origin{s.scheme, address{name, s.port()}}
	}
	if s.aws.Kind != Other {
		return origin{s.scheme, s.at.registry(s.aws, account, region)}
	}
	return s.origin()
}

// port is where the server answers on the caller's own machine: the port that
// a loopback address was used with, be it none, since a container's port may be
// another outside; else the one that came or, at last, the one listened on.
func (s Site) port() string {
	if s.at.isLoopback() || s.at.port != "" {
		return s.at.port
	}
	return s.names.listen.port
}
