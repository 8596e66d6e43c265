package interop_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// exampleHost is the server in docs/examples.
const exampleHost = "registry.example:5000"

// hostsDir is a folder as ctr takes it by --hosts-dir, with an example of a
// hosts.toml in which the server has its own address.
func hostsDir(t *testing.T, s *harness.Server, example, name, server string) string {
	t.Helper()
	text := string(readFile(t, filepath.Join("../../docs/examples", example)))
	text = strings.ReplaceAll(text, "/etc/containerd/certs.d/"+exampleHost+"/ca.crt", s.CA())
	dir := t.TempDir()
	makeFile(t, filepath.Join(dir, name, "hosts.toml"), strings.ReplaceAll(text, exampleHost, server))
	return dir
}

// The examples of docs/mirrors.md have containerd pull from the server what it
// does not get without them.
func TestNamesExamplesContainerd(t *testing.T) {
	s, sh, image := trustShell(t)
	pull := []string{"images", "pull", "--snapshotter", "native", "--user", "AWS:" + sh.Var("PASSWORD")}
	for _, tt := range []struct{ example, name, server string }{
		{"containerd-plain-http.toml", harness.Example + ":5000", harness.Example + ":5000"},
		{"containerd-tls.toml", harness.Example, harness.Example},
		{"containerd-amazons-name.toml", awsName, harness.Example + ":5000"},
	} {
		t.Run(tt.example, func(t *testing.T) {
			ref := tt.name + "/team/app:1.0"
			sh.CtrRefused(append(pull, ref)...)
			sh.Ctr(append(pull, "--hosts-dir", hostsDir(t, s, tt.example, tt.name, tt.server), ref)...)
			if got, want := ctrDigest(sh, ref), image.Digest().String(); got != want {
				t.Errorf("ctr pulled %s, want %s", got, want)
			}
			sh.Ctr("images", "rm", "--sync", ref)
		})
	}
}

// Of a registry that the server does not have, it knows nothing, even if it has
// a repository of the same name: containerd goes on to the registry itself,
// which cannot be reached from here.
func TestNamesExamplesContainerdMirror(t *testing.T) {
	s, sh, _ := trustShell(t)
	hosts := hostsDir(t, s, "containerd-mirror.toml", "docker.io", harness.Example)
	said := sh.CtrRefused("images", "pull", "--user", "AWS:"+sh.Var("PASSWORD"), "--hosts-dir", hosts, "docker.io/team/app:1.0")
	for _, want := range []string{"response was http.StatusNotFound\" host=" + harness.Example, "https://registry-1.docker.io/v2/team/app/manifests/1.0"} {
		if !strings.Contains(said, want) {
			t.Errorf("ctr did not say %q but:\n%s", want, said)
		}
	}
}
