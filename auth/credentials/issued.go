package credentials

import (
	"context"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/token"
)

// issued are registry passwords that are not listed yet: to make one writes nothing,
// and it holds without being listed. The zero value is ready.
type issued struct {
	mu   sync.Mutex
	list []accounts.Issued
}

// maxUnlisted is how many wait at most. What is made beyond them is good but in no
// list; it can be revoked with its key or its user.
const maxUnlisted = 100_000

func (i *issued) note(one accounts.Issued) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.list) < maxUnlisted {
		i.list = append(i.list, one)
	}
}

// FlushIssued lists the registry passwords that were made since the last time. What
// cannot be written is tried again the next time.
func (v *Verifier) FlushIssued(ctx context.Context) error {
	v.issued.mu.Lock()
	list := v.issued.list
	v.issued.list = nil
	v.issued.mu.Unlock()
	const atOnce = 1000
	for len(list) > 0 {
		n := min(atOnce, len(list))
		if err := v.accounts.NoteIssued(ctx, list[:n]...); err != nil {
			v.issued.mu.Lock()
			defer v.issued.mu.Unlock()
			v.issued.list = append(list, v.issued.list...)
			return err
		}
		list = list[n:]
	}
	return nil
}

// PasswordRequest asks for a registry password in the name of a user or a role,
// without credentials of theirs: for administrators.
type PasswordRequest struct {
	Account    string
	User, Role string // one of them
	Region     string
	Life       time.Duration // 0 means what the identity says
	Scope      *auth.Scope
}

// sessionOfCommand is the name of the session that a role's password stands for.
const sessionOfCommand = "berth"

// PasswordFor issues a registry password that an administrator asks for. The error is
// accounts.ErrNoUser, accounts.ErrNoRole, an *Error or a fault.
func (v *Verifier) PasswordFor(ctx context.Context, r PasswordRequest) (password string, expires time.Time, err error) {
	p, err := v.named(ctx, r)
	if err != nil {
		return "", time.Time{}, err
	}
	p.Scope = r.Scope
	identity, err := v.accounts.Identity(ctx, p)
	if err != nil {
		return "", time.Time{}, err
	}
	life := r.Life
	if life == 0 {
		life = identity.PasswordLife
	}
	if life != 0 && (life < accounts.MinPasswordLife || life > accounts.MaxPasswordLife) {
		return "", time.Time{}, refuse(ValidationError, "A registry password holds from %v to %v", accounts.MinPasswordLife, accounts.MaxPasswordLife)
	}
	return v.issuePassword(ctx, p, life)
}

// named is the principal that a request names.
func (v *Verifier) named(ctx context.Context, r PasswordRequest) (auth.Principal, error) {
	if r.Role == "" {
		u, err := v.accounts.User(ctx, r.Account, r.User)
		return user(u, "", r.Region), err
	}
	role, err := v.accounts.Role(ctx, r.Account, r.Role)
	if err != nil {
		return auth.Principal{}, err
	}
	return v.revive(ctx, token.Session{
		KeyID: accounts.PrefixSession + sessionOfCommand, Account: r.Account, Name: sessionOfCommand, Issued: v.now().Unix(),
		Lineage: token.Lineage{Roles: []token.Role{{Account: r.Account, Name: r.Role, Mark: role.Mark}}},
	}, r.Region)
}
