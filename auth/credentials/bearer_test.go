package credentials_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/token"
)

const service = "localhost:5000"

var grants = []token.Grant{{Type: "repository", Name: "team/app", Actions: []string{"pull"}}}

// A bearer token stands for the same as what it was got with, with all that narrows it.
func TestBearerStandsForTheSame(t *testing.T) {
	f := setUp(t)
	f.Verifier = f.verifier(t, func(o *credentials.Options) { o.Home = account })
	f.SetForms(allForms)
	key := f.alice(t)
	robot, secret := f.robot(t)
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/alice"},"Action":"sts:AssumeRole"}]}`
	if _, err := f.accounts.CreateRole(t.Context(), account, accounts.NewRole{Name: "deploy", Trust: trust}); err != nil {
		t.Fatal(err)
	}
	const limits = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}}`
	alice := f.key
	alice.ID, alice.Secret = key.ID, key.Secret.Reveal()
	by, err := f.signed(t, alice, "{}")
	if err != nil {
		t.Fatal(err)
	}
	session, err := f.AssumeRole(t.Context(), by, credentials.RoleRequest{
		Role: "arn:aws:iam::" + account + ":role/deploy", Name: "night", Policy: limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	role := f.key
	role.ID, role.Secret, role.Token = session.KeyID, session.Secret.Reveal(), session.Token
	who, err := f.signed(t, role, "{}")
	if err != nil {
		t.Fatal(err)
	}
	ofRole, _, err := f.Password(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	scoped, _, err := f.PasswordFor(t.Context(), credentials.PasswordRequest{
		Account: account, User: "alice", Region: "us-east-1", Scope: &auth.Scope{Repositories: []string{"team/*"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range [][2]string{
		{"AWS", f.passwordOf(t, key, "alice")}, {"AWS", ofRole}, {"AWS", scoped}, {key.ID, key.Secret.Reveal()}, {robot, secret}, {"alice", "correct horse"},
	} {
		want, err := f.Basic(t.Context(), shown[0], shown[1])
		if err != nil {
			t.Fatal(err)
		}
		b, err := f.IssueBearer(t.Context(), credentials.BearerRequest{Name: shown[0], Password: shown[1], Service: service, Grants: grants})
		if err != nil || b.Expires.Sub(b.Issued) != 5*time.Minute {
			t.Fatalf("%s: %v to %v, %v", shown[0], b.Issued, b.Expires, err)
		}
		got, list, err := f.Bearer(t.Context(), b.Token, service)
		if diff := cmp.Diff(want, got); err != nil || diff != "" || !cmp.Equal(list, grants) {
			t.Errorf("%s: %v, %v (-basic +bearer):\n%s", shown[0], err, list, diff)
		}
		if shown[1] == ofRole && !got.Session.Limited() || shown[1] == scoped && got.Scope == nil {
			t.Errorf("%+v is not limited", got)
		}
	}
}

func TestBearerIsRefused(t *testing.T) {
	f := setUp(t)
	f.SetForms(allForms)
	nobody, err := f.IssueBearer(t.Context(), credentials.BearerRequest{Nobody: true, Service: service})
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := f.Bearer(t.Context(), nobody.Token, service); err != nil || p != auth.Nobody("") {
		t.Errorf("nobody: %+v, %v", p, err)
	}
	if _, _, err := f.Bearer(t.Context(), nobody.Token, "elsewhere"); !errors.Is(err, credentials.ErrBadBearer) {
		t.Errorf("elsewhere: %v", err)
	}
	if _, err := f.IssueBearer(t.Context(), credentials.BearerRequest{Name: "AWS", Password: nobody.Token, Service: service}); !errors.Is(err, credentials.ErrBadPassword) {
		t.Errorf("got with a token: %v", err)
	}
	if _, _, err := f.Bearer(t.Context(), f.key.Secret, service); !errors.Is(err, credentials.ErrBadBearer) {
		t.Errorf("a secret: %v", err)
	}
	got, err := f.IssueBearer(t.Context(), credentials.BearerRequest{Name: f.key.ID, Password: f.key.Secret, Service: service})
	if err != nil {
		t.Fatal(err)
	}
	f.deleteKey(t)
	if _, _, err := f.Bearer(t.Context(), got.Token, service); !errors.Is(err, credentials.ErrBadBearer) {
		t.Errorf("of a key that is gone: %v", err)
	}
	many := make([]token.Grant, 3000)
	for i := range many {
		many[i] = token.Grant{Type: "repository", Name: time.Duration(i * i * i * 7919).String()}
	}
	_, err = f.IssueBearer(t.Context(), credentials.BearerRequest{Nobody: true, Service: service, Grants: many})
	wantError(t, err, credentials.ValidationError, 400)
}
