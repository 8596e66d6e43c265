package accounts

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
)

// Identity is what a principal's own account says of it: what it is given, and
// what limits that.
type Identity struct {
	Policies    []policy.Attached // its own and its groups'
	Boundary    []policy.Attached
	HasBoundary bool
	Session     []policy.Attached
	HasSession  bool
	Tags        map[string]string
	// PasswordLife is how long its registry passwords hold; 0 means the default.
	PasswordLife time.Duration
}

// Identity returns what there is to know of a principal. Root has nothing of its
// own: it is given everything. The error is ErrNoUser or ErrNoRole for one that is
// gone or another of the same name, or disabled; else a fault.
//
// What it returns is shared, and not to be changed. It costs no transaction as long as
// nothing of the Store changes, and one look-up as long as nothing in the account does.
func (s *Store) Identity(ctx context.Context, p auth.Principal) (id Identity, err error) {
	if p.Kind != auth.User && p.Kind != auth.Role {
		return Identity{}, nil
	}
	if !p.Session.Limited() {
		return s.identity(ctx, p)
	}
	return s.limited(ctx, p)
}

// limited is Identity for who is in a session that is limited.
func (s *Store) limited(ctx context.Context, p auth.Principal) (id Identity, err error) {
	err = s.view(ctx, func(b book) error {
		c, err := s.compiled(b, p)
		if err != nil {
			return err
		}
		if id, err = c.of(p); err != nil {
			return err
		}
		id, err = b.inSession(id, p.Account, p.Session)
		return err
	})
	return id, err
}

// identity is Identity for who is in no session that is limited.
func (s *Store) identity(ctx context.Context, p auth.Principal) (Identity, error) {
	k := memoKey{cacheKey{p.Account, p.Kind, p.Name}, s.declared.Load()}
	c, err := s.memo.Get(k, func() (c compiled, err error) {
		err = s.index.View(ctx, func(r storage.Reader) error {
			c, err = s.compiled(book{r, k.declared}, p)
			return err
		})
		return c, err
	})
	if err != nil {
		return Identity{}, err
	}
	return c.of(p)
}

// compiled is what there is under the name of a principal now.
func (s *Store) compiled(b book, p auth.Principal) (compiled, error) {
	n, err := b.generation(p.Account)
	if err != nil {
		return compiled{}, err
	}
	at := cacheKey{p.Account, p.Kind, p.Name}
	found, ok := s.cache.get(at, version{n, b.declared})
	if !ok {
		if found, err = s.compile(b, p); err != nil {
			return compiled{}, err
		}
		s.cache.put(at, version{n, b.declared}, found)
	}
	return found, nil
}

// of is the Identity for a principal, if it is the one that its credentials were
// issued to.
func (c compiled) of(p auth.Principal) (Identity, error) {
	if c.disabled || !issuedTo(p, c.id) {
		return Identity{}, gone(p.Kind)
	}
	return c.Identity, nil
}

// issuedTo says whether credentials are those of the identity that has their name
// now. Those without a session have been looked up by the key.
func issuedTo(p auth.Principal, id string) bool {
	return p.Session == nil || p.Session.IssuerID == id
}

func gone(k auth.Kind) error {
	if k == auth.Role {
		return ErrNoRole
	}
	return ErrNoUser
}

// compiled is an Identity without a session.
type compiled struct {
	Identity
	id       string
	disabled bool
}

// compile reads and parses what an identity is given.
func (s *Store) compile(b book, p auth.Principal) (compiled, error) {
	if p.Kind == auth.Role {
		row, err := b.role(p.Account, p.Name)
		if err != nil {
			return compiled{}, err
		}
		c := compiled{Identity: Identity{Tags: row.Tags, PasswordLife: row.Life}, id: row.ID}
		return c, b.fill(&c.Identity, p.Account, row.Boundary, given{"role " + s.arn(p.Account, "role", row.Path, p.Name), row.policies})
	}
	row, err := b.user(p.Account, p.Name)
	if err != nil {
		return compiled{}, err
	}
	from := []given{{"user " + s.arn(p.Account, "user", row.Path, p.Name), row.policies}}
	for _, name := range row.Groups {
		g, err := b.group(p.Account, name)
		if err != nil {
			return compiled{}, err
		}
		from = append(from, given{"group " + s.arn(p.Account, "group", g.Path, name), g.policies})
	}
	c := compiled{Identity: Identity{Tags: row.Tags, PasswordLife: row.Life}, id: row.ID, disabled: row.Disabled}
	return c, b.fill(&c.Identity, p.Account, row.Boundary, from...)
}

// given are the policies of a holder, in words.
type given struct {
	holder string
	policies
}

// fill parses policies and the boundary.
func (b book) fill(id *Identity, account, boundary string, from ...given) error {
	for _, g := range from {
		for _, name := range slices.Sorted(maps.Keys(g.Inline)) {
			d, err := policy.ParseIdentity(g.Inline[name])
			if err != nil {
				return err
			}
			id.Policies = append(id.Policies, policy.Attached{Name: "inline policy " + name + " of " + g.holder, Document: d})
		}
		attached, err := b.managedAll(account, g.Attached)
		if err != nil {
			return err
		}
		id.Policies = append(id.Policies, attached...)
	}
	if boundary == "" {
		return nil
	}
	id.HasBoundary = true
	var err error
	id.Boundary, err = b.managedAll(account, []string{boundary})
	return err
}

func (b book) managedAll(account string, arns []string) (list []policy.Attached, err error) {
	for _, arn := range arns {
		d, err := b.managed(account, arn)
		if err != nil {
			return nil, err
		}
		list = append(list, policy.Attached{Name: arn, Document: d})
	}
	return list, nil
}

// inSession adds what limits a session. A managed policy that is gone allows
// nothing: the session stays limited.
func (b book) inSession(id Identity, account string, s *auth.Session) (Identity, error) {
	if !s.Limited() {
		return id, nil
	}
	id.HasSession = true
	for _, text := range s.Policies {
		d, err := policy.ParseIdentity(text)
		if err != nil {
			return Identity{}, err
		}
		id.Session = append(id.Session, policy.Attached{Name: "session policy of " + s.ID, Document: d})
	}
	for _, arn := range s.PolicyARNs {
		if d, err := b.managed(account, arn); err == nil {
			id.Session = append(id.Session, policy.Attached{Name: arn, Document: d})
		} else if err != ErrNoPolicy {
			return Identity{}, err
		}
	}
	return id, nil
}

// maxCached is how many identities are held parsed. More than that begin anew.
const maxCached = 10_000

// cache holds parsed identities. The zero value is ready.
type cache struct {
	mu      sync.RWMutex
	entries map[cacheKey]entry
}

type cacheKey struct {
	account string
	kind    auth.Kind
	name    string
}

// memoKey is where an identity is remembered.
type memoKey struct {
	cacheKey
	declared *declaration
}

// version is what an entry was read at: the count of changes, and the declaration.
type version struct {
	generation uint64
	declared   *declaration
}

type entry struct {
	at version
	compiled
}

func (c *cache) get(k cacheKey, at version) (compiled, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.entries[k]
	return e.compiled, ok && e.at == at
}

func (c *cache) put(k cacheKey, at version, v compiled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxCached {
		c.entries = map[cacheKey]entry{}
	}
	c.entries[k] = entry{at, v}
}
