package ociapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/throttle"
)

func TestRequestsThatComeTooOften(t *testing.T) {
	d := open(t, func(s *setup) {
		s.throttle = throttle.New(throttle.Rates{"ListImages": {PerSecond: 0.01, Burst: 2}}, nil)
	})
	d.create("team/app")
	for range 2 {
		if a := d.do(http.MethodGet, "/v2/team/app/tags/list"); a.status != http.StatusOK {
			t.Fatalf("within the burst: %d %s", a.status, a.body)
		}
	}
	a := d.do(http.MethodGet, "/v2/team/app/tags/list")
	if a.status != http.StatusTooManyRequests || !strings.Contains(a.body, `"TOOMANYREQUESTS"`) || a.header.Get("Retry-After") != "100" {
		t.Errorf("answered %d %s, Retry-After %q", a.status, a.body, a.header.Get("Retry-After"))
	}
	if a := d.do(http.MethodGet, "/v2/_catalog"); a.status != http.StatusOK {
		t.Errorf("another action: %d %s", a.status, a.body)
	}
	if a := d.do(http.MethodGet, "/v2/team/app/tags/list", as("")); a.status != http.StatusUnauthorized {
		t.Errorf("nobody is answered %d", a.status)
	}
}
