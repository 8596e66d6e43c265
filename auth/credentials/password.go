package credentials

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/token"
)

// User is the user name that goes with every registry password, as ECR's.
const User = "AWS"

// Password issues a registry password for a principal: opaque, without a
// colon, for twelve hours, in the principal's region.
func (v *Verifier) Password(ctx context.Context, p auth.Principal) (password string, expires time.Time, err error) {
	key, err := v.liveKey(ctx, p.KeyID)
	if err != nil {
		return "", time.Time{}, refuseDead(err)
	}
	return v.tokens.Password(token.Claims{
		KeyID: p.KeyID, Mark: key.Mark,
		Account: p.Account, Region: p.Region, ARN: p.ARN, UserID: p.UserID,
	})
}

// Basic verifies the user name and password of a Basic header. The error is
// ErrBadPassword whatever is wrong with them, also an ErrExpiredPassword, or a
// fault. The Principal's
// Region is the one that issued the password.
//
// The password is checked first and whatever the user name is, and a key is
// looked up only for a password that this server made: how long it takes tells
// nothing of which users or keys there are.
func (v *Verifier) Basic(ctx context.Context, user, password string) (auth.Principal, error) {
	c, err := v.tokens.OpenPassword(password)
	if errors.Is(err, token.ErrExpired) && user == User {
		return auth.Principal{}, ErrExpiredPassword
	}
	if err != nil || user != User {
		return auth.Principal{}, ErrBadPassword
	}
	key, err := v.liveParent(ctx, c.KeyID, c.Account, c.Mark)
	if errors.Is(err, errDead) {
		return auth.Principal{}, ErrBadPassword
	}
	if err != nil {
		return auth.Principal{}, err
	}
	return owner(key, c.Region), nil
}
