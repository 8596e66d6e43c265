package stsapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// containerCredentials asks for container credentials.
func (f *fixture) containerCredentials(t *testing.T, query, authorization string, change func(*http.Request)) (int, map[string]string) {
	t.Helper()
	r, err := http.NewRequest("GET", f.URL+"/container-credentials"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	if change != nil {
		change(r)
	}
	w, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var got map[string]string
	if err := json.NewDecoder(w.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if w.Header.Get("Cache-Control") != "no-store" || w.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header)
	}
	return w.StatusCode, got
}

func containerKey(got map[string]string) sigv4test.Key {
	return sigv4test.Key{ID: got["AccessKeyId"], Secret: got["SecretAccessKey"], Token: got["Token"], Region: "us-east-1", Service: "sts"}
}

func TestContainerCredentials(t *testing.T) {
	ctx := context.Background()
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	f.role(t, account, "build", trust(me, `"sts:AssumeRole"`, `{}`))
	robot, secret, err := f.accounts.CreateRobot(ctx, accounts.NewRobot{Account: account, User: "jo"})
	if err != nil {
		t.Fatal(err)
	}
	byKey, byRobot := jo.ID+":"+jo.Secret, robot.ID+":"+secret.Reveal()
	for _, tt := range []struct{ name, query, by, who, arn string }{
		{"key", "", byKey, "arn:aws:iam::123456789012:user/jo", "arn:aws:iam::123456789012:user/jo"},
		{"robot", "", byRobot, "arn:aws:iam::123456789012:user/jo", "arn:aws:iam::123456789012:user/jo"},
		{"role", "?role=" + role, byKey, "arn:aws:sts::123456789012:assumed-role/build/container-jo", role},
		{"role by robot", "?role=" + role, byRobot, "arn:aws:sts::123456789012:assumed-role/build/container-jo", role},
	} {
		status, got := f.containerCredentials(t, tt.query, tt.by, nil)
		if status != 200 || got["RoleArn"] != tt.arn || got["Expiration"] != "2026-03-01T13:00:00Z" {
			t.Errorf("%s: %d %s until %s", tt.name, status, got["RoleArn"], got["Expiration"])
		}
		if who := f.whoami(t, containerKey(got)); !strings.HasPrefix(who, tt.who+" ") {
			t.Errorf("%s: is %s", tt.name, who)
		}
	}
	_, got := f.containerCredentials(t, "?role="+role, byRobot, nil)
	if err := f.accounts.DeleteRobot(ctx, robot.ID); err != nil {
		t.Fatal(err)
	}
	if who := f.whoami(t, containerKey(got)); who != "403" {
		t.Errorf("without the robot key: %s", who)
	}
}

func TestContainerRefusals(t *testing.T) {
	f := setUp(t)
	jo := f.user(t, account, "jo", "", nil)
	by := jo.ID + ":" + jo.Secret
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tt := range []struct {
		name, query, by string
		change          func(*http.Request)
		status          int
		code            string
	}{
		{"nothing", "", "", nil, 403, "InvalidClientTokenId"},
		{"an id alone", "", jo.ID, nil, 403, "InvalidClientTokenId"},
		{"wrong secret", "", by + "x", nil, 403, "InvalidClientTokenId"},
		{"no secret", "", jo.ID + ":", nil, 403, "InvalidClientTokenId"},
		{"unknown key", "", "AKIAABSENT:", nil, 403, "InvalidClientTokenId"},
		{"unknown robot", "", "BRBTAAAAAAAAAAAAAAAA:x", nil, 403, "InvalidClientTokenId"},
		{"two headers", "", by, func(r *http.Request) { r.Header.Add("Authorization", by) }, 403, "InvalidClientTokenId"},
		{"through a proxy", "", by, set("X-Forwarded-For", "203.0.113.9"), 403, "AccessDenied"},
		{"through another proxy", "", by, set("Forwarded", "for=127.0.0.1"), 403, "AccessDenied"},
		{"from a page", "", by, set("Origin", "http://evil.example"), 403, "AccessDenied"},
		{"POST", "", by, func(r *http.Request) { r.Method = "POST" }, 405, "MethodNotAllowed"},
		{"a role that does not trust", "?role=" + role, by, nil, 403, "AccessDenied"},
		{"two roles", "?role=a&role=b", by, nil, 400, "ValidationError"},
		{"root as a role", "?role=" + role, f.key.ID + ":" + f.key.Secret, nil, 403, "AccessDenied"},
	} {
		status, got := f.containerCredentials(t, tt.query, tt.by, tt.change)
		if status != tt.status || got["code"] != tt.code || got["message"] == "" || got["AccessKeyId"] != "" {
			t.Errorf("%s: %d %v", tt.name, status, got)
		}
	}
	for _, from := range []string{"192.0.2.7:1234", "[2001:db8::1]:1", "", "@"} {
		r := httptest.NewRequest("GET", "/container-credentials", nil)
		r.RemoteAddr = from
		r.Header.Set("Authorization", by)
		w := httptest.NewRecorder()
		if f.api.Container().ServeHTTP(w, r); w.Code != 403 || strings.Contains(w.Body.String(), "SecretAccessKey") {
			t.Errorf("from %q: %d %s", from, w.Code, w.Body)
		}
	}
}
