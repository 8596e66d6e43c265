package credentials_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
)

var allForms = credentials.Forms{Keys: true, People: true, Robots: true}

// alice makes a user with a password and returns her key.
func (f *fixture) alice(t *testing.T) accounts.Key {
	t.Helper()
	_, err := f.accounts.CreateUser(t.Context(), account, accounts.NewUser{Name: "alice", Password: accounts.NewSecret("correct horse")})
	if err != nil {
		t.Fatal(err)
	}
	key, err := f.accounts.CreateFor(t.Context(), account, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (f *fixture) robot(t *testing.T) (id, secret string) {
	t.Helper()
	r, s, err := f.accounts.CreateRobot(t.Context(), accounts.NewRobot{Account: account, User: "alice", Scope: &auth.Scope{Actions: []string{"pull"}}})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID, s.Reveal()
}

func TestBasicForms(t *testing.T) {
	f := setUp(t)
	v := f.verifier(t, func(o *credentials.Options) { o.Home = account })
	key := f.alice(t)
	robot, robotSecret := f.robot(t)
	for _, tt := range []struct {
		what, name, password string
		forms                credentials.Forms
		want                 string // the principal's name; "" for a refusal
	}{
		{"a key", key.ID, key.Secret.Reveal(), credentials.Forms{Keys: true}, "alice"},
		{"root's key", f.key.ID, f.key.Secret, credentials.Forms{Keys: true}, "root"},
		{"a key where none is taken", key.ID, key.Secret.Reveal(), credentials.Forms{People: true, Robots: true}, ""},
		{"another's secret", key.ID, f.key.Secret, allForms, ""},
		{"no key", "AKIAAAAAAAAAAAAAAAAA", key.Secret.Reveal(), allForms, ""},
		{"a person", "alice", "correct horse", credentials.Forms{People: true}, "alice"},
		{"a person of an account", account + "/alice", "correct horse", allForms, "alice"},
		{"a person again", "alice", "correct horse", allForms, "alice"},
		{"a person where none is taken", "alice", "correct horse", credentials.Forms{Keys: true, Robots: true}, ""},
		{"a person elsewhere", "210987654321/alice", "correct horse", allForms, ""},
		{"a wrong password", "alice", "correct house", allForms, ""},
		{"no password", "alice", "", allForms, ""},
		{"nobody", "bob", "correct horse", allForms, ""},
		{"nothing", "", "", allForms, ""},
		{"a zero byte", "alice\x00", "correct horse", allForms, ""},
		{"a robot and a zero byte", robot + "\x00", robotSecret, allForms, ""},
		{"a very long name", strings.Repeat("a", 5000), "correct horse", allForms, ""},
		{"a very long account", strings.Repeat("1", 5000) + "/alice", "correct horse", allForms, ""},
		{"a very long robot", robot + strings.Repeat("A", 5000), robotSecret, allForms, ""},
		{"a robot", robot, robotSecret, credentials.Forms{Robots: true}, "alice"},
		{"a robot where none is taken", robot, robotSecret, credentials.Forms{Keys: true, People: true}, ""},
		{"a wrong robot", robot, robotSecret + "x", allForms, ""},
		{"the user AWS with a secret", "AWS", key.Secret.Reveal(), allForms, ""},
	} {
		v.SetForms(tt.forms)
		p, err := v.Basic(t.Context(), tt.name, tt.password)
		switch {
		case tt.want == "":
			if !errors.Is(err, credentials.ErrBadPassword) || !p.IsZero() {
				t.Errorf("%s: %+v, %v", tt.what, p, err)
			}
		case err != nil, !strings.HasSuffix(p.ARN, tt.want), p.Account != account, p.Region != "":
			t.Errorf("%s: %+v, %v", tt.what, p, err)
		}
		if (tt.what == "a robot") != (p.Scope != nil) {
			t.Errorf("%s: scope %+v", tt.what, p.Scope)
		}
	}
}

// What opened a moment ago does not, once whose it is has been revoked.
func TestBasicEnds(t *testing.T) {
	yes := true
	for what, end := range map[string]func(f *fixture, key accounts.Key, robot string) error{
		"user disabled": func(f *fixture, _ accounts.Key, _ string) error {
			_, err := f.accounts.UpdateUser(context.Background(), account, "alice", accounts.UserChange{Disabled: &yes})
			return err
		},
		"user deleted": func(f *fixture, _ accounts.Key, _ string) error {
			return f.accounts.DeleteUser(context.Background(), account, "alice")
		},
		"each deleted": func(f *fixture, key accounts.Key, robot string) error {
			none := accounts.NewSecret("")
			_, err := f.accounts.UpdateUser(context.Background(), account, "alice", accounts.UserChange{Password: &none})
			return errors.Join(err, f.accounts.Delete(context.Background(), key.ID), f.accounts.DeleteRobot(context.Background(), robot))
		},
	} {
		f := setUp(t)
		f.SetForms(allForms)
		key := f.alice(t)
		robot, secret := f.robot(t)
		password := f.passwordOf(t, key, "alice")
		shown := map[string]string{key.ID: key.Secret.Reveal(), robot: secret, account + "/alice": "correct horse", "AWS": password}
		for name, secret := range shown {
			if _, err := f.Basic(t.Context(), name, secret); err != nil {
				t.Errorf("%s: %s before: %v", what, name, err)
			}
		}
		if err := end(f, key, robot); err != nil {
			t.Fatal(err)
		}
		for name, secret := range shown {
			if _, err := f.Basic(t.Context(), name, secret); !errors.Is(err, credentials.ErrBadPassword) {
				t.Errorf("%s: %s after: %v", what, name, err)
			}
		}
	}
}

// passwordOf is a registry password of a user's key.
func (f *fixture) passwordOf(t *testing.T, key accounts.Key, name string) string {
	t.Helper()
	p := auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":user/" + name, KeyID: key.ID, Region: "us-east-1", Kind: auth.User, Name: name}
	password, _, err := f.Password(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return password
}

func TestPasswordsOfCommands(t *testing.T) {
	f := setUp(t)
	f.alice(t)
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
	if _, err := f.accounts.CreateRole(t.Context(), account, accounts.NewRole{Name: "deploy", Trust: trust}); err != nil {
		t.Fatal(err)
	}
	scope := &auth.Scope{Repositories: []string{"team/*"}, Actions: []string{"pull"}}
	for what, r := range map[string]credentials.PasswordRequest{
		":user/alice":                {Account: account, User: "alice", Region: "eu-west-1", Scope: scope, Life: time.Hour},
		":assumed-role/deploy/berth": {Account: account, Role: "deploy", Region: "eu-west-1", Scope: scope, Life: time.Hour},
	} {
		password, expires, err := f.PasswordFor(t.Context(), r)
		if err != nil || !expires.Equal(start.Add(time.Hour)) || strings.Contains(password, ":") {
			t.Fatalf("%s: %v, %v", what, expires, err)
		}
		p, err := f.Basic(t.Context(), "AWS", password)
		if err != nil || !strings.HasSuffix(p.ARN, what) || p.Region != "eu-west-1" || p.Scope == nil || p.Scope.Actions[0] != "pull" {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	for what, r := range map[string]credentials.PasswordRequest{
		"nobody":   {Account: account, User: "bob", Region: "eu-west-1"},
		"no role":  {Account: account, Role: "none", Region: "eu-west-1"},
		"long":     {Account: account, User: "alice", Region: "eu-west-1", Life: 366 * 24 * time.Hour},
		"patterns": {Account: account, User: "alice", Region: "eu-west-1", Scope: &auth.Scope{Repositories: []string{strings.Repeat("x", 3000)}}},
	} {
		if _, _, err := f.PasswordFor(t.Context(), r); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}

func TestPasswordLife(t *testing.T) {
	f := setUp(t)
	key := f.alice(t)
	life := 30 * time.Minute
	if _, err := f.accounts.UpdateUser(t.Context(), account, "alice", accounts.UserChange{PasswordLife: &life}); err != nil {
		t.Fatal(err)
	}
	password := f.passwordOf(t, key, "alice")
	f.now = start.Add(life - time.Second)
	if _, err := f.Basic(t.Context(), "AWS", password); err != nil {
		t.Error(err)
	}
	f.now = start.Add(life)
	if _, err := f.Basic(t.Context(), "AWS", password); !errors.Is(err, credentials.ErrExpiredPassword) {
		t.Error(err)
	}
}

func TestPasswordsAreListedAndRevoked(t *testing.T) {
	f := setUp(t)
	key := f.alice(t)
	one, two := f.passwordOf(t, key, "alice"), f.passwordOf(t, key, "alice")
	if list, err := f.accounts.IssuedPasswords(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("to make one writes: %+v, %v", list, err)
	}
	if err := f.FlushIssued(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := f.accounts.IssuedPasswords(t.Context())
	if err != nil || len(list) != 2 || list[0].KeyID != key.ID {
		t.Fatalf("%+v, %v", list, err)
	}
	gone := list[0].ID
	if err := f.accounts.RevokePassword(t.Context(), gone, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{one, two} {
		raw, err := base64.RawURLEncoding.DecodeString(password)
		if err != nil {
			t.Fatal(err)
		}
		revoked := strings.Contains(string(raw), gone)
		if _, err := f.Basic(t.Context(), "AWS", password); revoked != errors.Is(err, credentials.ErrBadPassword) {
			t.Errorf("revoked %t: %v", revoked, err)
		}
	}
	if err := f.accounts.RevokeKey(t.Context(), key.ID); err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{one, two} {
		if _, err := f.Basic(t.Context(), "AWS", password); !errors.Is(err, credentials.ErrBadPassword) {
			t.Errorf("after its key was revoked: %v", err)
		}
	}
	if _, err := f.Basic(t.Context(), "AWS", f.passwordOf(t, key, "alice")); err != nil {
		t.Errorf("a new one: %v", err)
	}
}
