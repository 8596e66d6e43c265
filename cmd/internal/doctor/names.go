package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// named is the name that a style gives repositories here.
type named struct {
	style endpoint.Style
	base  string // where a client asks, such as "http://localhost:5000"; "" if there is none
	path  string // before the repository's name
	why   string // there is none, or it does not matter that it leads elsewhere
}

// host is the name as images have it.
func (n named) host() string {
	_, host, _ := strings.Cut(n.base, "://")
	return host
}

// names are those of the five styles.
func (v *visit) names() []named {
	if v.base == nil {
		return nil
	}
	account, region := v.registry()
	list := []named{{style: endpoint.StyleRequest, base: v.base.String()}, v.external(), {style: endpoint.StyleHostname},
		{style: endpoint.StylePath, base: v.base.String()}, {style: endpoint.StyleAWS}}
	if account == "" {
		const unknown = "the account and region of a server elsewhere are not known here"
		list[2].why, list[3].why, list[4].why = unknown, unknown, unknown
		list[3].base = ""
		return list
	}
	list[2].base = v.base.Scheme + "://" + join(account+".dkr.ecr."+region+".localhost", v.base.Port())
	list[3].path = "/" + account + "/" + region
	list[4].base = "https://" + account + ".dkr.ecr." + region + "." + endpoint.Suffix(region)
	if !v.home {
		list[2].base, list[2].why = "", "names below localhost lead to this machine, and the server is on another"
	}
	return list
}

func join(host, port string) string {
	if port == "" {
		return host
	}
	return net.JoinHostPort(host, port)
}

// registry is the server's own one, as far as it is known.
func (v *visit) registry() (account, region string) {
	switch h := endpoint.ParseHost(v.base.Host); {
	case v.Status != nil:
		return v.Status.Account, v.Status.Region
	case v.home:
		return v.Config.Account, v.Config.Region
	default:
		return h.Account, h.Region
	}
}

func (v *visit) external() named {
	n := named{style: endpoint.StyleExternal, base: strings.TrimSuffix(v.Config.External, "/")}
	if n.base == "" {
		n.why = "no external address is set"
	}
	return n
}

// checkNames follows the name of each style. Only that of the style in force
// has to work.
func checkNames(ctx context.Context, v *visit) []Finding {
	var all []Finding
	for _, n := range v.names() {
		f := v.name(ctx, n)
		f.Check = "name." + string(n.style)
		if n.style == v.style() && v.home {
			f.Found += " (repository-uri is " + string(n.style) + ")"
		} else if f.Status == Fail && n.style != v.style() {
			f.Status = Warn
		}
		all = append(all, f)
	}
	return all
}

// style is the one in force; of a server elsewhere it is taken to be the
// default.
func (v *visit) style() endpoint.Style {
	if v.Config.Style == "" {
		return endpoint.StyleRequest
	}
	return v.Config.Style
}

func (v *visit) name(ctx context.Context, n named) Finding {
	if n.base == "" {
		return Finding{Status: Skipped, Found: n.why}
	}
	u, err := url.Parse(n.base)
	if err != nil {
		return Finding{Status: Fail, Found: n.base + " is no address", Mend: "set external to a URL such as https://registry.example"}
	}
	r := v.route(ctx, u.Hostname())
	if f, lost := v.lost(n, u.Hostname(), r); lost {
		return f
	}
	if !v.probe(ctx, v.base.String()).ours {
		return Finding{Status: Skipped, Found: u.Hostname() + " resolves; who answers there is not known while the server does not"}
	}
	a := v.probe(ctx, n.base)
	if a.plain && u.Scheme == "https" && v.base.Scheme == "http" {
		return Finding{Status: Fail, Found: n.base + " speaks plain HTTP, and the name is one of TLS", Mend: "berth serve --tls-auto local"}
	}
	f := v.judge("", n.base, a)
	if f.Status != OK {
		return f
	}
	f.Found = fmt.Sprintf("%s%s leads here and answers", n.host(), n.path)
	if half := r.disagree(); half != "" {
		f.Status, f.Found, f.Mend = Warn, f.Found+", but "+half, hostsLine(u.Hostname())
	}
	return f
}

// lost is what is to be said of a name that does not lead to the server.
func (v *visit) lost(n named, host string, r route) (Finding, bool) {
	all := slices.Concat(r.addrs, r.system)
	f := Finding{Status: Fail, Mend: v.hostsLine(host)}
	switch {
	case len(all) == 0:
		f.Found = host + " does not resolve"
	case n.style == endpoint.StyleAWS && !slices.ContainsFunc(all, v.isServers):
		f.Found = fmt.Sprintf("%s leads to %s, which is Amazon's", host, all[0])
	default:
		return Finding{}, false
	}
	if n.style == endpoint.StyleAWS && v.style() != endpoint.StyleAWS {
		f.Status, f.Found = Skipped, f.Found+"; that matters to those alone who have AWS-shaped names lead here"
	}
	return f, true
}

// isServers says whether an address may be the server's: this machine's, for a
// server on it.
func (v *visit) isServers(a netip.Addr) bool {
	if v.home {
		return v.isOwn(a)
	}
	ip, err := netip.ParseAddr(v.base.Hostname())
	return err == nil && ip.Unmap() == a
}

// disagree says that some programs find the name and others do not.
func (r route) disagree() string {
	switch {
	case !r.asked:
		return ""
	case len(r.addrs) == 0:
		return "the C library alone knows the name: programs with a resolver of their own (Go's, as in crane, podman or a static docker) do not find it"
	case len(r.system) == 0:
		return "DNS alone knows the name: programs that use the C library do not find it"
	}
	return ""
}

func (v *visit) hostsLine(host string) string {
	if v.home {
		return hostsLine(host)
	}
	return "echo 'ADDRESS " + host + "' | sudo tee -a /etc/hosts"
}

func hostsLine(host string) string { return "echo '127.0.0.1 " + host + "' | sudo tee -a /etc/hosts" }
