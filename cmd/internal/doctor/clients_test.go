package doctor_test

import (
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/doctor"
)

// versions are what clients print when they are asked for theirs.
var versions = map[string]string{
	"docker --version":         "Docker version 28.2.2, build e6534b4\n",
	"podman --version":         "podman version 4.3.1\n",
	"buildah --version":        "buildah version 1.28.2 (image-spec 1.0.2-dev, runtime-spec 1.0.2-dev)\n",
	"skopeo --version":         "skopeo version 1.9.3\n",
	"ctr --version":            "ctr github.com/containerd/containerd 1.6.20~ds1\n",
	"nerdctl --version":        "nerdctl version 2.0.0\n",
	"crane version":            "v0.22.1\n",
	"cosign version":           "GitVersion:    v2.4.1\n",
	"ko version":               "0.17.1\n",
	"regctl version":           "VCSTag:     v0.8.0\n",
	"oras version":             "Version:        1.2.2\n",
	"helm version --short":     "v3.16.4+g7877b45\n",
	"notation version":         "Version:     1.3.0\n",
	"buildctl --version":       "buildctl github.com/moby/buildkit v0.18.2 0\n",
	"kubectl version --client": "Client Version: v1.32.4\n",
}

// equipped is a healthy machine with every client.
func equipped(t *testing.T) *world {
	w := healthy(t)
	for command, out := range versions {
		w.programs[command] = out
	}
	return w
}

// daemonSays is what `docker info` prints.
func daemonSays(os, cidrs, index string) string {
	return fmt.Sprintf(`WARNING: no swap{"OperatingSystem": %q, "RegistryConfig": {"InsecureRegistryCIDRs": [%s], "IndexConfigs": {%s}}}`, os, cidrs, index)
}

const info = "docker info --format {{json .}}"

func TestClientsByPlainHTTP(t *testing.T) {
	const ours = "http://localhost:5000"
	all := equipped(t).examine(t)
	for _, x := range []want{
		{"client.docker", doctor.OK, "docker 28.2.2; it is set up for " + ours + ", http://" + ownName + ":5000; its daemon does not answer", ""},
		{"client.podman", doctor.Warn, "podman 4.3.1; it is not set up for " + ours, `location = "localhost:5000"\ninsecure = true`},
		{"client.buildah", doctor.Warn, "not set up for " + ours, "registries.conf.d/berth.conf"},
		{"client.skopeo", doctor.Warn, "not set up for " + ours, "registries.conf.d/berth.conf"},
		{"client.containerd", doctor.Warn, "containerd 1.6.20~ds1; it is set up for " + ours + "; it is not set up for http://" + ownName, `printf 'server = "http://` + ownName + `:5000"\n\n[host."http://` + ownName + `:5000"]\n' | sudo tee '/etc/containerd/certs.d/` + ownName + `:5000/hosts.toml'`},
		{"client.nerdctl", doctor.Warn, "it is set up for " + ours, "hosts.toml"},
		{"client.crane", doctor.OK, "crane 0.22.1; it is set up for " + ours + ", http://" + ownName, ""},
		{"client.cosign", doctor.OK, "cosign 2.4.1", ""},
		{"client.ko", doctor.OK, "ko 0.17.1", ""},
		{"client.regctl", doctor.Warn, "not set up for " + ours, "regctl registry set --tls disabled localhost:5000"},
		{"client.oras", doctor.Warn, "it is set up for " + ours + "; it is not set up for http://" + ownName, "--plain-http"},
		{"client.helm", doctor.Warn, "helm 3.16.4", "--plain-http"},
		{"client.notation", doctor.Warn, "it is set up for " + ours, "--insecure-registry"},
		{"client.buildkit", doctor.Warn, "buildkit 0.18.2", `[registry."localhost:5000"] http = true`},
		{"client.kubectl", doctor.OK, "kubectl 1.32.4: images are pulled by the nodes", ""},
	} {
		x.holds(t, all)
	}
}

func TestClientsByTLSThatNobodyTrusts(t *testing.T) {
	w := equipped(t)
	secured(t, w)
	all := w.examine(t)
	for _, x := range []want{
		{"client.docker", doctor.OK, "set up for https://localhost:5000", ""}, // any certificate will do on loopback
		{"client.podman", doctor.Warn, "not set up for https://localhost:5000", "berth-ca.crt '/etc/containers/certs.d/localhost:5000/ca.crt'"},
		{"client.containerd", doctor.Warn, "not set up for https://localhost:5000", `[host."https://localhost:5000"]\nca = "/etc/containerd/certs.d/localhost:5000/ca.crt"\n'`},
		{"client.crane", doctor.Warn, "not set up for https://localhost:5000", "SSL_CERT_FILE"},
		{"client.oras", doctor.Warn, "not set up", "--ca-file"},
		{"client.regctl", doctor.Warn, "not set up", "--cacert"},
		{"client.buildkit", doctor.Warn, "not set up", "ca = ["},
	} {
		x.holds(t, all)
	}
}

func TestClientsThatAreSetUp(t *testing.T) {
	for name, tt := range map[string]struct {
		client, path, text string
		tls                bool
	}{
		"podman by location":   {"podman", "etc/containers/registries.conf", "unqualified-search-registries = []\n[[registry]]\nlocation = \"HOST\" # here\ninsecure = true\n", false},
		"podman by prefix":     {"podman", "etc/containers/registries.conf.d/a.conf", "[[registry]]\ninsecure = true\nprefix = 'HOST'\n", false},
		"skopeo of a user":     {"skopeo", "home/me/.config/containers/registries.conf", "[[registry]]\nlocation=\"HOST\"\ninsecure=true\n", false},
		"containerd":           {"containerd", "etc/containerd/certs.d/HOST/hosts.toml", "[host.\"http://HOST\"]\n", false},
		"buildkit":             {"buildkit", "etc/buildkit/buildkitd.toml", "[registry.\"HOST\"]\n  http = true\n", false},
		"docker's file":        {"docker", "etc/docker/daemon.json", `{"insecure-registries": ["HOST"]}`, false},
		"docker's certificate": {"docker", "etc/docker/certs.d/HOST/ca.crt", "CA", true},
		"podman's certificate": {"podman", "etc/containers/certs.d/HOST/ca.crt", "CA", true},
		"containerd's":         {"containerd", "etc/containerd/certs.d/HOST/hosts.toml", "[host.\"https://HOST\"]\nca = \"/etc/containerd/certs.d/HOST/ca.crt\"\n", true},
		"buildkit's":           {"buildkit", "etc/buildkit/buildkitd.toml", "[registry.\"HOST\"]\nca = [\"/etc/ca.crt\"]\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			const host = "registry.example:5000"
			w := equipped(t)
			w.names["registry.example"], w.subject.Host = otherIP, "http://"+host
			w.serve(t, registry(0), host)
			if tt.tls {
				w.subject.Host = "https://" + host
				ca := secured(t, w)
				tt.text = strings.ReplaceAll(tt.text, "CA", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})))
				w.servers[host] = w.servers["localhost:5000"]
			}
			want{"client." + tt.client, doctor.Warn, "not set up", ""}.holds(t, w.examine(t))
			w.files[strings.ReplaceAll(tt.path, "HOST", host)] = file(strings.ReplaceAll(tt.text, "HOST", host))
			want{"client." + tt.client, doctor.OK, "set up for " + w.subject.Host, ""}.holds(t, w.examine(t))
		})
	}
}

// The certificate of another authority is none for this server.
func TestClientsWithAnothersCertificate(t *testing.T) {
	for client, path := range map[string]string{
		"docker": "etc/docker/certs.d/HOST/ca.crt", "podman": "etc/containers/certs.d/HOST/ca.crt",
	} {
		const host = "registry.example:5000"
		w := equipped(t)
		w.names["registry.example"], w.subject.Host = otherIP, "https://"+host
		secured(t, w)
		w.servers[host] = w.servers["localhost:5000"]
		w.files[strings.ReplaceAll(path, "HOST", host)] = file(othersCertificate)
		want{"client." + client, doctor.Warn, "not set up", "berth-ca.crt"}.holds(t, w.examine(t))
	}
}

func TestDockersDaemonHasTheWord(t *testing.T) {
	const loopback = `"127.0.0.0/8"`
	for name, tt := range map[string]struct {
		says   string
		lost   bool // the daemon's host does not know the name below localhost
		status doctor.Status
		mend   string
	}{
		"loopback is insecure":         {daemonSays("Debian", loopback, ""), false, doctor.OK, ""},
		"nothing is":                   {daemonSays("Debian", "", ""), false, doctor.Warn, `echo '{"insecure-registries": ["localhost:5000"]}' | sudo tee /etc/docker/daemon.json`},
		"a name that does not resolve": {daemonSays("Debian", loopback, ""), true, doctor.Warn, `"insecure-registries": ["` + ownName + `:5000"]`},
		"both are listed":              {daemonSays("Debian", "", `"localhost:5000": {"Secure": false}, "`+ownName+`:5000": {"Secure": false}`), true, doctor.OK, ""},
		"Docker Desktop":               {daemonSays("Docker Desktop", "", ""), false, doctor.Warn, "in Docker Desktop's Settings, Docker Engine"},
	} {
		t.Run(name, func(t *testing.T) {
			w := equipped(t)
			w.programs[info] = tt.says
			if tt.lost {
				delete(w.names, ownName)
			}
			want{"client.docker", tt.status, "", tt.mend}.holds(t, w.examine(t))
		})
	}
}

func TestAFileOfDockersIsNotOverwritten(t *testing.T) {
	w := equipped(t)
	w.programs[info] = daemonSays("Debian", "", "")
	w.files["etc/docker/daemon.json"] = file(`{}`)
	want{"client.docker", doctor.Warn, "not set up", "in /etc/docker/daemon.json, then: sudo systemctl reload docker"}.holds(t, w.examine(t))
}

func TestAClientThatDoesNotRun(t *testing.T) {
	w := healthy(t)
	w.programs["crane version"] = "Segmentation fault\n"
	want{"client.crane", doctor.Warn, "crane does not say its version", "crane version"}.holds(t, w.examine(t))
}

func TestNoClients(t *testing.T) {
	want{"client", doctor.Skipped, "no client of registries", ""}.holds(t, healthy(t).examine(t))
}

func TestLogins(t *testing.T) {
	const docker, podman = "home/me/.docker/config.json", "home/me/.config/containers/auth.json"
	for name, tt := range map[string]struct {
		path, text, program string
		want                want
	}{
		"nobody":                   {docker, `{}`, "", want{"login.docker", doctor.Warn, "nobody is logged in to localhost:5000", "berth login localhost:5000"}},
		"our helper":               {docker, `{"credHelpers": {"localhost:5000": "berth"}}`, "docker-credential-berth x", want{"login.docker", doctor.OK, "docker-credential-berth asked for passwords", ""}},
		"our helper is gone":       {docker, `{"credHelpers": {"localhost:5000": "berth"}}`, "", want{"login.docker", doctor.Fail, "not on the PATH", "berth login --install-helpers /usr/local/bin"}},
		"another helper is gone":   {docker, `{"credHelpers": {"localhost:5000": "pass"}}`, "", want{"login.docker", doctor.Fail, "docker-credential-pass asked", "berth logout localhost:5000"}},
		"another helper":           {docker, `{"credHelpers": {"localhost:5000": "pass"}}`, "docker-credential-pass x", want{"login.docker", doctor.Warn, "docker-credential-pass asked", "credHelpers"}},
		"Amazon's helper":          {docker, `{"credHelpers": {"localhost:5000": "ecr-login"}}`, "docker-credential-ecr-login x", want{"login.docker", doctor.Fail, "refuses every name that is not of Amazon's form", "berth login"}},
		"a store":                  {docker, `{"credsStore": "desktop"}`, "docker-credential-desktop x", want{"login.docker", doctor.Warn, "docker-credential-desktop keeps what docker login is given", "berth login"}},
		"a store with a password":  {docker, `{"credsStore": "desktop", "auths": {"localhost:5000": {}}}`, "docker-credential-desktop x", want{"login.docker", doctor.OK, "keeps a password of localhost:5000", ""}},
		"a store that is gone":     {docker, `{"credsStore": "desktop"}`, "", want{"login.docker", doctor.Warn, "docker login fails", "berth login"}},
		"a store that keeps none":  {docker, `{"credsStore": "ecr-login"}`, "docker-credential-ecr-login x", want{"login.docker", doctor.Warn, "keeps none", "berth login"}},
		"a damaged file":           {docker, `{`, "", want{"login.docker", doctor.Fail, "/home/me/.docker/config.json is no JSON", "mend or remove"}},
		"podman's password":        {podman, `{"auths": {"localhost:5000": {"auth": "x"}}}`, "", want{"login.podman", doctor.OK, "auth.json has a password", ""}},
		"podman has others":        {podman, `{"auths": {"quay.io": {"auth": "x"}}}`, "", want{"login.podman", doctor.Skipped, "docker's configuration counts", ""}},
		"podman has Amazon's help": {podman, `{"credHelpers": {"localhost:5000": "ecr-login"}}`, "docker-credential-ecr-login x", want{"login.podman", doctor.Fail, "refuses", "berth login"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := healthy(t)
			w.files[tt.path] = file(tt.text)
			if tt.program != "" {
				w.programs[tt.program] = ""
			}
			tt.want.holds(t, w.examine(t))
		})
	}
}

func TestNoPasswordIsShown(t *testing.T) {
	const secret = "QVdTOnNlY3JldA"
	for _, text := range []string{`{"auths": {"localhost:5000": {"auth": "` + secret + `"}}}`, `{"auths": {"localhost:5000": {"auth": "` + secret} {
		w := healthy(t)
		w.files["home/me/.docker/config.json"] = file(text)
		for _, f := range w.examine(t) {
			if strings.Contains(f.Found+f.Mend, secret) {
				t.Errorf("%s shows a password: %s", f.Check, f.Found)
			}
		}
	}
}

// othersCertificate is that of an authority that made nothing of ours.
const othersCertificate = `-----BEGIN CERTIFICATE-----
MIIBjzCCATWgAwIBAgIUH9Tgh0wZMOpOFVCKAFdfWSFfVIgwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTIxMDY0MzUzWhgP
MjEyNjEwMjgwNjQzNTNaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw
EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETu+zAdJCioG+88FyGcs4seDVCoB/Xxeq
YICN90G90KJBmCOcIvFw+NrXY1JSr/8ndjWTi6GTsMW/avBXildbtqNTMFEwHQYD
VR0OBBYEFJxEa7+n5888egMLE5+LtIW/Mjp7MB8GA1UdIwQYMBaAFJxEa7+n5888
egMLE5+LtIW/Mjp7MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIh
AKShY9NIvP72dP1vF128m0pwTvU1yYZZLHnFaT8rBMujAiAWy5dhkKzdY1P2kOq6
VM9y1ZP5mUG/b2Lv3+iRhO/iZQ==
-----END CERTIFICATE-----
`
