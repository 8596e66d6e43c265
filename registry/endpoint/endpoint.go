// Package endpoint knows the names that lead to a registry: Amazon's regions
// and host names, the settings that say which of several names is printed, and
// which account and region a request means by the name it came to.
//
// A Host header lands in what is printed, so it is believed only where it
// cannot lead anyone astray: see [Names.Site]. Headers that proxies add, such
// as X-Forwarded-Host, count only from proxies that are set as trusted: see
// [Names.Forwarded].
package endpoint

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// Style says what is printed as a repository's URI.
type Style string

// The styles. All are understood on input, whichever is printed. At an
// AWS-shaped host, StyleRequest and StylePath print the registry's own
// AWS-shaped name: nobody can push to a host of the API, and a path below a
// registry's name is all repository name.
const (
	StyleRequest  Style = "request"  // the host that the caller used
	StyleExternal Style = "external" // the configured address
	StyleHostname Style = "hostname" // <account>.dkr.ecr.<region>.localhost:PORT/name
	StylePath     Style = "path"     // host/<account>/<region>/name
	StyleAWS      Style = "aws"      // <account>.dkr.ecr.<region>.amazonaws.com/name
)

// DefaultListen is the address that is printed where none is set.
const DefaultListen = "127.0.0.1:5000"

// Options are the settings of names.
type Options struct {
	Style    Style  // "" means StyleRequest
	External string // scheme://host[:port] that the server is known by; "" for none
	// Listen is the host:port that it listens on, printed where nothing better
	// is known; "" means DefaultListen. A host that stands for every address,
	// such as "0.0.0.0" or none, is printed as localhost.
	Listen  string
	Hosts   []string // Host headers to print back besides loopback and AWS-shaped ones, with or without port
	Strict  bool     // refuse any other Host with ErrMisdirected
	Regions []string // regions that exist; nil means Regions()
	Account string   // the server's own registry, for requests by nobody
	Region  string
	// Proxies are addresses and networks, such as "10.0.0.0/8", of those whose
	// X-Forwarded headers count.
	Proxies []string
}

// Names are the settings in force. Safe for use by several goroutines.
type Names struct {
	o        Options
	external origin // zero if none
	listen   address
	hosts    []address // trusted by name; without a port, with any
	regions  map[string]bool
	proxies  []netip.Prefix
	trusted  hosts
}

var (
	accountSyntax = regexp.MustCompile(`^[0-9]{12}$`)
	regionSyntax  = regexp.MustCompile(`^[0-9a-z-]{2,25}$`) // model: Region
)

// New checks options and says which one is wrong, by the name that it has in
// the configuration.
func New(o Options) (*Names, error) {
	n := &Names{o: o}
	for _, take := range []func(*Names) error{
		(*Names).takeExternal, (*Names).takeStyle, (*Names).takeListen,
		(*Names).takeHosts, (*Names).takeRegions, (*Names).takeHome, (*Names).takeProxies,
	} {
		if err := take(n); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Names) takeStyle() error {
	switch n.o.Style {
	case "":
		n.o.Style = StyleRequest
	case StyleRequest, StyleHostname, StylePath, StyleAWS:
	case StyleExternal:
		if n.o.External == "" {
			return fmt.Errorf("repository-uri: %q needs the setting external", n.o.Style)
		}
	default:
		return fmt.Errorf("repository-uri: %q is none of request, external, hostname, path, aws", n.o.Style)
	}
	return nil
}

func (n *Names) takeExternal() error {
	if n.o.External == "" {
		return nil
	}
	wrong := fmt.Errorf("external: %q is not of the form http(s)://host[:port]", n.o.External)
	u, err := url.Parse(n.o.External)
	if err != nil || u.User != nil || strings.TrimSuffix(u.Path, "/") != "" || strings.ContainsAny(n.o.External, "?#") {
		return wrong
	}
	at, ok := parseAddress(u.Host)
	if !ok || u.Scheme != "http" && u.Scheme != "https" {
		return wrong
	}
	n.external = origin{u.Scheme, at}
	n.hosts = append(n.hosts, address{host: at.host})
	return nil
}

func (n *Names) takeListen() error {
	listen := n.o.Listen
	if listen == "" {
		listen = DefaultListen
	}
	if strings.HasPrefix(listen, ":") {
		listen = "localhost" + listen
	}
	at, ok := parseAddress(listen)
	if !ok || at.port == "" {
		return fmt.Errorf("listen: %q is not of the form host:port with a port from 1 to 65535", n.o.Listen)
	}
	if ip, err := netip.ParseAddr(at.host); err == nil && ip.IsUnspecified() {
		at.host = "localhost"
	}
	n.listen = at
	n.hosts = append(n.hosts, address{host: at.host})
	return nil
}

func (n *Names) takeHosts() error {
	for _, h := range n.o.Hosts {
		at, ok := parseAddress(h)
		if !ok {
			return fmt.Errorf("hosts: %q is not of the form host or host:port", h)
		}
		n.hosts = append(n.hosts, at)
	}
	return nil
}

func (n *Names) takeRegions() error {
	list := n.o.Regions
	if list == nil {
		list = regions
	}
	n.regions = make(map[string]bool, len(list))
	for _, r := range list {
		if !regionSyntax.MatchString(r) {
			return fmt.Errorf("regions: %q is not a region's name: 2 to 25 of a-z, 0-9 and -", r)
		}
		n.regions[r] = true
	}
	return nil
}

func (n *Names) takeHome() error {
	if a := n.o.Account; a != "" && !accountSyntax.MatchString(a) {
		return fmt.Errorf("account: %q is not twelve digits", a)
	}
	if r := n.o.Region; r != "" && !n.regions[r] {
		return fmt.Errorf("region: %q is none of the regions that exist here", r)
	}
	return nil
}

// Home is the server's own registry, which requests by nobody mean if they
// name no other.
func (n *Names) Home() (account, region string) { return n.o.Account, n.o.Region }

// HasRegion says whether region is one that exists here.
func (n *Names) HasRegion(region string) bool { return n.regions[region] }

// SplitPath takes the registry off a repository path of the form
// <account>/<region>/<name>; ok is false, and name is path, if it has none or
// the region is not one that exists here. What follows is not checked.
func (n *Names) SplitPath(path string) (account, region, name string, ok bool) {
	account, rest, _ := strings.Cut(path, "/")
	region, name, _ = strings.Cut(rest, "/")
	if name == "" || !n.HasRegion(region) || !accountSyntax.MatchString(account) {
		return "", "", path, false
	}
	return account, region, name, true
}
