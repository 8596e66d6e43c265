package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// client is a program that speaks to registries, and what it takes to have it
// speak to a host.
type client struct {
	name    string   // of the finding
	program string   // that is looked for on the PATH
	version []string // what has it print its version
	// plain says whether it speaks plain HTTP to a host, and else what has it
	// do so; secure the same of TLS with a certificate that the system does
	// not trust. A nil one has nothing to say.
	plain, secure func(context.Context, *visit, string) (ok bool, mend string)
}

// clients are those that are looked for.
var clients = []client{
	{"docker", "docker", dashVersion, dockerPlain, dockerTrusts},
	{"podman", "podman", dashVersion, containersPlain, containersTrust},
	{"buildah", "buildah", dashVersion, containersPlain, containersTrust},
	{"skopeo", "skopeo", dashVersion, containersPlain, containersTrust},
	{"containerd", "ctr", dashVersion, containerdPlain, containerdTrusts},
	{"nerdctl", "nerdctl", dashVersion, containerdPlain, containerdTrusts},
	{"crane", "crane", []string{"version"}, cranePlain, systemOnly},
	{"cosign", "cosign", []string{"version"}, byFlagUnless(cranePlainHost, "cosign … --allow-http-registry"), systemOnly},
	{"ko", "ko", []string{"version"}, byFlagUnless(cranePlainHost, "ko … --insecure-registry"), systemOnly},
	{"regctl", "regctl", []string{"version"}, byFlag("regctl registry set --tls disabled %s"), regctlTrusts},
	{"oras", "oras", []string{"version"}, byFlagUnless(isLocalhost, "oras … --plain-http"), byFlag("oras … --ca-file berth-ca.crt (berth ca > berth-ca.crt)")},
	{"helm", "helm", []string{"version", "--short"}, byFlag("helm … --plain-http"), byFlag("helm … --ca-file berth-ca.crt (berth ca > berth-ca.crt)")},
	{"notation", "notation", []string{"version"}, byFlagUnless(isLocalhost, "notation … --insecure-registry"), systemOnly},
	{"buildkit", "buildctl", dashVersion, buildkitPlain, buildkitTrusts},
	{"kubectl", "kubectl", []string{"version", "--client"}, nil, nil},
}

var dashVersion = []string{"--version"}

// checkClients says of each client that is here whether it speaks to the
// server by the names that lead there.
func checkClients(ctx context.Context, v *visit) []Finding {
	found := make([][]Finding, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		if path, err := v.Look(c.program); err == nil {
			all.Go(func() { found[i] = v.client(ctx, c, path) })
		}
	}
	all.Wait()
	var list []Finding
	for _, f := range found {
		list = append(list, f...)
	}
	if len(list) == 0 {
		return []Finding{{"client", Skipped, "no client of registries is on the PATH", ""}}
	}
	return list
}

var versionNumber = regexp.MustCompile(`v?[0-9]+\.[0-9]+(\.[0-9]+)?[0-9A-Za-z.+~-]*`)

// client is what is to be said of one client.
func (v *visit) client(ctx context.Context, c client, path string) []Finding {
	f := Finding{Check: "client." + c.name, Status: OK}
	out, err := v.Run(ctx, path, c.version...)
	number := versionNumber.FindString(out)
	if err != nil || number == "" {
		f.Status, f.Found, f.Mend = Warn, path+" does not say its version", path+" "+strings.Join(c.version, " ")
		return []Finding{f}
	}
	f.Found = c.name + " " + strings.TrimPrefix(number, "v")
	if c.plain == nil {
		f.Found += ": images are pulled by the nodes of its cluster (docs/mirrors.md)"
		return []Finding{f}
	}
	v.setUp(ctx, c, &f)
	if c.name == "docker" && !v.docker(ctx).asked {
		f.Found += "; its daemon does not answer, so this goes by its files alone"
	}
	return []Finding{f}
}

// setUp says for which names a client is set up.
func (v *visit) setUp(ctx context.Context, c client, f *Finding) {
	var can, cannot, mends []string
	for _, n := range v.used() {
		ok, mend := v.speaks(ctx, c, n)
		if ok {
			can = append(can, n.base)
			continue
		}
		cannot, mends = append(cannot, n.base), append(mends, mend)
	}
	if len(can) > 0 {
		f.Found += "; it is set up for " + strings.Join(can, ", ")
	}
	if len(cannot) > 0 {
		f.Status, f.Mend = Warn, strings.Join(slices.Compact(mends), "\n")
		f.Found += "; it is not set up for " + strings.Join(cannot, ", ")
	}
}

// speaks says whether a client speaks to a name as it has to be spoken to.
func (v *visit) speaks(ctx context.Context, c client, n named) (bool, string) {
	if strings.HasPrefix(n.base, "http://") {
		return c.plain(ctx, v, n.host())
	}
	if v.probe(ctx, n.base).trusted == nil {
		return true, ""
	}
	return c.secure(ctx, v, n.host())
}

// used are the names by which a client of this machine may come, each host
// once.
func (v *visit) used() []named {
	var list []named
	seen := map[string]bool{}
	for _, n := range v.names() {
		if n.base == "" || n.style == "aws" && v.style() != "aws" || seen[n.base] {
			continue
		}
		seen[n.base] = true
		list = append(list, n)
	}
	return list
}

// hostname is a host without its port.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}

type rule = func(context.Context, *visit, string) (bool, string)

// byFlag is of a client that takes a flag; %s is the host.
func byFlag(flag string) rule {
	return byFlagUnless(func(string) bool { return false }, flag)
}

func byFlagUnless(free func(host string) bool, flag string) rule {
	return func(_ context.Context, _ *visit, host string) (bool, string) {
		return free(host), strings.ReplaceAll(flag, "%s", host)
	}
}

// isLocalhost is for what oras and notation take plain HTTP from unasked.
func isLocalhost(host string) bool { return hostname(host) == "localhost" }

// cranePlainHost is the rule of go-containerregistry (name.Registry.Scheme): TLS
// is tried first, and plain HTTP where the name is one of these or the address
// a private one.
func cranePlainHost(host string) bool {
	if ip, err := netip.ParseAddr(hostname(host)); err == nil {
		return ip == loopback4 || ip == netip.IPv6Loopback() || ip.IsPrivate() && ip.Is4()
	}
	return strings.HasPrefix(host, "localhost:") || strings.HasSuffix(hostname(host), ".localhost") || strings.HasSuffix(hostname(host), ".local")
}

func cranePlain(_ context.Context, _ *visit, host string) (bool, string) {
	return cranePlainHost(host), "crane --insecure …"
}

// systemOnly is of programs that trust what the system does.
func systemOnly(context.Context, *visit, string) (bool, string) {
	return false, "berth ca > berth-ca.crt, and: export SSL_CERT_FILE=\"$PWD/berth-ca.crt\""
}

func regctlTrusts(_ context.Context, _ *visit, host string) (bool, string) {
	return false, "berth ca > berth-ca.crt && regctl registry set --cacert \"$(cat berth-ca.crt)\" " + host
}

func buildkitPlain(_ context.Context, v *visit, host string) (bool, string) {
	return v.buildkitd(host, "http", "true"), fmt.Sprintf("/etc/buildkit/buildkitd.toml: [registry.%q] http = true", host)
}

func buildkitTrusts(_ context.Context, v *visit, host string) (bool, string) {
	return v.buildkitd(host, "ca", ""), fmt.Sprintf("/etc/buildkit/buildkitd.toml: [registry.%q] ca = [\"/etc/buildkit/berth-ca.crt\"] (berth ca trust)", host)
}

// buildkitd says whether BuildKit's daemon has a setting of a host.
func (v *visit) buildkitd(host, key, value string) bool {
	for _, t := range tables(v.read("/etc/buildkit/buildkitd.toml")) {
		if t.name == fmt.Sprintf("registry.%q", host) && (t.values[key] == value || value == "" && t.values[key] != "") {
			return true
		}
	}
	return false
}
