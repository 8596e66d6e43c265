package doctor

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// dockerDaemon is what Docker's daemon says of itself (`docker info`), as far as
// registries go.
type dockerDaemon struct {
	OperatingSystem string
	RegistryConfig  *struct {
		InsecureRegistryCIDRs []netip.Prefix
		IndexConfigs          map[string]struct{ Secure bool }
		Mirrors               []string
	}
	ServerErrors []string
	asked        bool // it answered
}

// askDocker asks the daemon, which may be on another machine or in a virtual
// one.
func (v *visit) askDocker(ctx context.Context) dockerDaemon {
	var d dockerDaemon
	path, err := v.Look("docker")
	if err != nil {
		return d
	}
	out, err := v.Run(ctx, path, "info", "--format", "{{json .}}")
	i := strings.IndexByte(out, '{') // warnings may stand before
	if err != nil || i < 0 || json.NewDecoder(strings.NewReader(out[i:])).Decode(&d) != nil {
		return dockerDaemon{}
	}
	d.asked = d.RegistryConfig != nil && len(d.ServerErrors) == 0
	return d
}

func (d dockerDaemon) isDesktop() bool { return strings.HasPrefix(d.OperatingSystem, "Docker Desktop") }

// daemonFile is where the daemon's settings are, of a daemon that is not told
// otherwise.
const daemonFile = "/etc/docker/daemon.json"

// dockerPlain follows the daemon: a host that is listed is taken as it is
// listed, any other as plain if an address of its is in a network that is
// (127.0.0.0/8 to begin with, later ::1 too). So a name below localhost will do,
// where the daemon's resolver knows it.
func dockerPlain(ctx context.Context, v *visit, host string) (bool, string) {
	d := v.docker(ctx)
	mend := v.insecureRegistries(d, host)
	if !d.asked {
		return v.daemonLists(host) || v.leadsInto(ctx, host, []netip.Prefix{loopbackNet}), mend
	}
	if c, ok := d.RegistryConfig.IndexConfigs[host]; ok {
		return !c.Secure, mend
	}
	return v.leadsInto(ctx, host, d.RegistryConfig.InsecureRegistryCIDRs), mend
}

var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

// docker is what the daemon said, who is asked once in an examination.
func (v *visit) docker(ctx context.Context) dockerDaemon {
	ask := sync.OnceValue(func() dockerDaemon { return v.askDocker(ctx) })
	once, _ := v.once.LoadOrStore("docker", ask)
	return once.(func() dockerDaemon)()
}

// leadsInto says whether a host leads into one of the networks, for programs of
// either resolver: which one the daemon has is not to be seen.
func (v *visit) leadsInto(ctx context.Context, host string, nets []netip.Prefix) bool {
	r := v.route(ctx, hostname(host))
	in := func(a netip.Addr) bool {
		return slices.ContainsFunc(nets, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return slices.ContainsFunc(r.addrs, in) && (!r.asked || slices.ContainsFunc(r.system, in))
}

// daemonLists says whether the daemon's file lists a host.
func (v *visit) daemonLists(host string) bool {
	var file struct {
		Insecure []string `json:"insecure-registries"`
	}
	return json.Unmarshal([]byte(v.read(daemonFile)), &file) == nil && slices.Contains(file.Insecure, host)
}

// insecureRegistries is the line of daemon.json for a host.
func (v *visit) insecureRegistries(d dockerDaemon, host string) string {
	line := fmt.Sprintf(`"insecure-registries": [%q]`, host)
	switch {
	case d.isDesktop():
		return line + " in Docker Desktop's Settings, Docker Engine"
	case v.exists(daemonFile):
		return line + " in " + daemonFile + ", then: sudo systemctl reload docker"
	}
	return fmt.Sprintf("echo '{%s}' | sudo tee %s && sudo systemctl reload docker", line, daemonFile)
}

// dockerTrusts looks for a certificate in the daemon's own folder of them. Who
// is taken for insecure is asked for none.
func dockerTrusts(ctx context.Context, v *visit, host string) (bool, string) {
	dirs := []string{"/etc/docker/certs.d", filepath.Join(v.Home, ".config/docker/certs.d")}
	if plain, _ := dockerPlain(ctx, v, host); plain || v.hasCA(ctx, dirs, host) {
		return true, ""
	}
	return false, installCA("/etc/docker/certs.d", host)
}

// hasCA says whether a folder of certificates has one for a host by which the
// host's own can be trusted. Of a host that shows none, any will do.
func (v *visit) hasCA(ctx context.Context, dirs []string, host string) bool {
	shown := v.probe(ctx, "https://"+host).certs
	return slices.ContainsFunc(dirs, func(dir string) bool {
		files, err := fs.Glob(v.Files, inFS(filepath.Join(dir, host))+"/*.crt")
		if err != nil || len(files) == 0 {
			return false
		}
		pool := x509.NewCertPool()
		for _, name := range files {
			pool.AppendCertsFromPEM([]byte(v.read("/" + name)))
		}
		return len(shown) == 0 || v.vouch(pool, shown, "") == nil
	})
}

func installCA(dir, host string) string {
	return fmt.Sprintf("berth ca > berth-ca.crt && sudo install -D -m 644 berth-ca.crt '%s/%s/ca.crt'", dir, host)
}
