package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// maxHops is how many addresses of X-Forwarded-For are looked at.
const maxHops = 32

func (n *Names) takeProxies() error {
	for _, s := range n.o.Proxies {
		p, err := parseNetwork(s)
		if err != nil {
			return fmt.Errorf("trusted-proxies: %q is neither an address nor a network such as 10.0.0.0/8", s)
		}
		n.proxies = append(n.proxies, p)
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("no address: %q", s)
	}
	return netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()), nil
}

// Forwarded is r as its client sent it, if it came by one of the trusted
// proxies: its host that of X-Forwarded-Host, its scheme, as Site sees it, that
// of X-Forwarded-Proto, its RemoteAddr that of X-Forwarded-For. Of several
// values the last one counts, which the nearest proxy has added; of addresses
// the last one that is no trusted proxy's. From anybody else, r is returned and
// such headers mean nothing.
func (n *Names) Forwarded(r *http.Request) *http.Request {
	if len(n.proxies) == 0 || !n.isProxy(remoteIP(r.RemoteAddr)) {
		return r
	}
	f := r.WithContext(r.Context())
	if scheme := strings.ToLower(last(r, "X-Forwarded-Proto")); scheme == "http" || scheme == "https" {
		f = r.WithContext(context.WithValue(r.Context(), schemeKey{}, scheme))
	}
	if host := last(r, "X-Forwarded-Host"); host != "" {
		f.Host = host
	}
	if ip := n.client(r); ip.IsValid() {
		f.RemoteAddr = net.JoinHostPort(ip.String(), "0") // the port is not told
	}
	return f
}

// schemeKey is under which a request's context has the scheme that a trusted
// proxy told.
type schemeKey struct{}

// scheme is how the client spoke to whoever it spoke to.
func scheme(r *http.Request) string {
	if told, ok := r.Context().Value(schemeKey{}).(string); ok {
		return told
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// last is the last of the values of a header that may be a list.
func last(r *http.Request, header string) string {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return ""
	}
	list := strings.Split(values[len(values)-1], ",")
	return strings.TrimSpace(list[len(list)-1])
}

// client is the last address of X-Forwarded-For that is no trusted proxy's;
// the zero value if there is none.
func (n *Names) client(r *http.Request) (ip netip.Addr) {
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && i >= len(hops)-maxHops; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return ip
		}
		if ip = hop.Unmap(); !n.isProxy(ip) {
			return ip
		}
	}
	return ip
}

func (n *Names) isProxy(ip netip.Addr) bool {
	for _, p := range n.proxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// Client is the address of a request that went through Forwarded, and whether
// its client spoke TLS. The address is zero where there is none.
func Client(r *http.Request) (ip netip.Addr, secure bool) {
	return remoteIP(r.RemoteAddr), scheme(r) == "https"
}

// remoteIP is the address of a request's RemoteAddr.
func remoteIP(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}
