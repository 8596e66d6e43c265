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
	c := token.Claims{Account: p.Account, Region: p.Region, ARN: p.ARN, UserID: p.UserID}
	if c.Session, err = v.noted(ctx, p); err != nil {
		return "", time.Time{}, err
	}
	if c.Session == nil {
		key, err := v.liveKey(ctx, p.KeyID)
		if err != nil {
			return "", time.Time{}, refuseDead(err)
		}
		c.KeyID, c.Mark = key.ID, key.Mark
	}
	password, expires, err = v.tokens.Password(c)
	if errors.Is(err, token.ErrTooLong) {
		err = refuse(ValidationError, "The session carries more policies and tags than a registry password has room for. Please use managed policies.")
	}
	return password, expires, err
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
	p, err := v.holder(ctx, c)
	if errors.Is(err, errDead) {
		return auth.Principal{}, ErrBadPassword
	}
	return p, err
}

// holder is whom a registry password stands for, or errDead.
func (v *Verifier) holder(ctx context.Context, c token.Claims) (auth.Principal, error) {
	if c.Session != nil {
		return v.revive(ctx, *c.Session, c.Region)
	}
	key, err := v.liveParent(ctx, c.KeyID, c.Account, c.Mark)
	if err != nil {
		return auth.Principal{}, err
	}
	return owner(key, c.Region), nil
}
