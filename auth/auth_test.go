package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/seed-78150930/berth/auth"
)

var root = auth.Principal{
	Account: "123456789012", ARN: "arn:aws:iam::123456789012:root", UserID: "123456789012", KeyID: "AKIAEXAMPLE", Region: "us-east-1",
}

func TestIsRoot(t *testing.T) {
	for _, tt := range []struct {
		account, arn string
		want         bool
	}{
		{"123456789012", "arn:aws:iam::123456789012:root", true},
		{"123456789012", "arn:aws-cn:iam::123456789012:root", true},
		{"123456789012", "arn:aws:iam::210987654321:root", false},
		{"123456789012", "arn:aws:iam::123456789012:user/root", false},
		{"123456789012", "arn:aws:iam::123456789012:user/x:iam::123456789012:root2", false},
		{"123456789012", "", false},
		{"", "arn:aws:iam:::root", false},
	} {
		if got := (auth.Principal{Account: tt.account, ARN: tt.arn}).IsRoot(); got != tt.want {
			t.Errorf("IsRoot of %q in %q = %t", tt.arn, tt.account, got)
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
	user.ARN = "arn:aws:iam::123456789012:user/x"
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
			resource + " because no resource-based policy allows the ecr:PutImage action"},
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
		if !errors.As(err, &denied) || denied.Check != check || err.Error() != tt.want {
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
