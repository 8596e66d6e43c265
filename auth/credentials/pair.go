package credentials

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
)

// Pair verifies an id and its secret, of an access key or a robot key, and returns
// whose they are, in region. The error is an *Error, the same whatever is wrong with
// them; a *throttle.Exceeded after too many guesses; or a fault.
func (v *Verifier) Pair(ctx context.Context, id, secret, region string) (auth.Principal, error) {
	if strings.HasPrefix(id, accounts.PrefixRobot) {
		return v.robotPair(ctx, id, secret, region)
	}
	p, err := v.keyPair(ctx, id, secret, region)
	if errors.Is(err, errDead) {
		err = v.noteWrongSecret(ctx, id, refusePair())
	}
	return p, err
}

// keyPair is whose an access key is, in region, if the secret is its own; else
// errDead, or a *throttle.Exceeded.
func (v *Verifier) keyPair(ctx context.Context, id, secret, region string) (auth.Principal, error) {
	if err := v.suspended(ctx, id); err != nil {
		return auth.Principal{}, err
	}
	key, err := v.liveKey(ctx, id)
	if err != nil && !errors.Is(err, errDead) {
		return auth.Principal{}, err
	}
	// Compared also where there is no such key, with a secret that none has.
	if subtle.ConstantTimeCompare([]byte(key.Secret.Reveal()), []byte(secret)) != 1 || err != nil {
		return auth.Principal{}, errDead
	}
	v.accounts.NoteUse(id)
	return owner(key, region), nil
}

func (v *Verifier) robotPair(ctx context.Context, id, secret, region string) (auth.Principal, error) {
	robot, u, err := v.accounts.CheckRobot(ctx, id, accounts.NewSecret(secret))
	if errors.Is(err, accounts.ErrBadPassword) {
		return auth.Principal{}, v.noteWrongSecret(ctx, id, refusePair())
	}
	if err != nil {
		return auth.Principal{}, fmt.Errorf("look up robot key: %w", err)
	}
	return robotUser(robot, u, region), nil
}

// robotUser is the user of a robot key, within its scope.
func robotUser(r accounts.Robot, u accounts.User, region string) auth.Principal {
	p := user(u, r.ID, region)
	p.Scope = r.Scope
	return p
}

func refusePair() *Error {
	e := unrecognized()
	e.Status = http.StatusForbidden
	return e
}
