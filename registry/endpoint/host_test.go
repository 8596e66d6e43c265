package endpoint_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestParseHost(t *testing.T) {
	const account = "123456789012"
	registry := func(region, suffix string) endpoint.Host {
		return endpoint.Host{Kind: endpoint.Registry, Account: account, Region: region, Suffix: suffix}
	}
	api := func(region, suffix string) endpoint.Host {
		return endpoint.Host{Kind: endpoint.API, Region: region, Suffix: suffix}
	}
	sts := func(region, suffix string) endpoint.Host {
		return endpoint.Host{Kind: endpoint.STS, Region: region, Suffix: suffix}
	}
	other := endpoint.Host{}
	tests := []struct {
		host string
		want endpoint.Host
	}{
		{"123456789012.dkr.ecr.us-east-1.amazonaws.com", registry("us-east-1", "amazonaws.com")},
		{"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", registry("cn-north-1", "amazonaws.com.cn")},
		{"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", registry("us-gov-west-1", "amazonaws.com")},
		{"123456789012.dkr-ecr.us-east-1.on.aws", registry("us-east-1", "on.aws")},
		{"123456789012.dkr-ecr-fips.us-east-1.on.aws:443", registry("us-east-1", "on.aws")},
		{"123456789012.dkr.ecr.eu-west-1.localhost:5000", registry("eu-west-1", "localhost")},
		{"123456789012.dkr.ecr.home.berth.example", registry("home", "berth.example")},
		{"123456789012.DKR.ECR.US-EAST-1.AmazonAWS.com.:5000", registry("us-east-1", "amazonaws.com")},
		{"123456789012.dkr.ecr.us-east-1", other},
		{"123456789012.dkr.ecr.us-east-1.", other},
		{"12345678901.dkr.ecr.us-east-1.amazonaws.com", other},
		{"1234567890123.dkr.ecr.us-east-1.amazonaws.com", other},
		{"123456789012.dkrxecr.us-east-1.amazonaws.com", other},
		{"123456789012.dkr.ecr.us_east_1.amazonaws.com", other},
		{"123456789012.d\u212ar.ecr.us-east-1.localhost", other}, // Kelvin sign
		{"x.123456789012.dkr.ecr.us-east-1.amazonaws.com", other},

		{"api.ecr.us-east-1.amazonaws.com", api("us-east-1", "amazonaws.com")},
		{"api.ecr-fips.us-gov-east-1.amazonaws.com", api("us-gov-east-1", "amazonaws.com")},
		{"api.ecr.eu-central-1.localhost:5000", api("eu-central-1", "localhost")},
		{"ecr.us-west-2.amazonaws.com", api("us-west-2", "amazonaws.com")},
		{"ecr-fips.us-west-2.api.aws", api("us-west-2", "api.aws")},
		{"ecr.cn-north-1.api.amazonwebservices.com.cn", api("cn-north-1", "api.amazonwebservices.com.cn")},
		{"ecr.eusc-de-east-1.amazonaws.eu", api("eusc-de-east-1", "amazonaws.eu")},
		{"api.ecr.amazonaws.com", api("", "amazonaws.com")},
		{"api.ecr.localhost:5000", api("", "localhost")},
		{"ecr.example.com", other},
		{"api.ecr.example.com", other},
		{"ecr.us-east-1", other},
		{"ecr.amazonaws.com", other},
		{"ecr.my-host-1x.example.com", other},

		{"sts.amazonaws.com", sts("", "amazonaws.com")},
		{"sts.amazonaws.com.cn", sts("", "amazonaws.com.cn")},
		{"sts.eu-west-3.amazonaws.com", sts("eu-west-3", "amazonaws.com")},
		{"sts-fips.us-east-1.amazonaws.com", sts("us-east-1", "amazonaws.com")},
		{"sts.us-east-1.api.aws", sts("us-east-1", "api.aws")},
		{"sts.localhost", sts("", "localhost")},
		{"sts.example.com", other},
		{"sts", other},

		{"", other},
		{"localhost:5000", other},
		{"[::1]:5000", other},
		{"api.ecr.us-east-1.amazonaws.com:x", other},
		{"api.ecr.us-east-1.amazonaws.com/x", other},
		{"user@api.ecr.us-east-1.amazonaws.com", other},
		{"api.ecr.us-east-1.amazonaws.com\r\nx: y", other},
		{"api.ecr.us-east-1..amazonaws.com", other},
		{"api.ecr.us-east-1." + strings.Repeat("a.", 150) + "com", other},
	}
	for _, tt := range tests {
		if got := endpoint.ParseHost(tt.host); got != tt.want {
			t.Errorf("ParseHost(%q) = %+v, want %+v", tt.host, got, tt.want)
		}
	}
}

// dnsName is what may stand in a suffix.
var dnsName = regexp.MustCompile(`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`)

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{
		"123456789012.dkr.ecr.us-east-1.amazonaws.com:443", "123456789012.dkr-ecr.us-east-1.on.aws",
		"api.ecr.us-east-1.amazonaws.com.", "ecr-fips.us-west-2.api.aws", "sts.localhost:5000", "[::1]:80", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		h := endpoint.ParseHost(host)
		if h.Kind == endpoint.Other {
			if h != (endpoint.Host{}) {
				t.Errorf("ParseHost(%q) = %+v, want nothing beside Other", host, h)
			}
			return
		}
		if !dnsName.MatchString(h.Suffix) {
			t.Errorf("ParseHost(%q): suffix %q is no DNS name", host, h.Suffix)
		}
		if got := endpoint.ParseHost(strings.ToUpper(host)); got != h {
			t.Errorf("ParseHost(%q) = %+v, in upper case %+v", host, h, got)
		}
		if h.Kind == endpoint.Registry {
			again := endpoint.ParseHost(h.Account + ".dkr.ecr." + h.Region + "." + h.Suffix)
			if again != h {
				t.Errorf("the parts of %q make %+v, want %+v", host, again, h)
			}
		}
	})
}
