package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
)

var root = auth.Principal{
	Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", UserID: "123456789012", KeyID: "AKIAEXAMPLE", Region: "us-east-1", Kind: auth.Root,
}

func TestIsRoot(t *testing.T) {
	for _, tt := range []struct {
		who  auth.Principal
		want bool
	}{
		{auth.Principal{Account: "123456789012", Kind: auth.Root}, true},
		{auth.Principal{Account: "123456789012", Kind: auth.User, ARN: "arn:aws:iam::123456789012:root"}, false},
		{auth.Principal{Account: "123456789012", Kind: auth.Role}, false},
		{auth.Principal{Account: "123456789012"}, false},
		{auth.Principal{Kind: auth.Root}, false},
		{auth.Nobody("us-east-1"), false},
	} {
		if got := tt.who.IsRoot(); got != tt.want {
			t.Errorf("IsRoot of %+v = %t", tt.who, got)
		}
	}
}

func TestIsZero(t *testing.T) {
	if !(auth.Principal{}).IsZero() || root.IsZero() {
		t.Error("nobody and root are taken for each other")
	}
}

func TestRootOnly(t *testing.T) {
	user := root
	user.ARN, user.Kind = "arn:aws:iam::123456789012:user/x", auth.User
	const action, resource = "ecr:PutImage", "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
	for _, tt := range []struct {
		name    string
		who     auth.Principal
		account string
		want    string
	}{
		{"root in its account", root, root.Account, ""},
		{"root in another account", root, "210987654321", "User: arn:aws:iam::123456789012:root is not authorized to perform: ecr:PutImage on resource: " +
			resource + " because no resource-based policy allows the ecr:PutImage action"},
		{"a user", user, root.Account, "User: arn:aws:iam::123456789012:user/x is not authorized to perform: ecr:PutImage on resource: " +
			resource + " because no identity-based policy allows the ecr:PutImage action"},
		{"nobody", auth.Principal{}, root.Account, "User:  is not authorized to perform: ecr:PutImage on resource: " +
			resource + " because no identity-based policy allows the ecr:PutImage action"},
		{"nobody in no account", auth.Principal{}, "", "User:  is not authorized to perform: ecr:PutImage on resource: " +
			resource + " because no identity-based policy allows the ecr:PutImage action"},
	} {
		check := auth.Check{Principal: tt.who, Action: action, Resource: resource, Account: tt.account}
		err := auth.RootOnly{}.Authorize(context.Background(), check)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		var denied *auth.Denied
		if !errors.As(err, &denied) || !cmp.Equal(denied.Check, check) || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestPrincipalOf(t *testing.T) {
	ctx := context.Background()
	if p := auth.PrincipalOf(ctx); !p.IsZero() {
		t.Errorf("of a bare context: %+v", p)
	}
	if p := auth.PrincipalOf(auth.WithPrincipal(ctx, root)); p != root {
		t.Errorf("PrincipalOf = %+v", p)
	}
}

func TestPreparedByAFunction(t *testing.T) {
	var asked []policy.Keys
	prepared, err := auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error {
		asked = append(asked, c.Keys)
		if c.Keys["berth:tagexists"] != nil {
			return &auth.Denied{Check: c, Reason: "because it is there"}
		}
		return nil
	}).Prepare(context.Background(), auth.Check{Keys: policy.Keys{"a": {"1"}}, Pending: []string{"berth:tagexists"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := prepared(policy.Keys{"berth:imagetag": {"v1"}}); err != nil {
		t.Error(err)
	}
	if err := prepared(policy.Keys{"berth:tagexists": {"true"}}); err == nil {
		t.Error("allowed")
	}
	want := []policy.Keys{{"a": {"1"}}, {"a": {"1"}, "berth:imagetag": {"v1"}}, {"a": {"1"}, "berth:tagexists": {"true"}}}
	if d := cmp.Diff(want, asked); d != "" {
		t.Error(d)
	}
}

func TestSetDenial(t *testing.T) {
	h := http.Header{}
	for _, err := range []error{nil, errors.New("x"), &auth.Denied{}} {
		if auth.SetDenial(h, err); len(h) != 0 {
			t.Errorf("%v: %v", err, h)
		}
	}
	if auth.SetDenial(h, fmt.Errorf("put image: %w", &auth.Denied{Code: "K7QX2MPA"})); h.Get(auth.DenialHeader) != "K7QX2MPA" {
		t.Errorf("%v", h)
	}
}

// TestIdentify: who asks is noted in the request's own context, and in no other.
func TestIdentify(t *testing.T) {
	bare := context.Background()
	ctx := auth.WithRequest(auth.WithPrincipal(bare, root), auth.Request{ID: "1"})
	if p := auth.PrincipalOf(ctx); !p.IsZero() {
		t.Errorf("before anybody was identified: %+v", p)
	}
	if got := auth.WithCall(auth.Identify(ctx, root), "call"); got != ctx {
		t.Error("another context")
	}
	below, cancel := context.WithCancel(ctx)
	defer cancel()
	if auth.PrincipalOf(below) != root || auth.CallOf(below) != "call" || auth.RequestOf(below).ID != "1" {
		t.Errorf("below: %+v, %v, %+v", auth.PrincipalOf(below), auth.CallOf(below), auth.RequestOf(below))
	}
	other := auth.Identify(below, auth.Nobody("us-east-1"))
	if auth.PrincipalOf(ctx) != root || auth.PrincipalOf(other).Kind != auth.Anonymous {
		t.Errorf("%+v, %+v", auth.PrincipalOf(ctx), auth.PrincipalOf(other))
	}
	if auth.CallOf(bare) != nil || auth.CallOf(auth.WithCall(bare, 7)) != 7 {
		t.Error("calls of contexts that are of no request")
	}
}
