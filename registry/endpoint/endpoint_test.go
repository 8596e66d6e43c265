package endpoint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestNewChecksOptions(t *testing.T) {
	tests := []struct {
		options endpoint.Options
		wrong   string // what the error begins with; "" for none
	}{
		{endpoint.Options{}, ""},
		{endpoint.Options{Style: endpoint.StylePath}, ""},
		{endpoint.Options{Style: "Path"}, "repository-uri: "},
		{endpoint.Options{Style: endpoint.StyleExternal}, "repository-uri: "},
		{endpoint.Options{Style: endpoint.StyleExternal, External: "https://berth.example"}, ""},
		{endpoint.Options{External: "http://[fd00::1]:5000/"}, ""},
		{endpoint.Options{External: "berth.example"}, "external: "},
		{endpoint.Options{External: "berth.example:5000"}, "external: "},
		{endpoint.Options{External: "ftp://berth.example"}, "external: "},
		{endpoint.Options{External: "https://berth.example/registry"}, "external: "},
		{endpoint.Options{External: "https://berth.example?"}, "external: "},
		{endpoint.Options{External: "https://berth.example#"}, "external: "},
		{endpoint.Options{External: "https://me@berth.example"}, "external: "},
		{endpoint.Options{External: "https://:5000"}, "external: "},
		{endpoint.Options{External: "https://berth.example:70000"}, "external: "},
		{endpoint.Options{External: "https://berth example"}, "external: "},
		{endpoint.Options{Listen: ":5000"}, ""},
		{endpoint.Options{Listen: "[::]:5000"}, ""},
		{endpoint.Options{Listen: "0.0.0.0:5000"}, ""},
		{endpoint.Options{Listen: "localhost"}, "listen: "},
		{endpoint.Options{Listen: "127.0.0.1:0"}, "listen: "},
		{endpoint.Options{Listen: "127.0.0.1:05000"}, "listen: "},
		{endpoint.Options{Listen: "127.0.0.1:http"}, "listen: "},
		{endpoint.Options{Listen: "::1:5000"}, "listen: "},
		{endpoint.Options{Hosts: []string{"berth", "Berth.Example:5000", "10.0.0.1", "[fd00::1]:80"}}, ""},
		{endpoint.Options{Hosts: []string{"berth", "http://berth"}}, "hosts: "},
		{endpoint.Options{Hosts: []string{"*"}}, "hosts: "},
		{endpoint.Options{Hosts: []string{""}}, "hosts: "},
		{endpoint.Options{Regions: []string{"home"}, Region: "home"}, ""},
		{endpoint.Options{Regions: []string{"Home"}}, "regions: "},
		{endpoint.Options{Region: "home"}, "region: "},
		{endpoint.Options{Account: "000000000000", Region: "us-east-1"}, ""},
		{endpoint.Options{Account: "12"}, "account: "},
	}
	for _, tt := range tests {
		_, err := endpoint.New(tt.options)
		switch {
		case tt.wrong == "" && err != nil:
			t.Errorf("New(%+v): %v", tt.options, err)
		case tt.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.wrong)):
			t.Errorf("New(%+v) gave the error %v, want one about %s", tt.options, err, tt.wrong)
		}
	}
}

// names makes Names from options that are right.
func names(t testing.TB, o endpoint.Options) *endpoint.Names {
	t.Helper()
	n, err := endpoint.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHome(t *testing.T) {
	n := names(t, endpoint.Options{Account: "000000000000", Region: "us-east-1"})
	if account, region := n.Home(); account != "000000000000" || region != "us-east-1" {
		t.Errorf("Home() = %q, %q", account, region)
	}
}

func TestHasRegion(t *testing.T) {
	all, few := names(t, endpoint.Options{}), names(t, endpoint.Options{Regions: []string{"home", "us-east-1"}})
	none := names(t, endpoint.Options{Regions: []string{}})
	tests := []struct {
		region         string
		all, few, none bool
	}{
		{"us-east-1", true, true, false},
		{"eu-west-1", true, false, false},
		{"home", false, true, false},
		{"", false, false, false},
	}
	for _, tt := range tests {
		got := []bool{all.HasRegion(tt.region), few.HasRegion(tt.region), none.HasRegion(tt.region)}
		if want := []bool{tt.all, tt.few, tt.none}; !slices.Equal(got, want) {
			t.Errorf("HasRegion(%q) with all, few and no regions = %v, want %v", tt.region, got, want)
		}
	}
}

func TestSplitPath(t *testing.T) {
	n := names(t, endpoint.Options{})
	tests := []struct {
		path, account, region, name string
		ok                          bool
	}{
		{"123456789012/us-east-1/team/app", "123456789012", "us-east-1", "team/app", true},
		{"123456789012/us-east-1/app", "123456789012", "us-east-1", "app", true},
		{"team/app", "", "", "team/app", false},
		{"app", "", "", "app", false},
		{"", "", "", "", false},
		{"123456789012/us-east-1", "", "", "123456789012/us-east-1", false},
		{"123456789012/us-east-1/", "", "", "123456789012/us-east-1/", false},
		{"123456789012/mars-1/app", "", "", "123456789012/mars-1/app", false},
		{"12345678901/us-east-1/app", "", "", "12345678901/us-east-1/app", false},
		{"/123456789012/us-east-1/app", "", "", "/123456789012/us-east-1/app", false},
	}
	for _, tt := range tests {
		account, region, name, ok := n.SplitPath(tt.path)
		if account != tt.account || region != tt.region || name != tt.name || ok != tt.ok {
			t.Errorf("SplitPath(%q) = %q, %q, %q, %v; want %q, %q, %q, %v", tt.path,
				account, region, name, ok, tt.account, tt.region, tt.name, tt.ok)
		}
	}
}
