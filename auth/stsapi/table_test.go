package stsapi

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
)

func TestEveryActionHasItsPermission(t *testing.T) {
	for name, act := range actions {
		if act.permission != "sts:"+name || act.run == nil {
			t.Errorf("%s: permission %q", name, act.permission)
		}
	}
}

// TestAuthorize asks for an action that, unlike those of today, needs leave.
func TestAuthorize(t *testing.T) {
	api, err := New(Options{Credentials: &credentials.Verifier{}, Authorizer: auth.RootOnly{}})
	if err != nil {
		t.Fatal(err)
	}
	root := auth.Principal{Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", Kind: auth.Root}
	user := auth.Principal{Account: "123456789012", ARN: "arn:aws:iam::123456789012:user/x"}
	guarded := action{permission: "sts:AssumeRole"}
	if err := api.authorize(context.Background(), root, guarded); err != nil {
		t.Errorf("root: %v", err)
	}
	err = api.authorize(context.Background(), user, guarded)
	var denied *auth.Denied
	if !errors.As(err, &denied) || denied.Check.Resource != "*" {
		t.Fatalf("user: %v", err)
	}
	r, fault := refusalOf(err)
	if fault || r.status != 403 || r.code != "AccessDenied" || !strings.Contains(r.message, "is not authorized to perform: sts:AssumeRole on resource: *") {
		t.Errorf("refusal %+v", r)
	}
	if err := api.authorize(context.Background(), user, actions["GetCallerIdentity"]); err != nil {
		t.Errorf("user asks who he is: %v", err)
	}
}

func TestEveryCodeHasAWord(t *testing.T) {
	for _, code := range credentials.Codes() {
		r, fault := refusalOf(&credentials.Error{Code: code, Status: 400, Message: "m"})
		if fault || r.message != "m" {
			t.Errorf("%s: %+v", code, r)
		}
	}
}
