package credentials_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

const (
	trustAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["sts:AssumeRole","sts:TagSession"]}]}`
	buildRole = "arn:aws:iam::123456789012:role/build"
	pullAll   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}]}`
)

// cast is a fixture with a user, his key and robot key, and a role.
type cast struct {
	*fixture
	key       sigv4test.Key // of jo
	robot, by auth.Principal
	robotID   string
}

func setUpCast(t *testing.T) *cast {
	t.Helper()
	ctx := context.Background()
	c := &cast{fixture: setUp(t)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.accounts.CreateUser(ctx, account, accounts.NewUser{Name: "jo"})
	must(err)
	_, err = c.accounts.CreateRole(ctx, account, accounts.NewRole{Name: "build", Trust: trustAll})
	must(err)
	k, err := c.accounts.CreateFor(ctx, account, "jo")
	must(err)
	c.key = sigv4test.Key{ID: k.ID, Secret: k.Secret.Reveal(), Region: "us-east-1", Service: "ecr"}
	c.by, err = c.Pair(ctx, k.ID, k.Secret.Reveal(), "us-east-1")
	must(err)
	robot, secret, err := c.accounts.CreateRobot(ctx, accounts.NewRobot{Account: account, User: "jo", Scope: &auth.Scope{Repositories: []string{"team/*"}}})
	must(err)
	c.robotID = robot.ID
	c.robot, err = c.Pair(ctx, robot.ID, secret.Reveal(), "us-east-1")
	must(err)
	return c
}

// assume acts as the role build, and returns who that is by a signature.
func (c *cast) assume(t *testing.T, by auth.Principal, r credentials.RoleRequest) auth.Principal {
	t.Helper()
	r.Role, r.Name = buildRole, "run"
	s, err := c.AssumeRole(context.Background(), by, r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.signed(t, sigv4test.Key{ID: s.KeyID, Secret: s.Secret.Reveal(), Token: s.Token, Region: "us-east-1", Service: "ecr"}, "{}")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sessions are the kinds of sessions from which a password can come.
var sessions = map[string]func(*testing.T, *cast) auth.Principal{
	"role": func(t *testing.T, c *cast) auth.Principal {
		return c.assume(t, c.by, credentials.RoleRequest{Policy: pullAll, Tags: map[string]string{"team": "red"}})
	},
	"role of a role": func(t *testing.T, c *cast) auth.Principal {
		return c.assume(t, c.assume(t, c.by, credentials.RoleRequest{}), credentials.RoleRequest{})
	},
	"role of a robot": func(t *testing.T, c *cast) auth.Principal { return c.assume(t, c.robot, credentials.RoleRequest{}) },
	"session of a robot": func(t *testing.T, c *cast) auth.Principal {
		s, err := c.GetSessionToken(context.Background(), c.robot, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.signed(t, sigv4test.Key{ID: s.KeyID, Secret: s.Secret.Reveal(), Token: s.Token, Region: "us-east-1", Service: "ecr"}, "{}")
		if err != nil {
			t.Fatal(err)
		}
		return p
	},
}

// TestWhatDerivesFromSessions has passwords and links say what sessions do: rights,
// limits, scope; and has each end with all that the session comes from.
func TestWhatDerivesFromSessions(t *testing.T) {
	ctx := context.Background()
	for name, begin := range sessions {
		for what, end := range map[string]func(*cast) error{
			"user revoked": func(c *cast) error {
				_, err := c.accounts.UpdateUser(ctx, account, "jo", accounts.UserChange{Revoke: true})
				return err
			},
			"key deleted":   func(c *cast) error { return c.accounts.Delete(ctx, c.key.ID) },
			"robot deleted": func(c *cast) error { return c.accounts.DeleteRobot(ctx, c.robotID) },
			"role revoked": func(c *cast) error {
				_, err := c.accounts.UpdateRole(ctx, account, "build", accounts.RoleChange{Revoke: true})
				return err
			},
		} {
			robot, role := strings.Contains(name, "robot"), strings.Contains(name, "role")
			if what == "key deleted" && robot || what == "robot deleted" && !robot || what == "role revoked" && !role {
				continue // not what the session comes from
			}
			c := setUpCast(t)
			p := begin(t, c)
			password, _, err := c.Password(ctx, p)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			query := signAs(t, c.fixture, p, link, c.now.Add(time.Hour))
			got, err := c.Basic(ctx, "AWS", password)
			if d := cmp.Diff(p, got); err != nil || d != "" {
				t.Errorf("%s: by the password: %v (-want +got):\n%s", name, err, d)
			}
			if robot && (got.Scope == nil || got.Scope.Repositories[0] != "team/*") {
				t.Errorf("%s: scope %v", name, got.Scope)
			}
			got, err = c.VerifyLink(ctx, link, query)
			if d := cmp.Diff(p, got, cmpopts.IgnoreFields(auth.Session{}, "Policies", "PolicyARNs", "Tags", "Transitive")); err != nil || d != "" {
				t.Errorf("%s: by a link: %v (-want +got):\n%s", name, err, d)
			}
			if err := end(c); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Basic(ctx, "AWS", password); !errors.Is(err, credentials.ErrBadPassword) {
				t.Errorf("%s, %s: the password: %v", name, what, err)
			}
			if _, err := c.VerifyLink(ctx, link, query); err == nil {
				t.Errorf("%s, %s: the link holds", name, what)
			}
			if late, _, err := c.Password(ctx, p); err == nil { // by a request that had begun
				if _, err := c.Basic(ctx, "AWS", late); !errors.Is(err, credentials.ErrBadPassword) {
					t.Errorf("%s, %s: another password: %v", name, what, err)
				}
			}
		}
	}
}

func TestPasswordOfASessionThatCarriesTooMuch(t *testing.T) {
	c := setUpCast(t)
	tags := map[string]string{}
	for range 17 {
		tags[rand.Text()] = strings.Repeat(rand.Text(), 9)[:200] + rand.Text() + rand.Text()
	}
	p := c.assume(t, c.by, credentials.RoleRequest{Tags: tags, Policy: pullAll})
	password, _, err := c.Password(context.Background(), p)
	if err == nil {
		t.Fatalf("a password of %d characters", len(password))
	}
	wantError(t, err, credentials.ValidationError, 400)
}

// A link whose words are forged opens nothing, whoever they name.
func TestForgedHolderOfALink(t *testing.T) {
	c := setUpCast(t)
	p := c.assume(t, c.by, credentials.RoleRequest{})
	query := signAs(t, c.fixture, p, link, c.now.Add(time.Hour))
	if _, err := c.VerifyLink(context.Background(), link, query); err != nil {
		t.Fatal(err)
	}
	signature := []byte(query.Get("signature"))
	for i := len(signature) - 40; i < len(signature); i++ {
		changed := append([]byte{}, signature...)
		changed[i] ^= 1
		query.Set("signature", string(changed))
		if got, err := c.VerifyLink(context.Background(), link, query); err == nil {
			t.Fatalf("character %d changed: %+v", i, got)
		}
	}
}

func TestPair(t *testing.T) {
	c := setUpCast(t)
	ctx := context.Background()
	if c.by.ARN != "arn:aws:iam::123456789012:user/jo" || c.by.KeyID != c.key.ID || c.by.Scope != nil {
		t.Errorf("by a key: %+v", c.by)
	}
	if c.robot.ARN != c.by.ARN || c.robot.KeyID != c.robotID || c.robot.Scope == nil {
		t.Errorf("by a robot key: %+v", c.robot)
	}
	for _, pair := range [][2]string{
		{c.key.ID, ""}, {c.key.ID, c.key.Secret + "x"}, {c.key.ID, c.key.Secret[:39]}, {"AKIAABSENT", ""}, {"", ""}, {c.robotID, ""}, {c.robotID, c.key.Secret},
		{"BRBTAAAAAAAAAAAAAAAA", "x"}, {"BRBT", ""}, {"a/b", "x"},
	} {
		_, err := c.Pair(ctx, pair[0], pair[1], "us-east-1")
		wantError(t, err, credentials.UnrecognizedClient, 403)
	}
}
