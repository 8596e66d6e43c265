package registry_test

import (
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// A client of a mirror names a registry by its host, and a repository as that one does.
// Only the upstreams of rules are had so.
func TestMirroredName(t *testing.T) {
	s := open(t, registry.Options{Upstreams: []string{"registry.example:5000"}})
	for _, rule := range []registry.PullThroughRule{
		{Prefix: "hub", UpstreamHost: "registry-1.docker.io", Credential: "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/hub"},
		{Prefix: "quay/deep", UpstreamHost: "quay.io", UpstreamPrefix: "team"},
		{Prefix: "quay", UpstreamHost: "registry.k8s.io"},
		{Prefix: "own/", UpstreamHost: "registry.example:5000"},
		{Prefix: "ROOT", UpstreamHost: "public.ecr.aws"},
	} {
		_, err := s.CreatePullThroughRule(alice(t), here, rule)
		must(t, err)
	}
	for _, tt := range []struct{ host, path, want string }{
		{"docker.io", "library/alpine", "hub/library/alpine"},
		{"registry-1.docker.io", "library/alpine", "hub/library/alpine"},
		{"quay.io", "team/app", "quay/deep/app"},
		{"quay.io", "other/app", ""},
		{"quay.io", "team", ""},
		{"registry.k8s.io", "pause", "quay/pause"},
		{"registry.k8s.io", "deep/pause", ""}, // there is another rule for it
		{"registry.example:5000", "app/x", "own/app/x"},
		{"registry.example", "app", ""},
		{"public.ecr.aws", "nginx/nginx", "nginx/nginx"},
		{"public.ecr.aws", "hub/nginx", ""},
		{"evil.example", "app", ""},
		{"127.0.0.1", "app", ""},
		{"docker.io", "../quay/app", ""},
		{"docker.io", "UPPER", ""},
	} {
		got, ok, err := s.MirroredName(alice(t), here, tt.host, tt.path)
		must(t, err)
		if got.String() != tt.want || ok != (tt.want != "") {
			t.Errorf("%s of %s is %q, %v; want %q", tt.path, tt.host, got, ok, tt.want)
		}
	}
}

// Rules may name the hosts of the configuration, which take a secret or none.
func TestOtherUpstreams(t *testing.T) {
	s := open(t, registry.Options{Upstreams: []string{"registry.example"}})
	_, err := s.CreatePullThroughRule(alice(t), here, registry.PullThroughRule{Prefix: "other", UpstreamHost: "elsewhere.example"})
	wantCode(t, "an unknown host", err, registry.UpstreamInvalid)
	rule, err := s.CreatePullThroughRule(alice(t), here, registry.PullThroughRule{Prefix: "own", UpstreamHost: "registry.example"})
	must(t, err)
	if rule.Upstream != "" || rule.UpstreamPrefix != registry.RootPrefix {
		t.Errorf("rule %+v", rule)
	}
	_, err = s.UpdatePullThroughRule(alice(t), here, "own", registry.PullThroughChange{
		Credential: new("arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/own"),
	})
	must(t, err)
	_, err = s.UpdatePullThroughRule(alice(t), here, "own", registry.PullThroughChange{Role: new("arn:aws:iam::000000000000:role/x")})
	wantCode(t, "a role", err, registry.ConfigurationInvalid)
}
