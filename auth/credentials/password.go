package credentials

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/token"
)

// User is the user name that goes with every registry password, as ECR's.
const User = "AWS"

// Password issues a registry password for a principal: opaque, without a
// colon, in the principal's region. It holds as long as the principal's identity
// says, else for twelve hours, and no longer than what it derives from stays in
// force. What the principal may do is looked up when it is used.
func (v *Verifier) Password(ctx context.Context, p auth.Principal) (password string, expires time.Time, err error) {
	identity, err := v.accounts.Identity(ctx, p)
	if err != nil {
		return "", time.Time{}, refuseDead(dead(err))
	}
	return v.issuePassword(ctx, p, identity.PasswordLife)
}

// issuePassword makes a password and lists it.
func (v *Verifier) issuePassword(ctx context.Context, p auth.Principal, life time.Duration) (password string, expires time.Time, err error) {
	c, err := v.claims(ctx, p)
	if err != nil {
		return "", time.Time{}, err
	}
	c.ID = newPasswordID()
	password, expires, err = v.tokens.Password(c, life)
	if errors.Is(err, token.ErrTooLong) {
		return "", time.Time{}, refuse(ValidationError,
			"The session or the scope carries more than a registry password has room for. Please use managed policies, or fewer patterns.")
	}
	if err != nil {
		return "", time.Time{}, err
	}
	v.issued.note(accounts.Issued{
		ID: c.ID, Account: p.Account, ARN: p.ARN, KeyID: p.KeyID, Region: p.Region, Scope: p.Scope,
		SourceIP: auth.RequestOf(ctx).SourceIP, At: v.now(), Expires: expires,
	})
	return password, expires, nil
}

// newPasswordID is random, of 128 bits at least. It has letters and digits alone: an id is an
// argument of commands, where one that begins with a dash would be a flag.
func newPasswordID() string { return rand.Text() }

// claims say whom what derives from a principal stands for.
func (v *Verifier) claims(ctx context.Context, p auth.Principal) (c token.Claims, err error) {
	c = token.Claims{Account: p.Account, Region: p.Region, ARN: p.ARN, UserID: p.UserID, Scope: sealScope(p.Scope)}
	if c.Session, err = v.noted(ctx, p); err != nil || c.Session != nil {
		return c, err
	}
	switch {
	case strings.HasPrefix(p.KeyID, accounts.PrefixRobot):
		robot, _, err := v.liveRobot(ctx, p.KeyID)
		c.Robot, c.Mark = p.KeyID, robot.Mark
		return c, refuseDead(err)
	case p.KeyID == "":
		user, err := v.accounts.User(ctx, p.Account, p.Name)
		c.User, c.Mark = p.Name, user.Mark
		return c, refuseDead(dead(err))
	}
	key, err := v.liveKey(ctx, p.KeyID)
	c.KeyID, c.Mark = key.ID, key.Mark
	return c, refuseDead(err)
}

// dead is errDead for what is not there any more.
func dead(err error) error {
	for _, gone := range []error{accounts.ErrNoUser, accounts.ErrNoRole} {
		if errors.Is(err, gone) {
			return errDead
		}
	}
	return err
}

func sealScope(s *auth.Scope) *token.Scope {
	if s == nil {
		return nil
	}
	return &token.Scope{Repositories: s.Repositories, Actions: s.Actions, Networks: s.Networks}
}

func openScope(s *token.Scope) *auth.Scope {
	if s == nil {
		return nil
	}
	return &auth.Scope{Repositories: s.Repositories, Actions: s.Actions, Networks: s.Networks}
}

// shownPassword is a registry password that was verified, and whom it stands for.
type shownPassword struct {
	claims token.Claims
	by     auth.Principal
}

// maxShown is how many registry passwords are known without being verified anew,
// maxHeaders how many of them by the whole header, which is longer than a hash.
const maxShown, maxHeaders = 10_000, 2_000

// open verifies a registry password. The error is ErrBadPassword, also an
// ErrExpiredPassword, or a fault. A client shows its password with each request, so one
// that was right is known by its hash as long as nothing changes that could end it;
// only the time is looked at anew.
func (v *Verifier) open(ctx context.Context, password string) (auth.Principal, error) {
	shown, err := v.look(ctx, password)
	if err != nil {
		return auth.Principal{}, err
	}
	return v.inTime(shown)
}

// look is open whatever the time.
func (v *Verifier) look(ctx context.Context, password string) (shownPassword, error) {
	return v.shown.Get(sha256.Sum256([]byte(password)), func() (shownPassword, error) { return v.verify(ctx, password) })
}

// inTime is whom a password stands for, if it is in force now.
func (v *Verifier) inTime(shown shownPassword) (auth.Principal, error) {
	err := v.tokens.CheckLife(shown.claims)
	switch {
	case errors.Is(err, token.ErrExpired):
		return auth.Principal{}, ErrExpiredPassword
	case errors.Is(err, token.ErrNotYet):
		return auth.Principal{}, errForged
	case err != nil:
		return auth.Principal{}, err
	}
	return shown.by, nil
}

// verify is open without what is known.
func (v *Verifier) verify(ctx context.Context, password string) (shownPassword, error) {
	c, err := v.tokens.OpenPassword(password)
	if errors.Is(err, token.ErrExpired) {
		return shownPassword{}, ErrExpiredPassword
	}
	if err != nil {
		return shownPassword{}, errForged
	}
	p, err := v.alive(ctx, c)
	if errors.Is(err, errDead) {
		err = ErrBadPassword
	}
	return shownPassword{c, p}, err
}

// alive is whom claims stand for, if neither the password itself nor what it derives
// from has been revoked; else errDead.
func (v *Verifier) alive(ctx context.Context, c token.Claims) (auth.Principal, error) {
	if c.ID != "" {
		revoked, err := v.accounts.PasswordRevoked(ctx, c.ID)
		if err != nil {
			return auth.Principal{}, err
		}
		if revoked {
			return auth.Principal{}, errDead
		}
	}
	return v.holder(ctx, c)
}

// holder is whom claims stand for, or errDead.
func (v *Verifier) holder(ctx context.Context, c token.Claims) (p auth.Principal, err error) {
	switch {
	case c.Session != nil:
		p, err = v.revive(ctx, *c.Session, c.Region)
	case c.Robot != "":
		p, err = v.liveRobotOf(ctx, c)
	case c.User != "":
		p, err = v.liveUser(ctx, c)
	default:
		var key accounts.Key
		if key, err = v.liveParent(ctx, c.KeyID, c.Account, c.Mark); err == nil {
			p = owner(key, c.Region)
		}
	}
	if c.Scope != nil {
		p.Scope = openScope(c.Scope)
	}
	return p, err
}

func (v *Verifier) liveRobotOf(ctx context.Context, c token.Claims) (auth.Principal, error) {
	robot, u, err := v.liveRobot(ctx, c.Robot)
	if err == nil && robot.Mark != c.Mark {
		err = errDead
	}
	return robotUser(robot, u, c.Region), err
}

func (v *Verifier) liveUser(ctx context.Context, c token.Claims) (auth.Principal, error) {
	u, err := v.accounts.User(ctx, c.Account, c.User)
	if err == nil && (u.Mark != c.Mark || u.Disabled) {
		err = errDead
	}
	return user(u, "", c.Region), dead(err)
}
