package accounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
)

// Policy is a managed policy: one that has a name of its own and is attached to
// users, groups and roles.
type Policy struct {
	Account     string // "" for those that are built in
	Name, Path  string
	ID, ARN     string
	Description string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	Text        string
	Declared    bool
}

// NewPolicy is a managed policy to be made.
type NewPolicy struct {
	Name, Path, Description, Text string
}

// maxPolicy is how many characters that are no white space a managed policy has at
// most, maxInline all inline policies of an identity together (IAM user guide, "IAM
// and AWS STS quotas": 6,144 for a managed policy, 2,048 for a user's, 5,120 for a
// group's and 10,240 for a role's; here 10,240 for all).
const (
	maxPolicy = 6_144
	maxInline = 10_240
)

// checkText refuses what is no identity policy, or too long.
func checkText(text string, most int) error {
	if n := size(text); n > most {
		return fmt.Errorf("%w: a policy of %d characters, of at most %d", ErrLimit, n, most)
	}
	_, err := policy.ParseIdentity(text)
	return err
}

// size counts the characters of a policy but for white space, as AWS does.
func size(text string) int { return len([]rune(strings.Join(strings.Fields(text), ""))) }

// Holder is a user, a group or a role, which policies are given to.
type Holder struct {
	Account string
	Kind    HolderKind
	Name    string
}

// HolderKind is a kind of Holder.
type HolderKind string

// The kinds.
const (
	HolderUser  HolderKind = "user"
	HolderGroup HolderKind = "group"
	HolderRole  HolderKind = "role"
)

// PutInline gives a holder a policy of its own, in place of one of the same name.
// The error may be ErrNoUser and its like, ErrInvalid, ErrLimit, ErrDeclared, or a
// *policy.Error.
func (s *Store) PutInline(ctx context.Context, h Holder, name, text string) error {
	if !nameSyntax.MatchString(name) {
		return invalid("a policy's name has 1 to 64 letters, digits and characters of _+=,.@-")
	}
	if err := checkText(text, maxInline); err != nil {
		return err
	}
	return s.give(ctx, h, func(_ book, p *policies) error {
		p.Inline = retag(p.Inline, map[string]string{name: text}, nil)
		total := 0
		for _, text := range p.Inline {
			total += size(text)
		}
		if total > maxInline {
			return fmt.Errorf("%w: inline policies of %d characters, of at most %d", ErrLimit, total, maxInline)
		}
		return nil
	})
}

// DeleteInline takes a policy of its own from a holder. The error may be
// ErrNoPolicy, or as for PutInline.
func (s *Store) DeleteInline(ctx context.Context, h Holder, name string) error {
	return s.give(ctx, h, func(_ book, p *policies) error {
		if _, ok := p.Inline[name]; !ok {
			return ErrNoPolicy
		}
		p.Inline = retag(p.Inline, nil, []string{name})
		return nil
	})
}

// Attach gives a holder a managed policy by its ARN. Twice is no error.
func (s *Store) Attach(ctx context.Context, h Holder, arn string) error {
	return s.give(ctx, h, func(b book, p *policies) error {
		if _, err := b.managed(h.Account, arn); err != nil {
			return err
		}
		p.Attached = slices.Clone(p.Attached)
		if !slices.Contains(p.Attached, arn) {
			p.Attached = append(p.Attached, arn)
		}
		if len(p.Attached) > maxAttached {
			return fmt.Errorf("%w: %d attached policies", ErrLimit, maxAttached)
		}
		slices.Sort(p.Attached)
		return nil
	})
}

// Detach takes a managed policy from a holder. The error may be ErrNoPolicy.
func (s *Store) Detach(ctx context.Context, h Holder, arn string) error {
	return s.give(ctx, h, func(_ book, p *policies) error {
		i := slices.Index(p.Attached, arn)
		if i < 0 {
			return ErrNoPolicy
		}
		p.Attached = slices.Delete(slices.Clone(p.Attached), i, i+1)
		return nil
	})
}

// give changes the policies of a holder.
func (s *Store) give(ctx context.Context, h Holder, fn func(book, *policies) error) error {
	return s.change(ctx, h.Account, func(tx storage.Tx, b book) error {
		switch h.Kind {
		case HolderUser:
			row, err := b.user(h.Account, h.Name)
			return done(err, func() error { return fn(b, &row.policies) }, func() error { return userRows.Put(tx, row, h.Account, h.Name) })
		case HolderGroup:
			row, err := b.group(h.Account, h.Name)
			return done(err, func() error { return fn(b, &row.policies) }, func() error { return groupRows.Put(tx, row, h.Account, h.Name) })
		case HolderRole:
			row, err := b.role(h.Account, h.Name)
			return done(err, func() error { return fn(b, &row.policies) }, func() error { return roleRows.Put(tx, row, h.Account, h.Name) })
		}
		return invalid("%q is no kind of identity", h.Kind)
	})
}

// done takes steps until one fails.
func done(err error, steps ...func() error) error {
	for _, step := range steps {
		if err != nil {
			return err
		}
		err = step()
	}
	return err
}

func (s *Store) asPolicy(account, name string, row policyRow) Policy {
	return Policy{
		Account: account, Name: name, Path: row.Path, ID: row.ID, ARN: s.arn(account, "policy", row.Path, name), Description: row.Description,
		CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt, Text: row.Text, Declared: s.declared.Load().has(account),
	}
}

// CreatePolicy makes a managed policy. The error may be ErrExists, ErrInvalid,
// ErrLimit, ErrDeclared, or a *policy.Error.
func (s *Store) CreatePolicy(ctx context.Context, account string, n NewPolicy) (Policy, error) {
	now := s.today()
	row := policyRow{ID: newID(prefixPolicy), Path: n.Path, Description: n.Description, CreatedAt: now, UpdatedAt: now, Text: n.Text}
	if err := checkName(n.Name, &row.Path); err != nil {
		return Policy{}, err
	}
	if err := checkText(n.Text, maxPolicy); err != nil {
		return Policy{}, err
	}
	err := s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.policy(account, n.Name); checkNew(err, ErrNoPolicy) != nil {
			return checkNew(err, ErrNoPolicy)
		}
		return policyRows.Put(tx, row, account, n.Name)
	})
	if err != nil {
		return Policy{}, err
	}
	return s.asPolicy(account, n.Name, row), nil
}

// UpdatePolicy gives a managed policy another text, which is in force for the
// next request. The error may be ErrNoPolicy, ErrLimit, ErrDeclared, or a
// *policy.Error.
func (s *Store) UpdatePolicy(ctx context.Context, account, name, text string) (p Policy, err error) {
	if err := checkText(text, maxPolicy); err != nil {
		return Policy{}, err
	}
	err = s.change(ctx, account, func(tx storage.Tx, b book) error {
		row, err := b.policy(account, name)
		if err != nil {
			return err
		}
		row.Text, row.UpdatedAt = text, s.today()
		p = s.asPolicy(account, name, row)
		return policyRows.Put(tx, row, account, name)
	})
	if err != nil {
		return Policy{}, err
	}
	return p, nil
}

// DeletePolicy removes a managed policy that nobody has. The error may be
// ErrNoPolicy, ErrInUse, ErrDeclared.
func (s *Store) DeletePolicy(ctx context.Context, account, name string) error {
	return s.change(ctx, account, func(tx storage.Tx, b book) error {
		row, err := b.policy(account, name)
		if err != nil {
			return err
		}
		used, err := b.uses(account, s.arn(account, "policy", row.Path, name))
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return fmt.Errorf("%w: %s", ErrInUse, strings.Join(used, ", "))
		}
		return policyRows.Delete(tx, account, name)
	})
}

// uses says who has a managed policy of the account, as its boundary or else.
func (b book) uses(account, arn string) (who []string, err error) {
	users, err := all(b, userRows, b.declared.users, account)
	if err != nil {
		return nil, err
	}
	groups, err := all(b, groupRows, b.declared.groups, account)
	if err != nil {
		return nil, err
	}
	roles, err := all(b, roleRows, b.declared.roles, account)
	for _, u := range users {
		if samePolicy(u.row.Boundary, arn) || u.row.attached(arn) {
			who = append(who, "user "+u.name)
		}
	}
	for _, g := range groups {
		if g.row.attached(arn) {
			who = append(who, "group "+g.name)
		}
	}
	for _, r := range roles {
		if samePolicy(r.row.Boundary, arn) || r.row.attached(arn) {
			who = append(who, "role "+r.name)
		}
	}
	return who, err
}

func (p policies) attached(arn string) bool {
	return slices.ContainsFunc(p.Attached, func(a string) bool { return samePolicy(a, arn) })
}

// samePolicy compares ARNs whatever their partitions: a server knows its
// identities in all of them.
func samePolicy(a, b string) bool {
	_, a, _ = strings.Cut(strings.TrimPrefix(a, "arn:"), ":")
	_, b, _ = strings.Cut(strings.TrimPrefix(b, "arn:"), ":")
	return a == b
}

// Policies are the managed policies of an account in order of name, those that are
// built in after them.
func (s *Store) Policies(ctx context.Context, account string) (list []Policy, err error) {
	err = s.view(ctx, func(b book) error {
		rows, err := all(b, policyRows, b.declared.policies, account)
		list = nil
		for _, n := range rows {
			list = append(list, s.asPolicy(account, n.name, n.row))
		}
		return err
	})
	for _, name := range slices.Sorted(maps.Keys(builtin)) {
		list = append(list, s.builtinPolicy(name))
	}
	return list, err
}

// Policy returns a managed policy by its ARN or, in the account, by its name, also
// one that is built in. The error may be ErrNoPolicy.
func (s *Store) Policy(ctx context.Context, account, nameOrARN string) (p Policy, err error) {
	name, own := policyName(account, nameOrARN)
	err = s.view(ctx, func(b book) error {
		row, err := b.policy(account, name)
		p = s.asPolicy(account, name, row)
		return err
	})
	if err == nil && own {
		return p, nil
	}
	if _, ok := builtin[name]; ok && (err == nil || err == ErrNoPolicy) {
		return s.builtinPolicy(name), nil
	}
	if err == nil {
		err = ErrNoPolicy
	}
	return Policy{}, err
}

// policyName is the name in the ARN of a managed policy, and whether it may be one
// of the account. Anything else is taken for a name.
func policyName(account, s string) (name string, own bool) {
	part := strings.SplitN(s, ":", 6)
	if len(part) != 6 {
		return s, true
	}
	path, ok := strings.CutPrefix(part[5], "policy/")
	if !ok {
		return "", false
	}
	return path[strings.LastIndexByte(path, '/')+1:], part[4] == account
}

// managed finds a managed policy by its ARN: of the account, or built in.
func (b book) managed(account, arn string) (*policy.Document, error) {
	name, own := policyName(account, arn)
	if !strings.HasPrefix(arn, "arn:") {
		return nil, ErrNoPolicy
	}
	if !own {
		text, ok := builtin[name]
		if !ok || !strings.Contains(arn, ":iam::aws:policy/"+name) {
			return nil, ErrNoPolicy
		}
		return policy.ParseIdentity(text)
	}
	row, err := b.policy(account, name)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(arn, ":policy"+row.Path+name) {
		return nil, ErrNoPolicy
	}
	return policy.ParseIdentity(row.Text)
}
