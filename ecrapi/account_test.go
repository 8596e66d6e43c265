package ecrapi_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/endpoint"
)

func TestGetAuthorizationToken(t *testing.T) {
	b := open(t)
	data := b.call("GetAuthorizationToken", obj{})["authorizationData"].(arr)
	if len(data) != 1 {
		t.Fatalf("%d tokens, want 1", len(data))
	}
	plain, err := base64.StdEncoding.DecodeString(data[0].(obj)["authorizationToken"].(string))
	b.must(err)
	user, password, _ := strings.Cut(string(plain), ":")
	if user != "AWS" || strings.Contains(password, ":") || len(password) > 2<<10 {
		t.Errorf("user %q and a password of %d bytes", user, len(password))
	}
	by, err := b.verifier.Basic(t.Context(), user, password)
	if err != nil || by.Account != account || by.Region != region || by.KeyID != "AKIAHERE" {
		t.Errorf("the password is %+v's: %v", by, err)
	}
	life := time.Until(time.Unix(int64(data[0].(obj)["expiresAt"].(float64)), 0))
	if life < 12*time.Hour-time.Minute || life > 12*time.Hour {
		t.Errorf("it lives for %v", life)
	}
}

func TestPasswordsAreOfTheRegionThatIsAsked(t *testing.T) {
	b := open(t)
	w := b.send(request{target: targetPrefix + "GetAuthorizationToken", host: "api.ecr.eu-west-1.localhost:5000"})
	data := b.decode(w.Body.Bytes())["authorizationData"].(arr)[0].(obj)
	plain, err := base64.StdEncoding.DecodeString(data["authorizationToken"].(string))
	b.must(err)
	by, err := b.verifier.Basic(t.Context(), "AWS", strings.TrimPrefix(string(plain), "AWS:"))
	if err != nil || by.Region != "eu-west-1" {
		t.Errorf("the password is of %s: %v", by.Region, err)
	}
}

func TestProxyEndpoints(t *testing.T) {
	tests := []struct {
		style endpoint.Style
		host  string
		ids   arr
		want  arr
	}{
		{"", "localhost:5000", nil, arr{"http://localhost:5000"}},
		{endpoint.StyleHostname, "localhost:5000", nil, arr{"http://000000000000.dkr.ecr.us-east-1.localhost:5000"}},
		{"", "api.ecr.us-east-1.localhost:5000", nil, arr{"https://000000000000.dkr.ecr.us-east-1.localhost:5000"}},
		{"", "localhost:5000", arr{other, account, other}, arr{
			"https://111111111111.dkr.ecr.us-east-1.amazonaws.com", "https://000000000000.dkr.ecr.us-east-1.amazonaws.com",
			"https://111111111111.dkr.ecr.us-east-1.amazonaws.com"}},
	}
	for _, tt := range tests {
		b := open(t, func(s *setup) { s.names.Style = tt.style })
		in := obj{}
		if tt.ids != nil {
			in["registryIds"] = tt.ids
		}
		w := b.send(request{target: targetPrefix + "GetAuthorizationToken", host: tt.host, body: b.encode(in)})
		var got arr
		for _, d := range b.decode(w.Body.Bytes())["authorizationData"].(arr) {
			got = append(got, d.(obj)["proxyEndpoint"])
		}
		b.same(tt.host, got, tt.want)
	}
}

func TestTokensForTenRegistries(t *testing.T) {
	b := open(t)
	ids := arr{}
	for range 10 {
		ids = append(ids, account)
	}
	if n := len(b.call("GetAuthorizationToken", obj{"registryIds": ids})["authorizationData"].(arr)); n != 10 {
		t.Errorf("%d tokens, want 10", n)
	}
}
