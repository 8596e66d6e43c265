package ociapi_test

import (
	"net/http"
	"net/netip"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// from has a request come from an address.
func from(ip string) option {
	return func(r *http.Request) {
		*r = *r.WithContext(auth.WithRequest(r.Context(), auth.Request{SourceIP: netip.MustParseAddr(ip)}))
	}
}

func TestGuessesHaveToWait(t *testing.T) {
	for _, compat := range []ociapi.Compat{ociapi.OCI, ociapi.ECR} {
		d := build(t, func(s *setup) { s.guard, s.compat = throttle.NewGuard(2, nil), compat })
		guess := func(ip string) answer {
			return d.do("GET", "/v2/", from(ip), func(r *http.Request) { r.SetBasicAuth("somebody", "a guess") })
		}
		d.unchanged(func() {
			for range 2 {
				if a := guess("192.0.2.1"); a.status != 401 && a.status != 400 {
					t.Errorf("compat %s: %d %s", compat, a.status, a.body)
				}
			}
			a := guess("192.0.2.1")
			want(t, a, 429, "TOOMANYREQUESTS")
			wantHeader(t, a, "Retry-After", "30", "Www-Authenticate", "")
			if a := guess("192.0.2.2"); a.status == 429 {
				t.Errorf("compat %s, from elsewhere: %d %s", compat, a.status, a.body)
			}
		})
		want(t, d.do("GET", "/v2/", from("192.0.2.1")), 200, "")
	}
}

func TestAnonymousReadsAreBounded(t *testing.T) {
	d := build(t, func(s *setup) {
		s.authorizer, s.anonymous, s.names.Account = nobodyReads("team/open"), true, account
		s.reads = throttle.NewAddresses("anonymous read", 3, nil)
	})
	d.create("team/open")
	layer := "/v2/team/open/blobs/" + d.push("team/open", "bytes").Digest.String()
	d.unchanged(func() {
		want(t, d.do("GET", layer, as(""), from("192.0.2.1")), 200, "")
		want(t, d.do("GET", layer, as(""), from("192.0.2.1")), 200, "")
		want(t, d.do("GET", "/v2/team/none/manifests/v1", as(""), from("192.0.2.1")), 401, "UNAUTHORIZED") // is looked up too
		a := d.do("GET", layer, as(""), from("192.0.2.1"))
		want(t, a, 429, "TOOMANYREQUESTS")
		wantHeader(t, a, "Retry-After", "20")
		want(t, d.do("GET", layer, as(""), from("192.0.2.2")), 200, "")
		want(t, d.do("GET", layer, from("192.0.2.1")), 200, "")                      // with credentials
		want(t, d.do("GET", "/v2/", as(""), from("192.0.2.1")), 401, "UNAUTHORIZED") // how to log in is told all
	})
}
