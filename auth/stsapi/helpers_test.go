package stsapi_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

const (
	other = "210987654321"
	role  = "arn:aws:iam::123456789012:role/build"
)

// trust is a trust policy that allows an action to a principal, under conditions.
func trust(principal, actions, conditions string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":%s,"Action":%s,"Condition":%s}]}`, principal, actions, conditions)
}

func allow(action, resource string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":%q,"Resource":%q}]}`, action, resource)
}

func deny(action, resource string) string {
	return strings.Replace(allow(action, resource), "Allow", "Deny", 1)
}

// user makes a user with a key and a policy, "" for none.
func (f *fixture) user(t *testing.T, account, name, policy string, tags map[string]string) sigv4test.Key {
	t.Helper()
	ctx := context.Background()
	if _, err := f.accounts.CreateUser(ctx, account, accounts.NewUser{Name: name, Tags: tags}); err != nil {
		t.Fatal(err)
	}
	f.give(t, accounts.HolderUser, account, name, policy)
	k, err := f.accounts.CreateFor(ctx, account, name)
	if err != nil {
		t.Fatal(err)
	}
	return sigv4test.Key{ID: k.ID, Secret: k.Secret.Reveal(), Region: "us-east-1", Service: "sts"}
}

func (f *fixture) give(t *testing.T, kind accounts.HolderKind, account, name, policy string) {
	t.Helper()
	if policy == "" {
		return
	}
	if err := f.accounts.PutInline(context.Background(), accounts.Holder{Account: account, Kind: kind, Name: name}, "own", policy); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) role(t *testing.T, account, name, trust string) accounts.Role {
	t.Helper()
	r, err := f.accounts.CreateRole(context.Background(), account, accounts.NewRole{Name: name, Trust: trust, MaxSession: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// assuming is the form of AssumeRole with more parameters.
func assuming(more ...string) string {
	v := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {"run"}}
	for i := 0; i < len(more); i += 2 {
		v.Set(more[i], more[i+1])
		if more[i+1] == "absent" {
			v.Del(more[i])
		}
	}
	return v.Encode()
}

type assumed struct {
	Result struct {
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      time.Time
		}
		AssumedRoleUser  struct{ AssumedRoleId, Arn string }
		PackedPolicySize *int
		SourceIdentity   string
		Provider         string
		Audience         string
		Subject          string `xml:"SubjectFromWebIdentityToken"`
	} `xml:",any"`
}

func (a assumed) key() sigv4test.Key {
	c := a.Result.Credentials
	return sigv4test.Key{ID: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken, Region: "us-east-1", Service: "sts"}
}

// call sends a form, signed with a key unless it is zero.
func (f *fixture) call(t *testing.T, k sigv4test.Key, body string) (int, string) {
	t.Helper()
	r := f.form(t, body)
	if k.ID != "" {
		k.Sign(r, body, f.now)
	}
	return f.send(t, r)
}

func (f *fixture) assume(t *testing.T, k sigv4test.Key, body string) assumed {
	t.Helper()
	status, text := f.call(t, k, body)
	var got assumed
	if err := xml.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		t.Fatalf("%d %v %s", status, err, text)
	}
	return got
}

// refused is code and message of a refusal.
func (f *fixture) refused(t *testing.T, k sigv4test.Key, body string) (status int, code, message string) {
	t.Helper()
	status, text := f.call(t, k, body)
	var got struct {
		Error struct{ Code, Message string }
	}
	if err := xml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return status, got.Error.Code, got.Error.Message
}

func (f *fixture) whoami(t *testing.T, k sigv4test.Key) string {
	t.Helper()
	status, text := f.call(t, k, identity)
	var got struct {
		Result struct{ Arn, UserId, Account string } `xml:"GetCallerIdentityResult"`
	}
	if err := xml.Unmarshal([]byte(text), &got); err != nil || status != 200 {
		return fmt.Sprint(status)
	}
	return got.Result.Arn + " " + got.Result.UserId + " " + got.Result.Account
}

// signed is a request that a key has signed.
func (f *fixture) signed(t *testing.T, k sigv4test.Key) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "http://localhost/", nil)
	k.Sign(r, "", f.now)
	return r
}
