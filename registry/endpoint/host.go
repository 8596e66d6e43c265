package endpoint

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Kind says what an AWS-shaped host name leads to.
type Kind int

// The kinds of host.
const (
	Other    Kind = iota // not AWS-shaped
	Registry             // <account>.dkr.ecr.<region>.<suffix> and its forms: /v2/
	API                  // api.ecr.<region>.<suffix> and its forms
	STS                  // sts.<region>.<suffix>
)

// Host is what an AWS-shaped name says.
type Host struct {
	Kind    Kind
	Account string // Registry only
	Region  string // "" where the name has none: api.ecr.amazonaws.com, sts.amazonaws.com
	Suffix  string // DNS suffix, such as "amazonaws.com" or "localhost"
}

// ParseHost reads a host name with or without a port, in any case. The Kind is
// Other if it is not AWS-shaped. Whether the region exists is not checked.
func ParseHost(hostport string) Host {
	a, ok := parseAddress(hostport)
	if !ok {
		return Host{}
	}
	return a.shape()
}

// The forms of names (ECR reference, operations.md, section 1; the plain
// "ecr." is of 2015 to 2017). Twelve digits and "dkr" are nobody else's, so any
// region and suffix may follow them. Of the others, "ecr.example.com" and
// "sts.example.com" are names that people give their own hosts: there the
// region must look like one or, without a region, the suffix be Amazon's.
var (
	registryForm   = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([0-9a-z-]{2,25})\.(.+)$`)
	apiForm        = regexp.MustCompile(`^(?:api\.)?ecr(?:-fips)?\.([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})\.(.+)$`)
	stsForm        = regexp.MustCompile(`^sts(?:-fips)?\.([a-z]{2,5}(?:-[a-z]+)+-[0-9]{1,2})\.(.+)$`)
	regionlessForm = regexp.MustCompile(`^(api\.ecr|sts)\.(.+)$`)
)

// shape reads the host as an AWS-shaped name. Most requests have no such host,
// and pay for none of the expressions.
func (a address) shape() Host {
	if !strings.Contains(a.host, "ecr") && !strings.HasPrefix(a.host, "sts") {
		return Host{}
	}
	if m := registryForm.FindStringSubmatch(a.host); m != nil {
		return Host{Kind: Registry, Account: m[1], Region: m[2], Suffix: m[3]}
	}
	if m := apiForm.FindStringSubmatch(a.host); m != nil {
		return Host{Kind: API, Region: m[1], Suffix: m[2]}
	}
	if m := stsForm.FindStringSubmatch(a.host); m != nil {
		return Host{Kind: STS, Region: m[1], Suffix: m[2]}
	}
	m := regionlessForm.FindStringSubmatch(a.host)
	switch {
	case m == nil || !isAmazons(m[2]) && m[2] != "localhost":
		return Host{}
	case m[1] == "sts":
		return Host{Kind: STS, Suffix: m[2]}
	}
	return Host{Kind: API, Suffix: m[2]}
}

// registry is the AWS-shaped name of a registry for someone who came to a,
// which has the shape h: with the same suffix and port and, if a is a
// registry's name too, in the same form. Among Amazon's own suffixes it is
// that of the region.
func (a address) registry(h Host, account, region string) address {
	form, suffix := ".dkr.ecr.", h.Suffix
	if h.Kind == Registry {
		form = a.host[len(h.Account) : len(a.host)-len(h.Region+"."+h.Suffix)]
	}
	if isAmazons(suffix) {
		suffix = Suffix(region)
	}
	return address{account + form + region + "." + suffix, a.port}
}

// amazons is the name that Amazon gives a registry.
func amazons(account, region string) address {
	return address{host: account + ".dkr.ecr." + region + "." + Suffix(region)}
}

// address is a host and perhaps a port. Its parts are made by parseAddress
// alone or from such, so they hold no character that ends a host in a URL. The
// zero value is no address.
type address struct {
	host string // DNS name in lower case without a final dot, or IP address without brackets
	port string // decimal, "" if none
}

// nameSyntax admits ASCII alone and is asked before letters are made small,
// since that makes a k of the Kelvin sign.
var nameSyntax = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// maxHost is the length of the longest DNS name (RFC 1035, section 2.3.4).
const maxHost = 253

// parseAddress reads a host with or without a port, as a Host header has it.
// An IPv6 address has brackets around it.
func parseAddress(s string) (address, bool) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
	}
	if port != "" && !isPort(port) {
		return address{}, false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host, ok = parseIPv6(inner)
		return address{host, port}, ok
	}
	host = strings.TrimSuffix(host, ".")
	if len(host) > maxHost || !nameSyntax.MatchString(host) {
		return address{}, false
	}
	return address{strings.ToLower(host), port}, true
}

// parseIPv6 reads what follows the opening bracket. An address with a zone
// means nothing on another machine and is refused.
func parseIPv6(s string) (string, bool) {
	inner, ok := strings.CutSuffix(s, "]")
	ip, err := netip.ParseAddr(inner)
	if !ok || err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", false
	}
	return ip.String(), true
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && s[0] != '0'
}

// isLoopback says that the address never leaves the machine of whoever uses it
// (RFC 6761, section 6.3, for names).
func (a address) isLoopback() bool {
	if a.host == "localhost" || strings.HasSuffix(a.host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(a.host)
	return err == nil && ip.Unmap().IsLoopback()
}

// String is the address as it stands in a URL.
func (a address) String() string {
	host := a.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if a.port == "" {
		return host
	}
	return host + ":" + a.port
}

// origin is an address and how to speak to it.
type origin struct {
	scheme string // "http" or "https"
	at     address
}

func (o origin) String() string { return o.scheme + "://" + o.at.String() }

// leadsTo says that o and a request to a, made in whichever way, meet at the
// same host and port.
func (o origin) leadsTo(a address) bool { return o.at.host == a.host && o.port(o.at) == o.port(a) }

func (o origin) port(a address) string {
	switch {
	case a.port != "":
		return a.port
	case o.scheme == "https":
		return "443"
	}
	return "80"
}
