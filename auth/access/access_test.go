package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage/memory"
)

const (
	here  = "123456789012"
	there = "210987654321"
	app   = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// resources are what a registry would say, by ARN.
type resources map[string]auth.Resource

func (r resources) Resource(_ context.Context, arn string) (auth.Resource, error) {
	if arn == "arn:aws:ecr:us-east-1:123456789012:repository/broken" {
		return auth.Resource{}, errors.New("cannot be read")
	}
	return r[arn], nil
}

type fixture struct {
	*access.Authorizer
	store     *accounts.Store
	resources resources
	denials   *access.Denials
}

func setUp(t *testing.T) *fixture {
	t.Helper()
	index := memory.NewIndex()
	t.Cleanup(func() { index.Close() })
	store, err := accounts.Open(t.Context(), accounts.Options{Index: index, SealingKey: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{store: store, resources: resources{}, denials: access.NewDenials(10)}
	f.Authorizer, err = access.New(access.Options{Identities: store, Resources: f.resources, Now: func() time.Time { return start }, Denials: f.denials})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// user is a user of an account with an inline policy, "" for none.
func (f *fixture) user(t *testing.T, account, name, text string) auth.Principal {
	t.Helper()
	u, err := f.store.CreateUser(t.Context(), account, accounts.NewUser{Name: name, Tags: map[string]string{"Team": "red"}})
	if err == nil && text != "" {
		err = f.store.PutInline(t.Context(), accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: name}, "own", text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return auth.Principal{Account: account, ARN: u.ARN, UserID: u.ID, KeyID: "AKIA" + name, Region: "us-east-1", Kind: auth.User, Name: name}
}

func root(account string) auth.Principal {
	return auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, Region: "us-east-1", Kind: auth.Root}
}

func statement(effect, action, more string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":%q,"Action":%q,"Resource":"*"%s}]}`, effect, action, more)
}

// on gives a resource a policy.
func (f *fixture) on(t *testing.T, arn, text string, tags map[string]string) {
	t.Helper()
	d, err := policy.ParseRepository(text, "aws")
	if err != nil {
		t.Fatal(err)
	}
	f.resources[arn] = auth.Resource{Policies: []policy.Attached{{Name: "repository policy of " + arn, Document: d}}, Tags: tags}
}

func put(p auth.Principal, account string) auth.Check {
	return auth.Check{Principal: p, Action: "ecr:PutImage", Resource: app, Account: account}
}

func TestWhoMay(t *testing.T) {
	f := setUp(t)
	f.on(t, app, `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"210987654321"},"Action":"ecr:*"}]}`, nil)
	allows := statement("Allow", "ecr:*", "")
	for what, tt := range map[string]struct {
		by   auth.Principal
		want string // what the denial ends with, "" for none
	}{
		"root":                   {root(here), ""},
		"a user with a right":    {f.user(t, here, "alice", allows), ""},
		"a user without":         {f.user(t, here, "bob", ""), "because no identity-based policy allows the ecr:PutImage action"},
		"a user who is denied":   {f.user(t, here, "carol", statement("Deny", "ecr:Put*", "")), "with an explicit deny in an identity-based policy"},
		"a foreigner with both":  {f.user(t, there, "dora", allows), ""},
		"a foreigner with one":   {f.user(t, there, "emil", ""), "because no identity-based policy allows the ecr:PutImage action"},
		"a foreigner with other": {f.user(t, "111122223333", "fred", allows), "because no resource-based policy allows the ecr:PutImage action"},
		"somebody who is gone":   {auth.Principal{Account: here, ARN: "arn:aws:iam::123456789012:user/gone", Kind: auth.User, Name: "gone"}, "because no identity-based policy allows the ecr:PutImage action"},
		"nobody":                 {auth.Nobody("us-east-1"), "allows the ecr:PutImage action"},
	} {
		err := f.Authorize(t.Context(), put(tt.by, here))
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		var denied *auth.Denied
		if !errors.As(err, &denied) || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", what, err, tt.want)
		}
	}
}

func TestFaults(t *testing.T) {
	f := setUp(t)
	c := put(root(here), here)
	c.Resource = "arn:aws:ecr:us-east-1:123456789012:repository/broken"
	err := f.Authorize(t.Context(), c)
	var denied *auth.Denied
	if err == nil || errors.As(err, &denied) {
		t.Errorf("what cannot be looked up: %v", err)
	}
	if _, err := access.New(access.Options{}); err == nil {
		t.Error("an authorizer of nothing")
	}
}

// A registry password is nobody's to give by a policy of a resource.
func TestRegistryPasswordsAreOfIdentities(t *testing.T) {
	f := setUp(t)
	f.on(t, "arn:aws:ecr:us-east-1:123456789012:repository/*", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`, nil)
	bob := f.user(t, here, "bob", statement("Allow", "ecr:*", ""))
	c := auth.Check{Principal: bob, Action: "ecr:GetAuthorizationToken", Resource: "*", Account: here}
	if err := f.Authorize(t.Context(), c); err != nil {
		t.Error(err)
	}
	c.Action = "ecr:DescribeRegistry"
	if err := f.Authorize(t.Context(), c); err == nil {
		t.Error("the registry's policy does not bear on the registry")
	}
}

func TestScopes(t *testing.T) {
	f := setUp(t)
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, tt := range []struct {
		scope  auth.Scope
		action string
		from   string
		want   bool
	}{
		{auth.Scope{}, "ecr:PutImage", "192.0.2.1", true},
		{auth.Scope{Actions: []string{"pull"}}, "ecr:BatchGetImage", "192.0.2.1", true},
		{auth.Scope{Actions: []string{"pull"}}, "ecr:PutImage", "192.0.2.1", false},
		{auth.Scope{Actions: []string{"push"}}, "ecr:PutImage", "192.0.2.1", true},
		{auth.Scope{Actions: []string{"push"}}, "ecr:BatchDeleteImage", "192.0.2.1", false},
		{auth.Scope{Actions: []string{"pull", "delete"}}, "ecr:BatchDeleteImage", "192.0.2.1", true},
		{auth.Scope{Actions: []string{"ecr:Put*"}}, "ecr:PutImage", "192.0.2.1", true},
		{auth.Scope{Repositories: []string{"team/*"}}, "ecr:PutImage", "192.0.2.1", true},
		{auth.Scope{Repositories: []string{"team", "other/*"}}, "ecr:PutImage", "192.0.2.1", false},
		{auth.Scope{Actions: []string{"push"}, Repositories: []string{"other"}}, "signer:SignPayload", "192.0.2.1", true},
		{auth.Scope{Actions: []string{"pull"}}, "signer:SignPayload", "192.0.2.1", false},
		{auth.Scope{Actions: []string{"signer:*"}}, "signer:SignPayload", "192.0.2.1", true},
		{auth.Scope{Networks: networks}, "signer:SignPayload", "192.0.2.1", false},
		{auth.Scope{Networks: networks}, "ecr:PutImage", "10.1.2.3", true},
		{auth.Scope{Networks: networks}, "ecr:PutImage", "192.0.2.1", false},
		{auth.Scope{Networks: networks}, "ecr:PutImage", "", false},
	} {
		p := root(here)
		p.Scope = &tt.scope
		var r auth.Request
		if tt.from != "" {
			r.SourceIP = netip.MustParseAddr(tt.from)
		}
		c := put(p, here)
		c.Action = tt.action
		if err := f.Authorize(auth.WithRequest(t.Context(), r), c); (err == nil) != tt.want {
			t.Errorf("%+v: %s from %s: %v", tt.scope, tt.action, tt.from, err)
		}
	}
	for word, want := range map[string]bool{"pull": true, "push": true, "delete": true, "ecr:PutImage": true, "ecr:Get*": true, "write": false, "s3:GetObject": false} {
		if access.KnowsScopeAction(word) != want {
			t.Errorf("%s is known: %t", word, !want)
		}
	}
}

func TestDenialsAreHeld(t *testing.T) {
	f := setUp(t)
	bob := f.user(t, here, "bob", "")
	var denied *auth.Denied
	for range 3 {
		if !errors.As(f.Authorize(t.Context(), put(bob, here)), &denied) || len(denied.Code) != 8 {
			t.Fatalf("%+v", denied)
		}
	}
	held, ok := f.denials.Find(strings.ToLower(denied.Code))
	if !ok || held.Count != 3 || held.Check.Principal != bob || held.Error() != denied.Error() {
		t.Errorf("%+v", held)
	}
	for i := range 100 {
		c := put(bob, here)
		c.Resource = fmt.Sprint(app, i)
		_ = f.Authorize(t.Context(), c)
	}
	if list := f.denials.Latest(100); len(list) > 10 || len(list) < 5 {
		t.Errorf("%d denials are held, of at most 10", len(list))
	}
	if _, ok := f.denials.Find(denied.Code); ok {
		t.Error("the oldest is still there")
	}
}

func TestExplain(t *testing.T) {
	f := setUp(t)
	f.on(t, app, `{"Statement":[{"Sid":"NoPush","Effect":"Deny","Principal":"*","Action":"ecr:PutImage"}]}`, nil)
	e, err := f.Explain(t.Context(), put(f.user(t, here, "bob", ""), here))
	if err != nil || e.Allowed || e.Verdict.Sid != "NoPush" || len(e.Remedies) != 2 || len(e.Policies) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if !strings.Contains(e.Sentence, "with an explicit deny in a resource-based policy") {
		t.Errorf("%s", e.Sentence)
	}
	if e, err = f.Explain(t.Context(), auth.Check{Principal: root(here), Action: "ecr:BatchGetImage", Resource: app, Account: here}); err != nil || !e.Allowed || e.Remedies != nil {
		t.Errorf("%+v, %v", e, err)
	}
	if f.denials.Latest(1) != nil {
		t.Error("to explain is to deny")
	}
}

func BenchmarkAuthorize(b *testing.B) {
	index := memory.NewIndex()
	defer index.Close()
	store, err := accounts.Open(b.Context(), accounts.Options{Index: index, SealingKey: bytes.Repeat([]byte{1}, 32)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := store.CreateUser(b.Context(), here, accounts.NewUser{Name: "alice"}); err != nil {
		b.Fatal(err)
	}
	holder := accounts.Holder{Account: here, Kind: accounts.HolderUser, Name: "alice"}
	if err := store.PutInline(b.Context(), holder, "own", statement("Allow", "ecr:*", "")); err != nil {
		b.Fatal(err)
	}
	a, err := access.New(access.Options{Identities: store, Resources: resources{}})
	if err != nil {
		b.Fatal(err)
	}
	c := put(auth.Principal{Account: here, ARN: "arn:aws:iam::123456789012:user/alice", Region: "us-east-1", Kind: auth.User, Name: "alice"}, here)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.Authorize(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// Who could not do it anyway is not told that the repository's policy denies it, nor by
// the code.
func TestADenialTellsNothingOfTheRepository(t *testing.T) {
	f := setUp(t)
	f.on(t, app, `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*"}]}`, nil)
	for name, tt := range map[string]struct {
		who  auth.Principal
		want string
	}{
		"no rights":                     {f.user(t, here, "bob", ""), "because no identity-based policy allows the ecr:PutImage action"},
		"another account":               {f.user(t, there, "eve", statement("Allow", "ecr:*", "")), "because no resource-based policy allows the ecr:PutImage action"},
		"another account, no rights":    {f.user(t, there, "mallory", ""), "because no identity-based policy allows the ecr:PutImage action"},
		"denied by a policy of his own": {f.user(t, here, "carol", statement("Deny", "ecr:*", "")), "with an explicit deny in an identity-based policy"},
		"rights":                        {f.user(t, here, "alice", statement("Allow", "ecr:*", "")), "with an explicit deny in a resource-based policy"},
		"root":                          {root(here), "with an explicit deny in a resource-based policy"},
	} {
		var denied *auth.Denied
		if !errors.As(f.Authorize(t.Context(), put(tt.who, here)), &denied) || denied.Reason != tt.want {
			t.Errorf("%s: %+v, want %s", name, denied, tt.want)
		} else if !denied.Verdict.Explicit {
			t.Errorf("%s: an administrator is not told of the statement", name)
		}
	}
}
