package endpoint_test

import (
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestNamespace(t *testing.T) {
	n := names(t, endpoint.Options{
		Listen: "10.0.0.1:5000", External: "https://berth.example", Hosts: []string{"registry.internal"}, Regions: []string{region},
	})
	tests := []struct {
		ns, account, region string
		ours                bool
	}{
		{account + ".dkr.ecr." + region + ".amazonaws.com", account, region, true},
		{account + ".dkr.ecr." + region + ".localhost:5000", account, region, true},
		{account + ".dkr-ecr." + region + ".on.aws", account, region, true},
		{account + ".dkr.ecr.us-west-2.amazonaws.com", "", "", false},
		{"berth.example", "", "", true},
		{"registry.internal:443", "", "", true},
		{"localhost:5000", "", "", true},
		{"10.0.0.1:5000", "", "", true},
		{"docker.io", "", "", false},
		{"api.ecr." + region + ".amazonaws.com", "", "", false},
		{"sts." + region + ".amazonaws.com", "", "", false},
		{"", "", "", false},
		{"http://berth.example", "", "", false},
		{"berth.example/team", "", "", false},
	}
	for _, tt := range tests {
		a, r, ours := n.Namespace(tt.ns)
		if ours != tt.ours || ours && (a != tt.account || r != tt.region) {
			t.Errorf("Namespace(%q) = %q, %q, %v; want %q, %q, %v", tt.ns, a, r, ours, tt.account, tt.region, tt.ours)
		}
	}
}

func FuzzNamespace(f *testing.F) {
	for _, s := range append(strangers, "docker.io", account+".dkr.ecr."+region+".amazonaws.com", "localhost:5000") {
		f.Add(s)
	}
	n := names(f, endpoint.Options{})
	f.Fuzz(func(t *testing.T, ns string) {
		a, r, ours := n.Namespace(ns)
		if ours && a != "" && (len(a) != 12 || !n.HasRegion(r)) {
			t.Errorf("Namespace(%q) = %q, %q", ns, a, r)
		}
		if ours && !n.Trusts(ns) {
			t.Errorf("%q is ours and not trusted", ns)
		}
	})
}
