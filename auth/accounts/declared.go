package accounts

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
)

// Declaration is all identities of some accounts, as a file says them. For such an
// account it is the whole truth: identities in the index are out of force, and
// commands change nothing. Access keys and robot keys stay in the index, since their
// secrets do not belong in the file; those of users who are not declared are dead.
type Declaration struct {
	Accounts map[string]DeclaredAccount // by id
}

// DeclaredAccount is an account by the names of what it has.
type DeclaredAccount struct {
	Users     map[string]DeclaredUser
	Groups    map[string]DeclaredGroup
	Roles     map[string]DeclaredRole
	Policies  map[string]string   // texts
	Providers map[string][]string // client ids by URL
}

// DeclaredUser is a user of a Declaration.
type DeclaredUser struct {
	Path         string
	Groups       []string
	Inline       map[string]string
	Attached     []string
	Boundary     string
	Tags         map[string]string
	PasswordHash string // as HashPassword makes it, "" for none
	PasswordLife time.Duration
	Disabled     bool
}

// DeclaredGroup is a group of a Declaration.
type DeclaredGroup struct {
	Path     string
	Inline   map[string]string
	Attached []string
}

// DeclaredRole is a role of a Declaration.
type DeclaredRole struct {
	Path         string
	Trust        string
	MaxSession   time.Duration // 0 means an hour
	Inline       map[string]string
	Attached     []string
	Boundary     string
	Tags         map[string]string
	PasswordLife time.Duration
}

// declaration is a Declaration as rows. The zero value declares nothing.
type declaration struct {
	accounts  map[string]bool
	users     map[string]map[string]userRow
	groups    map[string]map[string]groupRow
	roles     map[string]map[string]roleRow
	policies  map[string]map[string]policyRow
	providers map[string]map[string]providerRow
}

func (d *declaration) has(account string) bool { return d.accounts[account] }

// Declare puts a declaration in force, in place of the one before as a whole. A nil
// one declares nothing. If anything in it is wrong the one before stays in force, and
// the error says what and where.
func (s *Store) Declare(d *Declaration) error {
	next := &declaration{
		accounts: map[string]bool{}, users: map[string]map[string]userRow{}, groups: map[string]map[string]groupRow{},
		roles: map[string]map[string]roleRow{}, policies: map[string]map[string]policyRow{}, providers: map[string]map[string]providerRow{},
	}
	if d != nil {
		for id, account := range d.Accounts {
			if !isAccount(id) {
				return fmt.Errorf("account %q: %w", id, ErrBadAccount)
			}
			next.add(id, account)
		}
	}
	if err := next.check(); err != nil {
		return err
	}
	s.declared.Store(next)
	s.index.changes.Add(1)
	return nil
}

// derivedID is the id of an identity that is declared: the same as long as it has
// the same name.
func derivedID(prefix, account, name string) string {
	sum := sha256.Sum256([]byte(prefix + "\x00" + account + "\x00" + name))
	return prefix + base32.StdEncoding.EncodeToString(sum[:10])
}

func (d *declaration) add(id string, a DeclaredAccount) {
	d.accounts[id] = true
	d.users[id], d.groups[id], d.roles[id] = map[string]userRow{}, map[string]groupRow{}, map[string]roleRow{}
	d.policies[id], d.providers[id] = map[string]policyRow{}, map[string]providerRow{}
	for name, u := range a.Users {
		d.users[id][name] = userRow{
			ID: derivedID(prefixUser, id, name), Path: u.Path, policies: policies{u.Inline, u.Attached}, Groups: sorted(u.Groups),
			Boundary: u.Boundary, Tags: u.Tags, Password: u.PasswordHash, Life: u.PasswordLife, Disabled: u.Disabled,
		}
	}
	for name, g := range a.Groups {
		d.groups[id][name] = groupRow{ID: derivedID(prefixGroup, id, name), Path: g.Path, policies: policies{g.Inline, g.Attached}}
	}
	for name, r := range a.Roles {
		if r.MaxSession == 0 {
			r.MaxSession = LeastMaxSession
		}
		d.roles[id][name] = roleRow{
			ID: derivedID(prefixRole, id, name), Path: r.Path, policies: policies{r.Inline, r.Attached}, Trust: r.Trust,
			MaxSession: r.MaxSession, Boundary: r.Boundary, Tags: r.Tags, Life: r.PasswordLife,
		}
	}
	for name, text := range a.Policies {
		d.policies[id][name] = policyRow{ID: derivedID(prefixPolicy, id, name), Path: "/", Text: text}
	}
	for url, clients := range a.Providers {
		d.providers[id][issuerName(url)] = providerRow{URL: url, ClientIDs: clients}
	}
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// check holds all that is declared against the rules for what is kept.
func (d *declaration) check() error {
	b := book{nowhere{}, d}
	for account := range d.accounts {
		for _, step := range []func(book, string) error{checkPolicies, checkGroups, checkUsers, checkRoles, checkProviders} {
			if err := step(b, account); err != nil {
				return fmt.Errorf("account %s: %w", account, err)
			}
		}
	}
	return nil
}

func checkPolicies(b book, account string) error {
	for _, name := range slices.Sorted(maps.Keys(b.declared.policies[account])) {
		row := b.declared.policies[account][name]
		if err := done(checkName(name, &row.Path), func() error { return checkText(row.Text, maxPolicy) }); err != nil {
			return fmt.Errorf("policy %s: %w", name, err)
		}
	}
	return nil
}

func checkGroups(b book, account string) error {
	for _, name := range slices.Sorted(maps.Keys(b.declared.groups[account])) {
		row := b.declared.groups[account][name]
		if err := done(checkName(name, &row.Path), func() error { return b.checkGiven(account, row.policies) }); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
		b.declared.groups[account][name] = row
	}
	return nil
}

func checkUsers(b book, account string) error {
	for _, name := range slices.Sorted(maps.Keys(b.declared.users[account])) {
		row := b.declared.users[account][name]
		err := done(checkName(name, &row.Path), func() error { return b.checkGiven(account, row.policies) }, func() error { return b.checkUser(account, row) },
			func() error {
				if row.Password == "" {
					return nil
				}
				return checkHash(row.Password)
			})
		if err != nil {
			return fmt.Errorf("user %s: %w", name, err)
		}
		b.declared.users[account][name] = row
	}
	return nil
}

func checkRoles(b book, account string) error {
	for _, name := range slices.Sorted(maps.Keys(b.declared.roles[account])) {
		row := b.declared.roles[account][name]
		err := done(checkName(name, &row.Path), func() error { return b.checkGiven(account, row.policies) }, func() error { return b.checkRole(account, row) })
		if err != nil {
			return fmt.Errorf("role %s: %w", name, err)
		}
		b.declared.roles[account][name] = row
	}
	return nil
}

func checkProviders(b book, account string) error {
	for _, name := range slices.Sorted(maps.Keys(b.declared.providers[account])) {
		if err := checkProvider(b.declared.providers[account][name]); err != nil {
			return fmt.Errorf("provider %s: %w", strings.TrimSpace(name), err)
		}
	}
	return nil
}

// checkGiven refuses policies that cannot be parsed or are not there.
func (b book) checkGiven(account string, p policies) error {
	for _, name := range slices.Sorted(maps.Keys(p.Inline)) {
		if !nameSyntax.MatchString(name) {
			return invalid("%q is no name of a policy", name)
		}
		if _, err := policy.ParseIdentity(p.Inline[name]); err != nil {
			return fmt.Errorf("inline policy %s: %w", name, err)
		}
	}
	for _, arn := range p.Attached {
		if _, err := b.managed(account, arn); err != nil {
			return fmt.Errorf("%s: %w", arn, err)
		}
	}
	return nil
}

// nowhere is an index without rows.
type nowhere struct{ storage.Reader }
