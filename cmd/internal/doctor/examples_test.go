package doctor_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/seed-78150930/berth/cmd/internal/doctor"
)

const examples = "../../../docs/examples"

func example(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(examples, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What is said to be right in docs/mirrors.md is right for the doctor.
func TestExamplesSetClientsUp(t *testing.T) {
	const host = "registry.example:5000"
	for _, tt := range []struct {
		name, client, path string
		tls                bool
	}{
		{"containerd-plain-http.toml", "containerd", "etc/containerd/certs.d/" + host + "/hosts.toml", false},
		{"containerd-tls.toml", "containerd", "etc/containerd/certs.d/" + host + "/hosts.toml", true},
		{"daemon.json", "docker", "etc/docker/daemon.json", false},
	} {
		w := equipped(t)
		w.names["registry.example"], w.subject.Host = otherIP, "http://"+host
		w.serve(t, registry(0), host)
		if tt.tls {
			w.subject.Host = "https://" + host
			secured(t, w)
			w.servers[host] = w.servers["localhost:5000"]
		}
		w.files[tt.path] = file(example(t, tt.name))
		want{"client." + tt.client, doctor.OK, "set up for " + w.subject.Host, ""}.holds(t, w.examine(t))
	}
}

// Each file for containerd says at its head where it belongs.
func TestExamplesOfHostsSayWhereTheyBelong(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(examples, "containerd-*.toml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range files {
		text := example(t, filepath.Base(path))
		first, _, _ := strings.Cut(text, "\n")
		if !strings.HasPrefix(first, "# /etc/containerd/certs.d/") || !strings.HasSuffix(first, "/hosts.toml") {
			t.Errorf("%s begins with %q", path, first)
		}
		if !strings.Contains(text, "\n[host.\"http") { // without one, containerd 1.6 refuses the file
			t.Errorf("%s has no table of a host", path)
		}
	}
}

func TestExamplesInJSONAndYAML(t *testing.T) {
	var daemon map[string][]string
	if err := json.Unmarshal([]byte(example(t, "daemon.json")), &daemon); err != nil {
		t.Errorf("daemon.json: %v", err)
	}
	var kind struct {
		Kind                    string
		ContainerdConfigPatches []string `yaml:"containerdConfigPatches"`
		Nodes                   []struct {
			Role        string
			ExtraMounts []struct {
				ContainerPath string `yaml:"containerPath"`
			} `yaml:"extraMounts"`
		}
	}
	if err := yaml.Unmarshal([]byte(example(t, "kind.yaml")), &kind); err != nil {
		t.Fatalf("kind.yaml: %v", err)
	}
	if len(kind.ContainerdConfigPatches) != 1 || len(kind.Nodes) == 0 {
		t.Fatalf("kind.yaml: %+v", kind)
	}
	for _, n := range kind.Nodes {
		if len(n.ExtraMounts) != 1 || !strings.Contains(kind.ContainerdConfigPatches[0], `config_path = "`+n.ExtraMounts[0].ContainerPath+`"`) {
			t.Errorf("kind.yaml: node %s mounts %+v, which containerd does not read", n.Role, n.ExtraMounts)
		}
	}
}

func TestExampleOfRegistriesYAML(t *testing.T) {
	var registries struct {
		Mirrors map[string]struct{ Endpoint []string }
		Configs map[string]struct {
			TLS struct {
				CAFile string `yaml:"ca_file"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(example(t, "registries.yaml")), &registries); err != nil {
		t.Fatal(err)
	}
	for name, m := range registries.Mirrors {
		for _, e := range m.Endpoint {
			host, ok := strings.CutPrefix(e, "https://")
			if !ok || registries.Configs[host].TLS.CAFile == "" {
				t.Errorf("the endpoint %s of %s has no certificate to trust", e, name)
			}
		}
	}
	if len(registries.Mirrors) == 0 {
		t.Error("there are no mirrors")
	}
}
