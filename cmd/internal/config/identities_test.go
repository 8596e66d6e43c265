package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

func TestIdentities(t *testing.T) {
	name := file(t, `
accounts:
  "123456789012":
    users:
      alice: {groups: [builders], tags: {team: red}, password-life: 24h, boundary: most}
    groups:
      builders:
        policies: [AmazonEC2ContainerRegistryReadOnly, most, "arn:aws:iam::123456789012:policy/x/y"]
        inline: {one: '{"Statement":[]}'}
    roles:
      deploy:
        trust: {Version: "2012-10-17", Statement: [{Effect: Allow}]}
        max-session: 2h
    policies:
      most:
        Version: "2012-10-17"
    providers:
      https://issuer.example: [berth]
`)["config"]
	got, err := config.LoadIdentities(name)
	want := &accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{"123456789012": {
		Users: map[string]accounts.DeclaredUser{"alice": {
			Groups: []string{"builders"}, Inline: map[string]string{}, Boundary: "arn:aws:iam::123456789012:policy/most",
			Tags: map[string]string{"team": "red"}, PasswordLife: 24 * time.Hour,
		}},
		Groups: map[string]accounts.DeclaredGroup{"builders": {
			Inline: map[string]string{"one": `{"Statement":[]}`},
			Attached: []string{
				"arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly", "arn:aws:iam::123456789012:policy/most", "arn:aws:iam::123456789012:policy/x/y",
			},
		}},
		Roles: map[string]accounts.DeclaredRole{"deploy": {
			Trust: `{"Statement":[{"Effect":"Allow"}],"Version":"2012-10-17"}`, MaxSession: 2 * time.Hour, Inline: map[string]string{},
		}},
		Policies:  map[string]string{"most": `{"Version":"2012-10-17"}`},
		Providers: map[string][]string{"https://issuer.example": {"berth"}},
	}}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if none, err := config.LoadIdentities(""); none != nil || err != nil {
		t.Errorf("%+v, %v", none, err)
	}
}

func TestBadIdentities(t *testing.T) {
	for text, want := range map[string]string{
		"acounts: {}\n":                                      "acounts",
		"accounts: {a: {}, a: {}}\n":                         "a",
		"accounts: {a: {users: {b: {polices: [x]}}}}\n":      "polices",
		"accounts: {a: {users: {b: {password-life: long}}}}": "long",
		"accounts: [\n":                                      "",
	} {
		if _, err := config.LoadIdentities(file(t, text)["config"]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := config.LoadIdentities("/nonexistent/identities.yml"); err == nil {
		t.Error("a file that is not there was read")
	}
}
