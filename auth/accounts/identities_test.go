package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/storage"
)

const (
	pullAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}]}`
	pushAll  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:PutImage","Resource":"*"}]}`
	trustAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}]}`
	readOnly = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
)

// cast is a store with a user in a group, and a role.
func cast(t *testing.T) *accounts.Store {
	t.Helper()
	s := open(t, newIndex(t), nil)
	ctx := t.Context()
	_, err1 := s.CreateGroup(ctx, account, "builders", "")
	_, err2 := s.CreateUser(ctx, account, accounts.NewUser{Name: "alice", Path: "/team/", Tags: map[string]string{"team": "red"}})
	_, err3 := s.UpdateUser(ctx, account, "alice", accounts.UserChange{Join: []string{"builders"}})
	_, err4 := s.CreateRole(ctx, account, accounts.NewRole{Name: "deploy", Trust: trustAll})
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return s
}

var alice = auth.Principal{Account: account, Kind: auth.User, Name: "alice", ARN: "arn:aws:iam::" + account + ":user/team/alice"}

// names are those of the policies that a principal is given.
func names(t *testing.T, s *accounts.Store, p auth.Principal) (all []string) {
	t.Helper()
	id, err := s.Identity(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range id.Policies {
		all = append(all, a.Name)
	}
	return all
}

func TestIdentity(t *testing.T) {
	s := cast(t)
	user := accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: "alice"}
	group := accounts.Holder{Account: account, Kind: accounts.HolderGroup, Name: "builders"}
	if got := names(t, s, alice); got != nil {
		t.Errorf("a new user has %v", got)
	}
	p, err := s.CreatePolicy(t.Context(), account, accounts.NewPolicy{Name: "pull", Path: "/x/", Text: pullAll})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		s.PutInline(t.Context(), user, "own", pushAll), s.PutInline(t.Context(), group, "common", pullAll),
		s.Attach(t.Context(), user, p.ARN), s.Attach(t.Context(), group, readOnly), s.Attach(t.Context(), group, readOnly),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"inline policy own of user arn:aws:iam::123456789012:user/team/alice", "arn:aws:iam::123456789012:policy/x/pull",
		"inline policy common of group arn:aws:iam::123456789012:group/builders", readOnly,
	}
	if d := cmp.Diff(want, names(t, s, alice)); d != "" {
		t.Error(d)
	}
	if err := s.DeletePolicy(t.Context(), account, "pull"); !errors.Is(err, accounts.ErrInUse) {
		t.Errorf("delete of a policy that somebody has: %v", err)
	}
	if err := errors.Join(s.Detach(t.Context(), user, p.ARN), s.DeletePolicy(t.Context(), account, "pull"), s.DeleteInline(t.Context(), user, "own")); err != nil {
		t.Error(err)
	}
	if _, err := s.UpdateUser(t.Context(), account, "alice", accounts.UserChange{Leave: []string{"builders"}}); err != nil {
		t.Error(err)
	}
	if got := names(t, s, alice); got != nil {
		t.Errorf("after all was taken away alice has %v", got)
	}
}

// shared is an index that several processes may have, so that none can number its updates.
type shared struct{ storage.Index }

func TestIdentityIsInForceAtOnce(t *testing.T) {
	index := &shared{newIndex(t)}
	s, other := open(t, index, nil), open(t, index, nil) // two processes of a server
	if _, err := s.CreateUser(t.Context(), account, accounts.NewUser{Name: "alice"}); err != nil {
		t.Fatal(err)
	}
	user := accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: "alice"}
	for range 3 {
		if err := s.Attach(t.Context(), user, readOnly); err != nil {
			t.Fatal(err)
		}
		if got := names(t, other, alice); len(got) != 1 {
			t.Errorf("attached: %v", got)
		}
		if err := s.Detach(t.Context(), user, readOnly); err != nil {
			t.Fatal(err)
		}
		if got := names(t, other, alice); len(got) != 0 {
			t.Errorf("detached: %v", got)
		}
	}
	yes := true
	if _, err := s.UpdateUser(t.Context(), account, "alice", accounts.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Identity(t.Context(), alice); !errors.Is(err, accounts.ErrNoUser) {
		t.Errorf("disabled: %v", err)
	}
}

func TestSessions(t *testing.T) {
	s := cast(t)
	role, err := s.Role(t.Context(), account, "deploy")
	if err != nil {
		t.Fatal(err)
	}
	p := auth.Principal{Account: account, Kind: auth.Role, Name: "deploy", Session: &auth.Session{ID: "ASIA", Name: "ci", IssuerID: role.ID}}
	if id, err := s.Identity(t.Context(), p); err != nil || id.HasSession {
		t.Errorf("%+v, %v", id, err)
	}
	limited := p
	limited.Session = &auth.Session{ID: "ASIA", IssuerID: role.ID, Policies: []string{pullAll}, PolicyARNs: []string{readOnly, "arn:aws:iam::123456789012:policy/gone"}}
	if id, err := s.Identity(t.Context(), limited); err != nil || !id.HasSession || len(id.Session) != 2 {
		t.Errorf("%+v, %v", id, err)
	}
	if err := s.DeleteRole(t.Context(), account, "deploy"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateRole(t.Context(), account, accounts.NewRole{Name: "deploy", Trust: trustAll}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Identity(t.Context(), p); !errors.Is(err, accounts.ErrNoRole) {
		t.Errorf("session of a role that was made again: %v", err)
	}
}

func TestBoundaries(t *testing.T) {
	s := cast(t)
	arn := readOnly
	if _, err := s.UpdateUser(t.Context(), account, "alice", accounts.UserChange{Boundary: &arn}); err != nil {
		t.Fatal(err)
	}
	if id, err := s.Identity(t.Context(), alice); err != nil || !id.HasBoundary || len(id.Boundary) != 1 || id.Tags["team"] != "red" {
		t.Errorf("%+v, %v", id, err)
	}
	arn = "arn:aws:iam::aws:policy/AdministratorAccess"
	if _, err := s.UpdateUser(t.Context(), account, "alice", accounts.UserChange{Boundary: &arn}); !errors.Is(err, accounts.ErrNoPolicy) {
		t.Errorf("a boundary that is not there: %v", err)
	}
}

func TestRefusedIdentities(t *testing.T) {
	s := cast(t)
	ctx := t.Context()
	user := accounts.Holder{Account: account, Kind: accounts.HolderUser, Name: "alice"}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = "v"
	}
	for what, tt := range map[string]struct{ err, want error }{
		"user again":      {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "alice"})), accounts.ErrExists},
		"role again":      {second(s.CreateRole(ctx, account, accounts.NewRole{Name: "deploy", Trust: trustAll})), accounts.ErrExists},
		"group again":     {second(s.CreateGroup(ctx, account, "builders", "")), accounts.ErrExists},
		"name":            {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "a b"})), accounts.ErrInvalid},
		"long name":       {second(s.CreateUser(ctx, account, accounts.NewUser{Name: strings.Repeat("a", 65)})), accounts.ErrInvalid},
		"path":            {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "bob", Path: "team"})), accounts.ErrInvalid},
		"account":         {second(s.CreateUser(ctx, "12", accounts.NewUser{Name: "bob"})), accounts.ErrBadAccount},
		"tags":            {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "bob", Tags: many})), accounts.ErrLimit},
		"tag twice":       {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "bob", Tags: map[string]string{"a": "", "A": ""}})), accounts.ErrInvalid},
		"life":            {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "bob", PasswordLife: time.Second})), accounts.ErrInvalid},
		"short password":  {second(s.CreateUser(ctx, account, accounts.NewUser{Name: "bob", Password: accounts.NewSecret("1234567")})), accounts.ErrInvalid},
		"session":         {second(s.CreateRole(ctx, account, accounts.NewRole{Name: "x", Trust: trustAll, MaxSession: 13 * time.Hour})), accounts.ErrInvalid},
		"group in use":    {s.DeleteGroup(ctx, account, "builders"), accounts.ErrInUse},
		"absent user":     {s.DeleteUser(ctx, account, "bob"), accounts.ErrNoUser},
		"absent group":    {second(s.UpdateUser(ctx, account, "alice", accounts.UserChange{Join: []string{"none"}})), accounts.ErrNoGroup},
		"absent role":     {s.DeleteRole(ctx, account, "none"), accounts.ErrNoRole},
		"absent policy":   {s.Attach(ctx, user, "arn:aws:iam::123456789012:policy/none"), accounts.ErrNoPolicy},
		"foreign policy":  {s.Attach(ctx, user, "arn:aws:iam::210987654321:policy/AmazonEC2ContainerRegistryReadOnly"), accounts.ErrNoPolicy},
		"kind":            {s.Attach(ctx, accounts.Holder{Account: account, Kind: "robot", Name: "alice"}, readOnly), accounts.ErrInvalid},
		"long policy":     {s.PutInline(ctx, user, "x", pullAll+strings.Repeat("x", 20_000)), accounts.ErrLimit},
		"provider":        {second(s.CreateProvider(ctx, account, "issuer.example", []string{"a"})), accounts.ErrInvalid},
		"no audience":     {second(s.CreateProvider(ctx, account, "https://issuer.example", nil)), accounts.ErrInvalid},
		"absent provider": {s.DeleteProvider(ctx, account, "https://issuer.example"), accounts.ErrNoProvider},
		"absent robot":    {s.DeleteRobot(ctx, "BRBTNONE"), accounts.ErrNoRobot},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", what, tt.err, tt.want)
		}
	}
	for _, text := range []string{"", "{}", `{"Statement":[]}`} {
		if err := s.PutInline(ctx, user, "x", text); err == nil {
			t.Errorf("policy %q was taken", text)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestKeysOfUsers(t *testing.T) {
	s := cast(t)
	ctx := t.Context()
	one, err := s.CreateFor(ctx, account, "alice")
	two, err2 := s.CreateFor(ctx, account, "alice")
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if _, err := s.CreateFor(ctx, account, "alice"); !errors.Is(err, accounts.ErrLimit) {
		t.Errorf("a third key: %v", err)
	}
	if _, err := s.CreateFor(ctx, account, "bob"); !errors.Is(err, accounts.ErrNoUser) {
		t.Errorf("a key of nobody: %v", err)
	}
	k, err := s.Key(ctx, one.ID)
	if err != nil || !k.Active || k.User != "alice" || k.Owner.Path != "/team/" || k.Secret.Reveal() != one.Secret.Reveal() {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := s.UpdateUser(ctx, account, "alice", accounts.UserChange{Revoke: true}); err != nil {
		t.Fatal(err)
	}
	if after, err := s.Key(ctx, one.ID); err != nil || after.Mark == k.Mark || !after.Active {
		t.Errorf("after alice was revoked: %+v, %v", after, err)
	}
	yes := true
	if _, err := s.UpdateUser(ctx, account, "alice", accounts.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(ctx, two.ID); err != nil || k.Active {
		t.Errorf("key of a disabled user: %+v, %v", k, err)
	}
	if err := s.DeleteUser(ctx, account, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Key(ctx, one.ID); !errors.Is(err, accounts.ErrNoKey) {
		t.Errorf("key of a user who is gone: %v", err)
	}
}

func TestUses(t *testing.T) {
	s := cast(t)
	k, err := s.Create(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	s.NoteUse(k.ID)
	s.NoteUse("AKIAGONE")
	if err := errors.Join(s.FlushUses(t.Context()), s.FlushUses(t.Context())); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(t.Context(), k.ID); err != nil || k.UsedAt.IsZero() {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestPeople(t *testing.T) {
	s := cast(t)
	ctx := t.Context()
	const right = "correct horse"
	password := accounts.NewSecret(right)
	if _, err := s.UpdateUser(ctx, account, "alice", accounts.UserChange{Password: &password}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, password string
		ok             bool
	}{{"alice", right, true}, {"alice", right + " ", false}, {"alice", "", false}, {"bob", right, false}, {"", "", false}} {
		u, err := s.CheckPassword(ctx, account, tt.name, accounts.NewSecret(tt.password))
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, accounts.ErrBadPassword) || tt.ok && u.Name != "alice" {
			t.Errorf("%s with %q: %+v, %v", tt.name, tt.password, u, err)
		}
	}
	none := accounts.NewSecret("")
	if _, err := s.UpdateUser(ctx, account, "alice", accounts.UserChange{Password: &none}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CheckPassword(ctx, account, "alice", password); !errors.Is(err, accounts.ErrBadPassword) {
		t.Errorf("a password that was taken away: %v", err)
	}
}

func TestRobots(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, newIndex(t), func(o *accounts.Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	if _, err := s.CreateUser(ctx, account, accounts.NewUser{Name: "ci"}); err != nil {
		t.Fatal(err)
	}
	scope := &auth.Scope{Repositories: []string{"team/*"}, Actions: []string{"pull"}}
	r, secret, err := s.CreateRobot(ctx, accounts.NewRobot{Account: account, User: "ci", Expires: now.Add(time.Hour), Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	got, u, err := s.CheckRobot(ctx, r.ID, secret)
	if d := cmp.Diff(scope, got.Scope); err != nil || u.Name != "ci" || d != "" {
		t.Errorf("%+v, %+v, %v", got, u, err)
	}
	for _, id := range []string{"BRBTNONE", "", "a b", r.ID} {
		if _, _, err := s.CheckRobot(ctx, id, accounts.NewSecret("no")); !errors.Is(err, accounts.ErrBadPassword) {
			t.Errorf("%q: %v", id, err)
		}
	}
	now = now.Add(time.Hour)
	if _, _, err := s.CheckRobot(ctx, r.ID, secret); !errors.Is(err, accounts.ErrBadPassword) {
		t.Errorf("after its end: %v", err)
	}
	if err := s.DeleteUser(ctx, account, "ci"); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Robots(ctx); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestIssuedPasswords(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, newIndex(t), func(o *accounts.Options) { o.Now = func() time.Time { return now } })
	ctx := t.Context()
	one := accounts.Issued{ID: "one", Account: account, ARN: alice.ARN, KeyID: "AKIA1", Region: "us-east-1", At: now, Expires: now.Add(time.Hour)}
	two := accounts.Issued{ID: "two", Account: account, ARN: alice.ARN, Region: "us-east-1", At: now, Expires: now.Add(2 * time.Hour)}
	if err := errors.Join(s.NoteIssued(ctx), s.NoteIssued(ctx, one, two), s.RevokePassword(ctx, "one", time.Time{}), s.RevokePassword(ctx, "unlisted", time.Time{})); err != nil {
		t.Fatal(err)
	}
	one.Revoked = true
	if list, err := s.IssuedPasswords(ctx); err != nil || !cmp.Equal(list, []accounts.Issued{one, two}, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })) {
		t.Errorf("%+v, %v", list, err)
	}
	for id, want := range map[string]bool{"one": true, "two": false, "unlisted": true} {
		if got, err := s.PasswordRevoked(ctx, id); err != nil || got != want {
			t.Errorf("%s is revoked: %t, %v", id, got, err)
		}
	}
	if err := s.RevokePassword(ctx, "a\x00b", time.Time{}); !errors.Is(err, accounts.ErrInvalid) {
		t.Errorf("a bad id: %v", err)
	}
	now = now.Add(time.Hour)
	if err := s.SweepPasswords(ctx); err != nil {
		t.Fatal(err)
	}
	if list, err := s.IssuedPasswords(ctx); err != nil || len(list) != 1 || list[0].ID != "two" {
		t.Errorf("%+v, %v", list, err)
	}
	if still, err := s.PasswordRevoked(ctx, "unlisted"); err != nil || !still {
		t.Errorf("%t, %v", still, err)
	}
}

func TestDeclared(t *testing.T) {
	s := cast(t)
	ctx := t.Context()
	k, err := s.CreateFor(ctx, account, "alice")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := accounts.HashPassword(accounts.NewSecret("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	file := &accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{account: {
		Users:     map[string]accounts.DeclaredUser{"bob": {Groups: []string{"ops"}, PasswordHash: hash}},
		Groups:    map[string]accounts.DeclaredGroup{"ops": {Attached: []string{readOnly, "arn:aws:iam::" + account + ":policy/push"}}},
		Roles:     map[string]accounts.DeclaredRole{"deploy": {Trust: trustAll, Inline: map[string]string{"x": pullAll}}},
		Policies:  map[string]string{"push": pushAll},
		Providers: map[string][]string{"https://issuer.example": {"berth"}},
	}}}
	if err := s.Declare(file); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(ctx, k.ID); err != nil || k.Active {
		t.Errorf("key of a user who is not declared: %+v, %v", k, err)
	}
	bob := auth.Principal{Account: account, Kind: auth.User, Name: "bob"}
	if got := names(t, s, bob); len(got) != 2 {
		t.Errorf("bob has %v", got)
	}
	if _, err := s.CheckPassword(ctx, account, "bob", accounts.NewSecret("correct horse")); err != nil {
		t.Error(err)
	}
	if _, err := s.CreateUser(ctx, account, accounts.NewUser{Name: "eve"}); !errors.Is(err, accounts.ErrDeclared) {
		t.Errorf("a user beside the file: %v", err)
	}
	bobs, err := s.CreateFor(ctx, account, "bob")
	if err != nil {
		t.Fatal(err)
	}
	delete(file.Accounts[account].Users, "bob")
	if err := s.Declare(file); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(ctx, bobs.ID); err != nil || k.Active {
		t.Errorf("key of a user who was taken out of the file: %+v, %v", k, err)
	}
	if err := s.Declare(nil); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(ctx, k.ID); err != nil || !k.Active {
		t.Errorf("without a file: %+v, %v", k, err)
	}
}

func TestBadDeclarationsChangeNothing(t *testing.T) {
	s := open(t, newIndex(t), nil)
	good := &accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{account: {Users: map[string]accounts.DeclaredUser{"bob": {}}}}}
	if err := s.Declare(good); err != nil {
		t.Fatal(err)
	}
	for what, a := range map[string]accounts.DeclaredAccount{
		"group":    {Users: map[string]accounts.DeclaredUser{"bob": {Groups: []string{"none"}}}},
		"policy":   {Users: map[string]accounts.DeclaredUser{"bob": {Attached: []string{"arn:aws:iam::123456789012:policy/none"}}}},
		"inline":   {Groups: map[string]accounts.DeclaredGroup{"ops": {Inline: map[string]string{"x": "{"}}}},
		"hash":     {Users: map[string]accounts.DeclaredUser{"bob": {PasswordHash: "$argon2id$v=19$m=4194304,t=900,p=1$AA$AA"}}},
		"trust":    {Roles: map[string]accounts.DeclaredRole{"x": {Trust: "no"}}},
		"name":     {Users: map[string]accounts.DeclaredUser{"b b": {}}},
		"provider": {Providers: map[string][]string{"ftp://x": {"a"}}},
	} {
		if err := s.Declare(&accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{account: a}}); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if err := s.Declare(&accounts.Declaration{Accounts: map[string]accounts.DeclaredAccount{"12": {}}}); !errors.Is(err, accounts.ErrBadAccount) {
		t.Errorf("account: %v", err)
	}
	if _, err := s.User(t.Context(), account, "bob"); err != nil {
		t.Errorf("the one before is gone: %v", err)
	}
}

func TestManagedPolicies(t *testing.T) {
	s := cast(t)
	list, err := s.Policies(context.Background(), account)
	if err != nil || len(list) != 4 {
		t.Fatalf("%d policies, %v", len(list), err)
	}
	for _, p := range list {
		for _, by := range []string{p.Name, p.ARN} {
			if got, err := s.Policy(t.Context(), account, by); err != nil || got.Text != p.Text {
				t.Errorf("%s: %+v, %v", by, got, err)
			}
		}
	}
	if _, err := s.Policy(t.Context(), account, "none"); !errors.Is(err, accounts.ErrNoPolicy) {
		t.Error(err)
	}
}
