package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// providerConfig is what kubelet reads (k8s.io/kubelet/config/v1).
type providerConfig struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Providers  []struct {
		Name                 string        `yaml:"name"`
		APIVersion           string        `yaml:"apiVersion"`
		MatchImages          []string      `yaml:"matchImages"`
		DefaultCacheDuration time.Duration `yaml:"defaultCacheDuration"`
		Args                 []string      `yaml:"args"`
		Env                  []struct {
			Name  string `yaml:"name"`
			Value string `yaml:"value"`
		} `yaml:"env"`
	} `yaml:"providers"`
}

const sample = "../../docs/examples/credential-provider-config.yml"

func TestSampleForKubelet(t *testing.T) {
	f, err := os.Open(sample)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var c providerConfig
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.APIVersion != "kubelet.config.k8s.io/v1" || c.Kind != "CredentialProviderConfig" || len(c.Providers) != 1 {
		t.Fatalf("read as %+v", c)
	}
	p := c.Providers[0]
	if p.Name != kubeletProvider || p.APIVersion != "credentialprovider.kubelet.k8s.io/v1" || len(p.MatchImages) == 0 || p.DefaultCacheDuration <= 0 {
		t.Errorf("the provider is read as %+v", p)
	}
	if err := newKubeletProvider().ParseFlags(p.Args); err != nil {
		t.Errorf("its args: %v", err)
	}
	for _, e := range p.Env {
		if !strings.HasPrefix(e.Name, "AWS_") || e.Value == "" {
			t.Errorf("env has %+v", e)
		}
	}
}

// TestSampleIsInTheDocs holds the page against the file.
func TestSampleIsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/helpers.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines.WriteString(line)
		}
	}
	if !strings.Contains(string(page), "```yaml\n"+lines.String()+"```\n") {
		t.Errorf("docs/helpers.md does not have:\n%s", lines.String())
	}
}

func TestHelpersAreCalledByName(t *testing.T) {
	tests := map[string]bool{
		"/usr/bin/docker-credential-berth": true, "docker-credential-berth.exe": true, "berth-credential-provider": true,
		"berth": false, "./berth.exe": false, "docker-credential-berth-2": false,
	}
	for program, want := range tests {
		if got := helperCalled(program) != nil; got != want {
			t.Errorf("%s is a helper: %v, want %v", program, got, want)
		}
	}
}
