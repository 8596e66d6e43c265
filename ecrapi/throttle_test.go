package ecrapi_test

import (
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/throttle"
)

func TestRequestsThatComeTooOften(t *testing.T) {
	b := open(t, func(s *setup) {
		s.api.Throttle = throttle.New(throttle.Rates{"DescribeRepositories": {PerSecond: 0.01, Burst: 2}}, nil)
	})
	for range 2 {
		b.call("DescribeRepositories", obj{})
	}
	b.refused("DescribeRepositories", obj{}, "ThrottlingException", "Rate exceeded")
	b.call("DescribeRegistry", obj{})
}

func TestGuessesHaveToWait(t *testing.T) {
	b := open(t, func(s *setup) { s.guard = throttle.NewGuard(2, nil) })
	ask := func(ip, secret string) any {
		w := httptest.NewRecorder()
		ctx := auth.WithRequest(b.Context(), auth.Request{SourceIP: netip.MustParseAddr(ip)})
		b.api.ServeHTTP(w, request{target: targetPrefix + "DescribeRegistry", body: "{}", secret: secret}.make(ctx))
		return b.decode(w.Body.Bytes())["__type"]
	}
	for i := range 10 {
		if got := ask("192.0.2.1", "a guess"); got != "InvalidSignatureException" {
			t.Errorf("guess %d: %v", i, got)
		}
	}
	for _, try := range []struct {
		ip, secret string
		want       any
	}{
		{"192.0.2.1", "one more", "ThrottlingException"},
		{"192.0.2.1", "secret-of-here", "ThrottlingException"},
		{"192.0.2.2", "secret-of-here", nil},
	} {
		if got := ask(try.ip, try.secret); got != try.want {
			t.Errorf("%s from %s: %v, want %v", try.secret, try.ip, got, try.want)
		}
	}
}
