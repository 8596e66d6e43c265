package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// containersPlain follows containers/image, which podman, buildah and skopeo
// share: only a host that registries.conf calls insecure is spoken to by plain
// HTTP, and localhost is no exception (containers-registries.conf(5)).
func containersPlain(_ context.Context, v *visit, host string) (bool, string) {
	for _, path := range v.registriesConf() {
		for _, t := range tables(v.read(path)) {
			at := cmp.Or(t.values["location"], t.values["prefix"])
			if t.name == "registry" && at == host && t.values["insecure"] == "true" {
				return true, ""
			}
		}
	}
	return false, fmt.Sprintf(`printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' | sudo tee -a /etc/containers/registries.conf.d/berth.conf`, host)
}

// registriesConf are the files that containers/image reads.
func (v *visit) registriesConf() []string {
	if one := v.Env("CONTAINERS_REGISTRIES_CONF"); one != "" {
		return []string{one}
	}
	var all []string
	for _, base := range []string{"/etc/containers", filepath.Join(v.Home, ".config/containers")} {
		all = append(all, filepath.Join(base, "registries.conf"))
		more, err := fs.Glob(v.Files, inFS(base)+"/registries.conf.d/*.conf")
		if err != nil {
			continue
		}
		for _, m := range more {
			all = append(all, "/"+m)
		}
	}
	return all
}

// containersTrust looks where containers-certs.d(5) says.
func containersTrust(ctx context.Context, v *visit, host string) (bool, string) {
	if plain, _ := containersPlain(ctx, v, host); plain {
		return true, "" // an insecure one's certificate is not looked at
	}
	dirs := []string{"/etc/containers/certs.d", filepath.Join(v.Home, ".config/containers/certs.d"), "/etc/docker/certs.d"}
	return v.hasCA(ctx, dirs, host), installCA("/etc/containers/certs.d", host)
}

// hostsDir is where containerd is told of registries, if its configuration
// names the folder; ctr is told by --hosts-dir.
const hostsDir = "/etc/containerd/certs.d"

// containerdPlain follows containerd's resolver: localhost and loopback
// addresses by plain HTTP, unless the port is 443; any other host as its
// hosts.toml has it.
func containerdPlain(_ context.Context, v *visit, host string) (bool, string) {
	if isLoopbackName(hostname(host)) && !strings.HasSuffix(host, ":443") {
		return true, ""
	}
	url := "http://" + host
	return v.hostsTOML(host, url) != nil, writeHostsTOML(host, fmt.Sprintf("server = %q\n\n[host.%[1]q]\n", url))
}

// isLoopbackName is isLocalName without the names below localhost.
func isLoopbackName(host string) bool {
	return isLocalName(host) && !strings.HasSuffix(host, ".localhost")
}

func containerdTrusts(_ context.Context, v *visit, host string) (bool, string) {
	url, ca := "https://"+host, hostsDir+"/"+host+"/ca.crt"
	values := v.hostsTOML(host, url)
	mend := installCA(hostsDir, host) + " && " +
		writeHostsTOML(host, fmt.Sprintf("server = %q\nca = %q\n\n[host.%[1]q]\nca = %[2]q\n", url, ca))
	return values["ca"] != "" || values["skip_verify"] == "true", mend
}

// hostsTOML is what the hosts.toml of a host says of a URL, nil if it says
// nothing. It says so in a table of its own: containerd 1.6 refuses a file
// without one.
func (v *visit) hostsTOML(host, url string) map[string]string {
	for _, t := range tables(v.read(hostsDir + "/" + host + "/hosts.toml")) {
		if t.name == fmt.Sprintf("host.%q", url) {
			return t.values
		}
	}
	return nil
}

// writeHostsTOML is the command that writes a hosts.toml.
func writeHostsTOML(host, text string) string {
	dir := hostsDir + "/" + host
	return fmt.Sprintf("sudo mkdir -p '%s' && printf '%s' | sudo tee '%[1]s/hosts.toml'", dir, strings.ReplaceAll(text, "\n", `\n`))
}

// table is a table of a TOML file with its plain values.
type table struct {
	name   string // without brackets, as it stands
	values map[string]string
}

// tables reads as much TOML as files of settings have: headers, and a key and
// its value on a line. Anything else is passed over.
func tables(text string) []table {
	all := []table{{values: map[string]string{}}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if end := strings.LastIndexByte(line, ']'); end > 0 && line[0] == '[' {
			name := strings.TrimSuffix(strings.TrimPrefix(line[1:end], "["), "]")
			all = append(all, table{strings.TrimSpace(name), map[string]string{}})
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok {
			all[len(all)-1].values[strings.TrimSpace(key)] = plainValue(value)
		}
	}
	return all
}

// plainValue is a value without quotes and what follows it.
func plainValue(text string) string {
	text = strings.TrimSpace(text)
	for _, quote := range []string{`"`, `'`} {
		if rest, ok := strings.CutPrefix(text, quote); ok {
			value, _, _ := strings.Cut(rest, quote)
			return value
		}
	}
	value, _, _ := strings.Cut(text, "#")
	return strings.TrimSpace(value)
}
