package doctor

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// Subject is the server that is looked at.
type Subject struct {
	// Host is the server as it was asked for, with or without port and scheme;
	// "" means the one that is found by its data folder.
	Host string
	// Data is the absolute path of the data folder; "" for none on this machine.
	Data string
	// Status is what the server with that folder says of itself; nil if none
	// runs, and StatusErr says why. Running says that one does but not how it is.
	Status    *admin.Status
	StatusErr error
	// Flags are those that commands find the server by, quoted for a shell, such
	// as "--data /srv/berth"; "" for none. Commands that mend something get them.
	Flags string
	// Config is what it is set up as, ConfigErr why that cannot be read.
	Config    Config
	ConfigErr error
	// Token asks the API at a URL for a password, with the credentials that
	// AWS's tools take here, and trusting the certificates in the file ca too.
	// It is asked of the server itself alone. The error is ErrNoCredentials
	// where there are none.
	Token func(ctx context.Context, api, region, ca string) error
	// KnowsEndpointURL says whether the AWS CLI heeds AWS_ENDPOINT_URL, by what
	// its --version prints.
	KnowsEndpointURL func(version string) bool
}

// Config is what checks need of the server's settings.
type Config struct {
	Listen          []string // addresses, the main one first
	TLS             []bool   // which of them speak TLS
	Style           endpoint.Style
	External        string
	Account, Region string
	Connections     int
}

// visit is one examination: what several checks ask for is found out once.
type visit struct {
	Machine
	Subject
	base *url.URL // of the server, such as http://localhost:5000; nil if it is not known
	home bool     // the server is on this machine, with the data folder

	probes sync.Map // of URL to func() answer
	once   sync.Map // of what is asked once to a func of its answer
}

func newVisit(ctx context.Context, m Machine, s Subject) *visit {
	v := &visit{Machine: m.impatient(), Subject: s}
	v.base = v.findBase(ctx)
	v.home = s.Host == "" || s.Status != nil && v.base != nil && s.has(v.base)
	if !v.home {
		v.Status, v.Config = nil, Config{}
	}
	return v
}

// located gives the commands that look for the server the flags that it was
// found by.
func (v *visit) located(all []Finding) []Finding {
	if v.Flags == "" || !v.home {
		return all
	}
	var pairs []string
	for _, command := range []string{"berth env", "berth ca", "berth reload", "berth login"} {
		pairs = append(pairs, command+" trust", command+" trust "+v.Flags, command, command+" "+v.Flags)
	}
	with := strings.NewReplacer(pairs...)
	for i := range all {
		all[i].Mend = with.Replace(all[i].Mend)
	}
	return all
}

// findBase is the URL that clients of this machine use.
func (v *visit) findBase(ctx context.Context) *url.URL {
	switch {
	case v.Host != "":
		return v.hostURL(ctx)
	case v.Status != nil:
		return asLocal(v.Status.URL)
	case len(v.Config.Listen) > 0:
		scheme := "http://"
		if v.Config.TLS[0] {
			scheme = "https://"
		}
		return asLocal(scheme + v.Config.Listen[0])
	}
	return nil
}

// hostURL is the URL of the host that was asked for. Without a scheme it is
// the one that answers; TLS is tried first, as clients do.
func (v *visit) hostURL(ctx context.Context) *url.URL {
	scheme, rest, ok := strings.Cut(v.Host, "://")
	if !ok {
		rest = v.Host
		scheme = "https"
		if v.probe(ctx, "https://"+rest).plain {
			scheme = "http"
		}
	}
	return &url.URL{Scheme: scheme, Host: strings.ToLower(strings.TrimSuffix(rest, "/"))}
}

// asLocal is a URL with the name that people give a loopback address in the
// names of images.
func asLocal(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && (ip.IsUnspecified() || ip == loopback4) {
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	u.Host = strings.TrimSuffix(u.Host, ":")
	return u
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// has says whether u leads to a listener of the running server on this machine.
func (s Subject) has(u *url.URL) bool {
	if !isLocalName(u.Hostname()) {
		return false
	}
	for _, l := range s.Status.Listeners {
		if at, err := url.Parse(l.URL); err == nil && portOf(at) == portOf(u) {
			return true
		}
	}
	return false
}

// isLocalName says that a host is the machine of whoever asks for it (RFC 6761,
// section 6.3, for names).
func isLocalName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}
