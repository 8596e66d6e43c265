// Package endpoint knows the names that lead to a registry: Amazon's regions
// and host names, the settings that say which of several names is printed, and
// which account and region a request means by the name it came to.
package endpoint

import (
	"errors"
	"net/http"
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

// ParseHost reads a host name with or without a port. The Kind is Other if it
// is not AWS-shaped.
func ParseHost(hostport string) Host { panic("sketch") }

// SplitPath takes the registry off a repository path of the form
// <account>/<region>/<name>; ok is false, and name is path, if it has none or
// the region is not in regions.
func (n *Names) SplitPath(path string) (account, region, name string, ok bool) { panic("sketch") }

// Style says what is printed as a repository's URI.
type Style string

// The styles. All are understood on input, whichever is printed.
const (
	StyleRequest  Style = "request"  // the host that the caller used
	StyleExternal Style = "external" // the configured address
	StyleHostname Style = "hostname" // <account>.dkr.ecr.<region>.localhost:PORT/name
	StylePath     Style = "path"     // host/<account>/<region>/name
	StyleAWS      Style = "aws"      // <account>.dkr.ecr.<region>.amazonaws.com/name
)

// Options are the settings of names.
type Options struct {
	Style    Style    // "" means StyleRequest
	External string   // scheme://host[:port] that the server is known by; "" for none
	Listen   string   // host:port that it listens on, printed where nothing better is known
	Hosts    []string // Host headers to print back besides loopback and AWS-shaped ones
	Strict   bool     // refuse any other Host with ErrMisdirected
	Regions  []string // regions that exist; nil means Regions()
	Account  string   // the server's own registry, for requests by nobody
	Region   string
}

// Names are the settings in force. Safe for use by several goroutines.
type Names struct{ o Options }

// New checks options and says which one is wrong.
func New(o Options) (*Names, error) { panic("sketch") }

// HasRegion says whether region is one that exists here.
func (n *Names) HasRegion(region string) bool { panic("sketch") }

// ErrMisdirected says that a request came to a host that this server is not
// (421 Misdirected Request).
var ErrMisdirected = errors.New("endpoint: not a host of this server")

// Site is the place that one request came to.
type Site struct {
	// Account and Region are what the host name says; "" where it says nothing.
	Account, Region string
	// contains filtered or unexported fields
}

// Site reads the Host header of r, and whether it came by TLS. The only error
// is ErrMisdirected.
func (n *Names) Site(r *http.Request) (Site, error) { panic("sketch") }

// URL is the absolute form of a path on this server (with its query, if it has
// one) for Location and Link headers; the path alone where the Host header is
// not one to print back and no external address is set.
func (s Site) URL(path string) string { panic("sketch") }

// AbsoluteURL is URL, but with the external or listening address where URL
// would give the path alone.
func (s Site) AbsoluteURL(path string) string { panic("sketch") }

// RepositoryURI is what is printed for a repository, without a scheme, such as
// "localhost:5000/team/app".
func (s Site) RepositoryURI(account, region, name string) string { panic("sketch") }

// ProxyEndpoint is scheme and host, without a path, that a client logs in to.
// The form is AWS's https name where the request came to an AWS-shaped host,
// and where named says that the caller named the registry by its id (Amazon's
// helpers do, and refuse any other form).
func (s Site) ProxyEndpoint(account, region string, named bool) string { panic("sketch") }
