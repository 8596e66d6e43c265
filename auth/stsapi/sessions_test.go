package stsapi_test

import (
	"context"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
)

// TestSessionsEnd ends all that a session of a role comes from, one at a time.
func TestSessionsEnd(t *testing.T) {
	ctx := context.Background()
	for name, end := range map[string]func(*fixture, string) error{
		"key deleted":         func(f *fixture, key string) error { return f.accounts.Delete(ctx, key) },
		"key inactive":        func(f *fixture, key string) error { return f.accounts.SetActive(ctx, key, false) },
		"key revoked":         func(f *fixture, key string) error { return f.accounts.RevokeKey(ctx, key) },
		"user deleted":        func(f *fixture, _ string) error { return f.accounts.DeleteUser(ctx, account, "jo") },
		"user disabled":       func(f *fixture, _ string) error { return f.updateUser(accounts.UserChange{Disabled: new(true)}) },
		"user revoked":        func(f *fixture, _ string) error { return f.updateUser(accounts.UserChange{Revoke: true}) },
		"role deleted":        func(f *fixture, _ string) error { return f.accounts.DeleteRole(ctx, account, "build") },
		"role revoked":        func(f *fixture, _ string) error { return f.updateRole("build") },
		"second role revoked": func(f *fixture, _ string) error { return f.updateRole("deploy") },
		"role made anew": func(f *fixture, _ string) error {
			if err := f.accounts.DeleteRole(ctx, account, "build"); err != nil {
				return err
			}
			_, err := f.accounts.CreateRole(ctx, account, accounts.NewRole{Name: "build", Trust: trust(me, `"sts:AssumeRole"`, `{}`)})
			return err
		},
	} {
		f := setUp(t)
		jo := f.user(t, account, "jo", "", nil)
		f.role(t, account, "build", trust(me, `"sts:AssumeRole"`, `{}`))
		f.role(t, account, "deploy", trust(`{"AWS":"`+role+`"}`, `"sts:AssumeRole"`, `{}`))
		first := f.assume(t, jo, assuming()).key()
		second := f.assume(t, first, assuming("RoleArn", strings.Replace(role, "build", "deploy", 1), "RoleSessionName", "two")).key()
		if who := f.whoami(t, second); !strings.HasPrefix(who, "arn:aws:sts::123456789012:assumed-role/deploy/two ") {
			t.Fatalf("%s: before: %s", name, who)
		}
		if err := end(f, jo.ID); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		status, code, _ := f.refused(t, second, identity)
		if status != 403 || code != "InvalidClientTokenId" {
			t.Errorf("%s: %d %s", name, status, code)
		}
		if who := f.whoami(t, first); (who == "403") == (name == "second role revoked") {
			t.Errorf("%s: the first session is %s", name, who)
		}
	}
}

func (f *fixture) updateUser(c accounts.UserChange) error {
	_, err := f.accounts.UpdateUser(context.Background(), account, "jo", c)
	return err
}

func (f *fixture) updateRole(name string) error {
	_, err := f.accounts.UpdateRole(context.Background(), account, name, accounts.RoleChange{Revoke: true})
	return err
}

func TestChains(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	actions := `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`
	f.role(t, account, "build", trust(`"*"`, actions, `{}`))
	first := f.assume(t, jo, assuming("DurationSeconds", "7200", "SourceIdentity", "jo", "Tags.member.1.Key", "Team", "Tags.member.1.Value", "red",
		"Tags.member.2.Key", "own", "Tags.member.2.Value", "x", "TransitiveTagKeys.member.1", "Team")).key()
	if _, code, message := f.refused(t, first, assuming("DurationSeconds", "3601")); code != "ValidationError" || !strings.Contains(message, "role chaining") {
		t.Errorf("a long second session: %s %s", code, message)
	}
	if _, code, _ := f.refused(t, first, assuming("Tags.member.1.Key", "team", "Tags.member.1.Value", "blue")); code != "InvalidParameterValue" {
		t.Errorf("another value of a transitive tag: %s", code)
	}
	if _, code, _ := f.refused(t, first, assuming("SourceIdentity", "eve")); code != "AccessDenied" {
		t.Errorf("another source identity: %s", code)
	}
	next := f.assume(t, first, assuming())
	if next.Result.SourceIdentity != "jo" {
		t.Errorf("source identity %q", next.Result.SourceIdentity)
	}
	p, body, err := f.verifier.Signed(f.signed(t, next.key()), "sts", 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	if d := cmp.Diff(map[string]string{"Team": "red"}, p.Session.Tags); d != "" {
		t.Error(d)
	}
	k := first
	for i := 2; ; i++ {
		status, text := f.call(t, k, assuming())
		if status != 200 {
			if i != 9 || !strings.Contains(text, "one from the other") {
				t.Errorf("role %d: %d %s", i, status, text)
			}
			return
		}
		var got assumed
		if err := xml.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		k = got.key()
	}
}

// TestTokenOfAnotherKey shows the token of one session with the key of another.
func TestTokenOfAnotherKey(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	f.role(t, account, "build", trust(me, `"sts:AssumeRole"`, `{}`))
	one, two := f.assume(t, jo, assuming()).key(), f.assume(t, jo, assuming()).key()
	one.Token = two.Token
	if _, code, _ := f.refused(t, one, identity); code != "InvalidClientTokenId" {
		t.Errorf("%s", code)
	}
	two.Secret = jo.Secret
	if _, code, _ := f.refused(t, two, identity); code != "SignatureDoesNotMatch" {
		t.Errorf("%s", code)
	}
}

func TestUserSession(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, account, "jo", allow("sts:AssumeRole", "*"), nil)
	f.role(t, account, "build", trust(`{"AWS":"123456789012"}`, `"sts:AssumeRole"`, `{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}`))
	k := f.assume(t, jo, session).key()
	if got, want := f.whoami(t, k), f.whoami(t, jo); got != want || !strings.HasPrefix(got, "arn:aws:iam::123456789012:user/jo AIDA") {
		t.Errorf("a session of the user is %s, the user %s", got, want)
	}
	if who := f.whoami(t, f.assume(t, k, assuming()).key()); !strings.HasPrefix(who, "arn:aws:sts::123456789012:assumed-role/build/run ") {
		t.Errorf("acts as %s", who)
	}
}

func TestGetAccessKeyInfo(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, other, "jo", "", nil)
	temporary := f.assume(t, jo, session).key()
	asking := func(id string) string { return "Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId=" + id }
	for id, want := range map[string]string{f.key.ID: account, jo.ID: other, temporary.ID: other} {
		if status, text := f.call(t, f.key, asking(id)); status != 200 || !strings.Contains(text, "<Account>"+want+"</Account>") {
			t.Errorf("%s: %d %s", id, status, text)
		}
	}
	for id, want := range map[string]string{"AKIAABSENTABSENT1234": "ValidationError", "ASIAxxxxxxxxxxxxxxxx": "ValidationError", "x": "ValidationError", "": "ValidationError"} {
		if _, code, message := f.refused(t, f.key, asking(id)); code != want {
			t.Errorf("%s: %s %s", id, code, message)
		}
	}
	if _, code, message := f.refused(t, jo, asking(jo.ID)); code != "AccessDenied" || !strings.Contains(message, "sts:GetAccessKeyInfo on resource: *") {
		t.Errorf("one who may not: %s %s", code, message)
	}
}
