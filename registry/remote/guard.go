package remote

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// guard decides where the client may go.
type guard struct {
	hosts    []string // as hostEntry makes them
	networks []netip.Prefix
	plain    []string
	resolver *net.Resolver // nil means the machine's
	dialTime time.Duration
}

func newGuard(o Options) (*guard, error) {
	g := &guard{resolver: o.Resolver}
	for _, entry := range o.Allow {
		switch network, err := parseNetwork(entry); {
		case err == nil:
			g.networks = append(g.networks, network)
		case isHost(entry):
			g.hosts = append(g.hosts, hostEntry(entry))
		default:
			return nil, fmt.Errorf("%.80q is no host, host:port, address or network", entry)
		}
	}
	for _, entry := range o.PlainHTTP {
		if _, err := parseAddr(entry); err != nil && !isHost(entry) {
			return nil, fmt.Errorf("%.80q is no host or host:port", entry)
		}
		g.plain = append(g.plain, hostEntry(entry))
	}
	return g, nil
}

// parseAddr reads an address, of IPv6 with or without brackets.
func parseAddr(s string) (netip.Addr, error) {
	if bare, ok := strings.CutPrefix(s, "["); ok {
		if bare, ok = strings.CutSuffix(bare, "]"); ok {
			s = bare
		}
	}
	return netip.ParseAddr(s)
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := parseAddr(s); err == nil {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// isHost says whether an entry can be a host with or without a port.
func isHost(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && u.Host == s && u.Hostname() != "" && !strings.ContainsAny(s, " /@?#") && !strings.ContainsAny(u.Hostname(), "[]")
}

// hostEntry is an entry as it is compared.
func hostEntry(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return plainHost(s)
	}
	return net.JoinHostPort(plainHost(host), port)
}

// plainHost is a host as it is compared: an address in its usual form, a name in
// lower case without the dot that ends a whole name.
func plainHost(host string) string {
	if addr, err := parseAddr(host); err == nil {
		return addr.String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// listed says whether a host, by itself or with its port, is in a list.
func listed(list []string, host, port string) bool {
	host = plainHost(host)
	return slices.Contains(list, host) || slices.Contains(list, net.JoinHostPort(host, port))
}

// dial connects to a host whose address may be reached.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: g.dialTime, KeepAlive: 30 * time.Second, Resolver: g.resolver}
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
// registries of special-purpose addresses), and of IPv6 those within what is given
// to hosts.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this network (RFC 791)
	netip.MustParsePrefix("100.64.0.0/10"),    // shared by carriers (RFC 6598), also of cloud metadata
	netip.MustParsePrefix("192.0.0.0/24"),     // protocol assignments (RFC 6890)
	netip.MustParsePrefix("192.0.2.0/24"),     // documentation (RFC 5737)
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks (RFC 2544)
	netip.MustParsePrefix("198.51.100.0/24"),  // documentation
	netip.MustParsePrefix("203.0.113.0/24"),   // documentation
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and broadcast
	netip.MustParsePrefix("168.63.129.16/32"), // Azure's own services for its machines, at a public address
	netip.MustParsePrefix("192.88.99.0/24"),   // relays of 6to4, once (RFC 7526)
	netip.MustParsePrefix("2001::/23"),        // protocol assignments, Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),    // documentation
	netip.MustParsePrefix("3fff::/20"),        // documentation (RFC 9637)
	netip.MustParsePrefix("2002::/16"),        // other addresses through 6to4 (RFC 3056)
}

// hosts6 is all of IPv6 that is given to hosts (RFC 4291, section 2.4). Outside of
// it are, among others, the forms that hold an IPv4 address: NAT64 (RFC 6052 and
// 8215), IPv4-compatible and IPv4-translated ones.
var hosts6 = netip.MustParsePrefix("2000::/3")

func isPublic(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !hosts6.Contains(a) {
		return false
	}
	return !slices.ContainsFunc(reserved, func(n netip.Prefix) bool { return n.Contains(a) })
}

// checkName refuses a host of which some address would be refused, or which has
// none here.
func (g *guard) checkName(ctx context.Context, host string) error {
	resolver := g.resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	addresses, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Errorf("%w: %s is asked through a proxy, is not in egress.allow, and does not resolve here: %w", ErrRefused, host, err)
	}
	for _, a := range addresses {
		if err := g.check(netip.AddrPortFrom(a, 0).String()); err != nil {
			return err
		}
	}
	return nil
}
