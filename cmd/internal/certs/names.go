package certs

import (
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// names are what a certificate is for.
type names struct {
	hosts []string // lower case; may begin with "*."
	ips   []net.IP
}

// machineNames are those by which this machine is known to itself.
func machineNames() names {
	n := names{hosts: []string{"localhost", "*.localhost"}, ips: []net.IP{net.IPv4(127, 0, 0, 1).To4(), net.IPv6loopback}}
	if host, err := os.Hostname(); err == nil {
		short, _, _ := strings.Cut(host, ".")
		n.add(host, short)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil { // without them, who comes by address is shown the one it came to
		return n
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			n.add(p.Addr().String())
		}
	}
	return n
}

// add takes hosts and addresses, with or without a port. Others are passed
// over, and so is what is there already.
func (n *names) add(list ...string) {
	for _, s := range list {
		if ip, ok := parseIP(s); ok {
			if !n.hasIP(ip) {
				n.ips = append(n.ips, ip)
			}
			continue
		}
		if h, _, err := net.SplitHostPort(s); err == nil {
			s = h
		}
		if h, ok := canonicalHost(s); ok && !n.hasHost(h) {
			n.hosts = append(n.hosts, h)
		}
	}
}

// with is n and some more.
func (n names) with(more ...string) names {
	all := names{slices.Clone(n.hosts), slices.Clone(n.ips)}
	for _, s := range more {
		if base, ok := strings.CutPrefix(s, "*."); ok && isHostname(base) {
			all.hosts = append(all.hosts, s)
			continue
		}
		all.add(s)
	}
	return all
}

func (n names) hasHost(h string) bool { return slices.Contains(n.hosts, h) }

func (n names) hasIP(ip net.IP) bool { return slices.ContainsFunc(n.ips, ip.Equal) }

// parseIP reads an address, with or without a port or brackets.
func parseIP(s string) (net.IP, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("").AsSlice(), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		return nil, false
	}
	return a.Unmap().WithZone("").AsSlice(), true
}

// localIP is the address that a connection came to.
func localIP(c net.Conn) (net.IP, bool) {
	if c == nil || c.LocalAddr() == nil {
		return nil, false
	}
	return parseIP(c.LocalAddr().String())
}

// nameSyntax is that of host names, with the underscore that the names of
// containers have. Stars are never taken from outside.
var nameSyntax = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$`)

// maxHost is the length of the longest DNS name (RFC 1035, section 2.3.4).
const maxHost = 253

func isHostname(s string) bool { return len(s) <= maxHost && nameSyntax.MatchString(s) }

// canonicalHost is a host name in lower case, without the dot that may end it;
// ok is false for anything else, addresses too.
func canonicalHost(s string) (host string, ok bool) {
	s = strings.TrimSuffix(s, ".")
	if _, isIP := parseIP(s); isIP || !isHostname(s) {
		return "", false
	}
	return strings.ToLower(s), true
}

// isBelowLocalhost is for names that never leave their machine (RFC 6761,
// section 6.3). They get certificates of their own: OpenSSL, unlike Go, takes no
// star before a single label.
func isBelowLocalhost(host string) bool { return strings.HasSuffix(host, ".localhost") }

func isAWSShaped(host string) bool { return endpoint.ParseHost(host).Kind != endpoint.Other }

// certifiedWith says under which key the certificate for a host is kept, and
// for which names it is. All AWS-shaped names of a region share one, which is
// for any account: clients of many registries then have it made but once.
func certifiedWith(host string) (key string, list []string) {
	h := endpoint.ParseHost(host)
	switch {
	case h.Kind == endpoint.Other:
		return host, []string{host}
	case h.Region == "":
		return "." + h.Suffix, inSuffix(h.Suffix)
	}
	return h.Region + "." + h.Suffix, append(inRegion(h.Region+"."+h.Suffix), inSuffix(h.Suffix)...)
}

// The AWS-shaped names are those that package endpoint knows (ECR reference,
// operations.md, section 1).

func inRegion(base string) []string {
	list := make([]string, 0, 10)
	for _, ecr := range []string{"ecr.", "ecr-fips."} {
		list = append(list, "*.dkr."+ecr+base, "*.dkr-"+ecr+base, "api."+ecr+base, ecr+base)
	}
	return append(list, "sts."+base, "sts-fips."+base)
}

func inSuffix(suffix string) []string { return []string{"api.ecr." + suffix, "sts." + suffix} }
