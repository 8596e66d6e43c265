package endpoint_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
)

// request is a request that came to host.
func request(host string, byTLS bool) *http.Request {
	r := &http.Request{Host: host, Header: http.Header{}}
	if byTLS {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

func site(t testing.TB, o endpoint.Options, r *http.Request) endpoint.Site {
	t.Helper()
	s, err := names(t, o).Site(r)
	if err != nil {
		t.Fatalf("Site for host %q: %v", r.Host, err)
	}
	return s
}

// strangers are Host headers that are never printed back.
var strangers = []string{
	"", "evil.example", "evil.example:5000", "localhost.evil.example", "notlocalhost", "10.0.0.1:5000",
	"0.0.0.0:5000", "127.1", "2130706433", "[fe80::1%25lo]", "[::1", "::1", "[127.0.0.1]", "localhost:99999",
	"localhost:-1", "localhost:5000:5000", "localhost/", "localhost/../x", "me@localhost", "localhost\r\nX-A: b",
	"local host", "localhost\x00", "localhost?", "localhost#", "löcalhost", "*.localhost", ".localhost", "localhost..",
	"ecr.example.com", "sts.example.com", "api.ecr.us-east-1", "%6cocalhost",
}

func TestStrangersAreNotPrinted(t *testing.T) {
	bare := endpoint.Options{Listen: "127.0.0.1:5000"}
	known := endpoint.Options{Listen: "127.0.0.1:5000", External: "https://berth.example"}
	for _, host := range strangers {
		s := site(t, bare, request(host, false))
		if got := s.URL("/v2/a"); got != "/v2/a" {
			t.Errorf("host %q: URL = %q, want the path alone", host, got)
		}
		if got := s.AbsoluteURL("/v2/a"); got != "http://127.0.0.1:5000/v2/a" {
			t.Errorf("host %q: AbsoluteURL = %q, want the listening address", host, got)
		}
		if got := s.RepositoryURI(account, region, "a"); got != "127.0.0.1:5000/a" {
			t.Errorf("host %q: RepositoryURI = %q, want the listening address", host, got)
		}
		if s.Account != "" || s.Region != "" {
			t.Errorf("host %q names the registry %s in %s, want none", host, s.Account, s.Region)
		}
		s = site(t, known, request(host, false))
		for _, got := range []string{s.URL("/v2/a"), s.AbsoluteURL("/v2/a")} {
			if got != "https://berth.example/v2/a" {
				t.Errorf("host %q: URL = %q, want the external address", host, got)
			}
		}
		if got := s.ProxyEndpoint(account, region, false); got != "https://berth.example" {
			t.Errorf("host %q: ProxyEndpoint = %q, want the external address", host, got)
		}
	}
}

func TestStrictRefusesStrangers(t *testing.T) {
	n := names(t, endpoint.Options{Strict: true, Hosts: []string{"berth:5000"}})
	for _, host := range append(strangers, "berth", "berth:5001") {
		if _, err := n.Site(request(host, false)); !errors.Is(err, endpoint.ErrMisdirected) {
			t.Errorf("host %q: %v, want ErrMisdirected", host, err)
		}
	}
	for _, host := range []string{"localhost:5000", "berth:5000", "api.ecr.us-east-1.amazonaws.com"} {
		if _, err := n.Site(request(host, false)); err != nil {
			t.Errorf("host %q: %v", host, err)
		}
	}
}

// Anyone can have an AWS-shaped name below a domain of his own lead here.
func TestStrictAsksWhoseDomainAnAWSShapedNameIsIn(t *testing.T) {
	n := names(t, endpoint.Options{Strict: true, Hosts: []string{"registry.example"}})
	const registry = account + ".dkr.ecr." + region
	for host, ok := range map[string]bool{
		registry + ".amazonaws.com": true, registry + ".localhost:5000": true, registry + ".registry.example": true,
		registry + ".evil.example": false, "ecr.us-east-1.evil.example": false, registry + ".amazonaws.com.evil.example": false,
	} {
		if _, err := n.Site(request(host, false)); (err == nil) != ok {
			t.Errorf("host %q: %v, want it taken: %t", host, err, ok)
		}
	}
	if _, err := names(t, endpoint.Options{}).Site(request(registry+".evil.example", false)); err != nil {
		t.Errorf("not strict: %v", err)
	}
}

func TestURL(t *testing.T) {
	o := endpoint.Options{
		Listen: "192.168.1.5:5000", External: "https://berth.example",
		Hosts: []string{"cache.internal", "Strict.Internal:8080", "[fd00::1]:5000"},
	}
	const path = "/v2/a/tags/list?n=2&last=1.0"
	tests := []struct {
		host  string
		byTLS bool
		want  string
	}{
		{"localhost:5000", false, "http://localhost:5000"},
		{"localhost:5000", true, "https://localhost:5000"},
		{"localhost", false, "http://localhost"},
		{"localhost:", false, "http://localhost"},
		{"LocalHost.:32768", false, "http://localhost:32768"},
		{"berth.localhost:5000", false, "http://berth.localhost:5000"},
		{"127.0.0.1:5000", false, "http://127.0.0.1:5000"},
		{"127.9.9.9", false, "http://127.9.9.9"},
		{"[::1]:5000", false, "http://[::1]:5000"},
		{"[::ffff:127.0.0.1]:5000", false, "http://[::ffff:127.0.0.1]:5000"},
		{"192.168.1.5:5000", false, "http://192.168.1.5:5000"},
		{"cache.internal", false, "http://cache.internal"},
		{"cache.internal:81", false, "http://cache.internal:81"},
		{"strict.internal:8080", false, "http://strict.internal:8080"},
		{"strict.internal", false, "https://berth.example"},
		{"[fd00::1]:5000", false, "http://[fd00::1]:5000"},
		{"berth.example", false, "https://berth.example"}, // TLS ended before
		{"berth.example:443", false, "https://berth.example"},
		{"berth.example:5000", false, "http://berth.example:5000"},
		{"api.ecr.us-east-1.amazonaws.com", true, "https://api.ecr.us-east-1.amazonaws.com"},
		{"123456789012.dkr.ecr.us-east-1.localhost:5000", false, "http://123456789012.dkr.ecr.us-east-1.localhost:5000"},
	}
	for _, tt := range tests {
		s := site(t, o, request(tt.host, tt.byTLS))
		if got := s.URL(path); got != tt.want+path {
			t.Errorf("host %q: URL = %q, want %q", tt.host, got, tt.want+path)
		}
		if got := s.AbsoluteURL(path); got != tt.want+path {
			t.Errorf("host %q: AbsoluteURL = %q, want %q", tt.host, got, tt.want+path)
		}
	}
}

func TestListeningOnEveryAddressIsPrintedAsLocalhost(t *testing.T) {
	for listen, want := range map[string]string{
		"": "http://127.0.0.1:5000/", ":80": "http://localhost:80/", "0.0.0.0:4566": "http://localhost:4566/",
		"[::]:5000": "http://localhost:5000/", "[fd00::1]:5000": "http://[fd00::1]:5000/",
	} {
		s := site(t, endpoint.Options{Listen: listen}, request("evil.example", false))
		if got := s.AbsoluteURL("/"); got != want {
			t.Errorf("listening on %q: AbsoluteURL = %q, want %q", listen, got, want)
		}
	}
}

func TestForwardedHeadersAreIgnored(t *testing.T) {
	r := request("localhost:5000", false)
	for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "X-Host"} {
		r.Header.Set(h, "evil.example")
	}
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Port", "1")
	r.Header.Set("Forwarded", "host=evil.example;proto=https")
	if got := site(t, endpoint.Options{}, r).URL("/"); got != "http://localhost:5000/" {
		t.Errorf("URL = %q, want that of the Host header", got)
	}
}

func TestSiteNamesTheRegistry(t *testing.T) {
	tests := []struct{ host, account, region string }{
		{"localhost:5000", "", ""},
		{"123456789012.dkr.ecr.us-east-1.localhost:5000", "123456789012", "us-east-1"},
		{"api.ecr.us-west-2.amazonaws.com", "", "us-west-2"},
		{"api.ecr.amazonaws.com", "", ""},
		{"sts.eu-west-1.amazonaws.com", "", "eu-west-1"},
	}
	for _, tt := range tests {
		s := site(t, endpoint.Options{}, request(tt.host, false))
		if s.Account != tt.account || s.Region != tt.region {
			t.Errorf("host %q: registry %q in %q, want %q in %q", tt.host, s.Account, s.Region, tt.account, tt.region)
		}
	}
}

func TestRepositoryURI(t *testing.T) {
	const aws = account + ".dkr.ecr." + region
	tests := []struct {
		style      endpoint.Style
		host, want string
	}{
		{"", "localhost:5000", "localhost:5000"},
		{endpoint.StyleRequest, "localhost:5000", "localhost:5000"},
		{endpoint.StyleRequest, "[::1]:5000", "[::1]:5000"},
		{endpoint.StyleRequest, "evil.example", "berth.example:8443"},
		{endpoint.StyleRequest, "api.ecr.eu-west-1.amazonaws.com", aws + ".amazonaws.com"},
		{endpoint.StyleRequest, "api.ecr.eu-west-1.amazonaws.com:5000", aws + ".amazonaws.com:5000"},
		{endpoint.StyleRequest, "api.ecr.amazonaws.com", aws + ".amazonaws.com"},
		{endpoint.StyleRequest, "api.ecr.cn-north-1.amazonaws.com.cn", aws + ".amazonaws.com"},
		{endpoint.StyleRequest, "ecr.eu-west-1.api.aws", aws + ".amazonaws.com"},
		{endpoint.StyleRequest, "api.ecr.eu-west-1.localhost:5000", aws + ".localhost:5000"},
		{endpoint.StyleRequest, "api.ecr.eu-west-1.berth.example", aws + ".berth.example"},
		{endpoint.StyleRequest, "000000000000.dkr.ecr.us-east-1.localhost:5000", aws + ".localhost:5000"},
		{endpoint.StyleRequest, "000000000000.dkr.ecr.us-east-1.amazonaws.com", aws + ".amazonaws.com"},
		{endpoint.StyleRequest, "000000000000.dkr.ecr-fips.us-east-1.amazonaws.com", account + ".dkr.ecr-fips." + region + ".amazonaws.com"},
		{endpoint.StyleRequest, "000000000000.dkr-ecr.us-east-1.on.aws", account + ".dkr-ecr." + region + ".on.aws"},

		{endpoint.StyleExternal, "localhost:5000", "berth.example:8443"},
		{endpoint.StyleExternal, "api.ecr.eu-west-1.amazonaws.com", "berth.example:8443"},

		{endpoint.StyleHostname, "localhost:5001", aws + ".localhost:5001"},
		{endpoint.StyleHostname, "localhost", aws + ".localhost"},
		{endpoint.StyleHostname, "api.ecr.eu-west-1.amazonaws.com:5001", aws + ".localhost:5001"},
		{endpoint.StyleHostname, "api.ecr.eu-west-1.amazonaws.com", aws + ".localhost:5000"},
		{endpoint.StyleHostname, "evil.example:6000", aws + ".localhost:5000"},

		{endpoint.StylePath, "localhost:5000", "localhost:5000/" + account + "/" + region},
		{endpoint.StylePath, "evil.example", "berth.example:8443/" + account + "/" + region},
		{endpoint.StylePath, "000000000000.dkr.ecr.us-east-1.localhost:5000", aws + ".localhost:5000"},

		{endpoint.StyleAWS, "localhost:5000", aws + ".amazonaws.com"},
		{endpoint.StyleAWS, "000000000000.dkr.ecr.us-east-1.localhost:5000", aws + ".amazonaws.com"},
	}
	for _, tt := range tests {
		o := endpoint.Options{Style: tt.style, External: "https://berth.example:8443", Listen: "0.0.0.0:5000"}
		got := site(t, o, request(tt.host, false)).RepositoryURI(account, region, "team/app")
		if want := tt.want + "/team/app"; got != want {
			t.Errorf("style %q at %q: RepositoryURI = %q, want %q", tt.style, tt.host, got, want)
		}
	}
}

func TestRegistriesOfOtherPartitionsHaveTheirSuffix(t *testing.T) {
	at := site(t, endpoint.Options{}, request("api.ecr.us-east-1.amazonaws.com", true))
	if got, want := at.RepositoryURI(account, "cn-north-1", "a"), account+".dkr.ecr.cn-north-1.amazonaws.com.cn/a"; got != want {
		t.Errorf("RepositoryURI = %q, want %q", got, want)
	}
	if got, want := at.ProxyEndpoint(account, "cn-north-1", true), "https://"+account+".dkr.ecr.cn-north-1.amazonaws.com.cn"; got != want {
		t.Errorf("ProxyEndpoint = %q, want %q", got, want)
	}
}

func TestProxyEndpoint(t *testing.T) {
	const aws = account + ".dkr.ecr." + region
	tests := []struct {
		style       endpoint.Style
		host        string
		byTLS       bool
		want, named string
	}{
		{"", "localhost:5000", false, "http://localhost:5000", "https://" + aws + ".amazonaws.com"},
		{"", "localhost:5000", true, "https://localhost:5000", "https://" + aws + ".amazonaws.com"},
		{"", "evil.example", false, "http://127.0.0.1:5000", "https://" + aws + ".amazonaws.com"},
		{"", "api.ecr.eu-west-1.amazonaws.com", true, "https://" + aws + ".amazonaws.com", "https://" + aws + ".amazonaws.com"},
		{"", "api.ecr.amazonaws.com:5000", false, "https://" + aws + ".amazonaws.com:5000", "https://" + aws + ".amazonaws.com:5000"},
		{"", "ecr.eu-west-1.api.aws", false, "https://" + aws + ".amazonaws.com", "https://" + aws + ".amazonaws.com"},
		{"", "api.ecr.eu-west-1.localhost:5000", false, "https://" + aws + ".localhost:5000", "https://" + aws + ".amazonaws.com"},
		{"", "000000000000.dkr.ecr.us-east-1.berth.example", false, "https://" + aws + ".berth.example", "https://" + aws + ".amazonaws.com"},
		{endpoint.StyleHostname, "localhost:5000", false, "http://" + aws + ".localhost:5000", "https://" + aws + ".amazonaws.com"},
		{endpoint.StylePath, "localhost:5000", false, "http://localhost:5000", "https://" + aws + ".amazonaws.com"},
		{endpoint.StyleAWS, "localhost:5000", false, "https://" + aws + ".amazonaws.com", "https://" + aws + ".amazonaws.com"},
		{endpoint.StyleAWS, "api.ecr.eu-west-1.localhost:5000", false, "https://" + aws + ".localhost:5000", "https://" + aws + ".amazonaws.com"},
	}
	for _, tt := range tests {
		s := site(t, endpoint.Options{Style: tt.style}, request(tt.host, tt.byTLS))
		if got := s.ProxyEndpoint(account, region, false); got != tt.want {
			t.Errorf("style %q at %q: ProxyEndpoint = %q, want %q", tt.style, tt.host, got, tt.want)
		}
		if got := s.ProxyEndpoint(account, region, true); got != tt.named {
			t.Errorf("style %q at %q: ProxyEndpoint, named = %q, want %q", tt.style, tt.host, got, tt.named)
		}
	}
	o := endpoint.Options{Style: endpoint.StyleExternal, External: "https://berth.example"}
	if got := site(t, o, request("localhost:5000", false)).ProxyEndpoint(account, region, false); got != "https://berth.example" {
		t.Errorf("style external: ProxyEndpoint = %q", got)
	}
}

// helpers is what Amazon's credential helper takes for an ECR host, after it
// has taken scheme and port off.
var helpers = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws)$`)

func TestNamedProxyEndpointSuitsHelpers(t *testing.T) {
	scheme, port := regexp.MustCompile(`^https://`), regexp.MustCompile(`:\d+$`)
	for _, host := range []string{"localhost:5000", "evil.example", "api.ecr.eu-west-1.localhost:5000", "ecr.eu-west-1.api.aws:80", "000000000000.dkr-ecr.eu-west-1.on.aws"} {
		got := site(t, endpoint.Options{}, request(host, false)).ProxyEndpoint(account, region, true)
		if name := port.ReplaceAllString(scheme.ReplaceAllString(got, ""), ""); !scheme.MatchString(got) || !helpers.MatchString(name) {
			t.Errorf("host %q: ProxyEndpoint = %q, which the helper refuses", host, got)
		}
	}
}

func FuzzSite(f *testing.F) {
	for _, host := range append(strangers, "localhost:5000", "api.ecr.us-east-1.amazonaws.com:5000", "000000000000.dkr-ecr.us-east-1.on.aws") {
		f.Add(host, false)
	}
	address := `([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?`
	uri := regexp.MustCompile(`^` + address + `/(` + account + `/` + region + `/)?team/app$`)
	absolute := regexp.MustCompile(`^https?://` + address + `$`)
	var all []*endpoint.Names
	for _, style := range []endpoint.Style{endpoint.StyleRequest, endpoint.StyleHostname, endpoint.StylePath, endpoint.StyleAWS} {
		all = append(all, names(f, endpoint.Options{Style: style}))
	}
	f.Fuzz(func(t *testing.T, host string, named bool) {
		for _, n := range all {
			s, err := n.Site(request(host, false))
			if err != nil {
				t.Fatalf("host %q: %v", host, err)
			}
			if got := s.RepositoryURI(account, region, "team/app"); !uri.MatchString(got) {
				t.Errorf("host %q: RepositoryURI = %q", host, got)
			}
			for _, got := range []string{s.ProxyEndpoint(account, region, named), s.AbsoluteURL("")} {
				if !absolute.MatchString(got) {
					t.Errorf("host %q: printed %q", host, got)
				}
			}
			if got := s.URL(""); got != "" && got != s.AbsoluteURL("") {
				t.Errorf("host %q: URL = %q, AbsoluteURL = %q", host, got, s.AbsoluteURL(""))
			}
		}
	})
}
