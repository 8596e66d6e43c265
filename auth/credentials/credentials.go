// Package credentials turns what a request shows into a Principal: a SigV4
// signature, a registry password or a signed layer link. It is the one place
// where that is decided, for every door.
//
// All that is derived from an access key, a registry password, a temporary key
// or a link, dies with it: each use looks the key up again, or knows that nothing has
// changed since the last time.
package credentials

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/oidc"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// Options say what a Verifier stands on.
type Options struct {
	Accounts *accounts.Store
	// TokenKeys are master keys for what is derived from access keys: at least
	// token.MinKey random bytes each. The first is used to issue, the others
	// were used before.
	TokenKeys [][]byte
	Now       func() time.Time // nil means time.Now
	// Clients is the clock that requests' signatures are held against, which others made
	// by theirs; nil means Now.
	Clients func() time.Time
	// SpoolDir is a folder of the Verifier's own for the bodies that it does
	// not hold in memory, made if need be. With "" it holds them all there.
	SpoolDir string
	// MaxSpools is how many bodies over 64 KiB there may be at one time; more
	// are refused until one is closed. 0 means 128.
	MaxSpools int
	// Home is the server's own account: that of people who say no other.
	Home string
	// HasRegion says whether a region exists; nil means that all do.
	HasRegion func(region string) bool
	// NoteDenial holds a denial to act as a role, with the reason that who is denied is
	// not told, and returns its code; nil means that none has one.
	NoteDenial func(ctx context.Context, d *auth.Denied, reason string) (code string)
	// WebIdentities verifies tokens of the accounts' providers; nil means that none is
	// taken.
	WebIdentities *oidc.Verifier
	// Guard slows down who guesses; nil lets everybody try.
	Guard *throttle.Guard
}

// Verifier checks credentials and issues those that are derived from others.
// It is safe for use by several goroutines.
type Verifier struct {
	accounts  *accounts.Store
	tokens    *token.Ring
	now       func() time.Time
	clients   func() time.Time
	hasRegion func(string) bool
	spool     *spool
	home      string
	forms     atomic.Pointer[Forms]
	people    *people
	issued    issued
	shown     *storage.Memo[[sha256.Size]byte, shownPassword]
	heard     *storage.Memo[[sha256.Size]byte, auth.Principal] // of bearer tokens
	headers   *storage.Memo[string, shownPassword]             // by the Basic header with the password
	guard     *throttle.Guard

	webIdentities *oidc.Verifier
	noteDenial    func(context.Context, *auth.Denied, string) string
}

// New checks options and removes from SpoolDir what a killed server left.
func New(o Options) (*Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clients == nil {
		o.Clients = o.Now
	}
	if o.NoteDenial == nil {
		o.NoteDenial = func(context.Context, *auth.Denied, string) string { return "" }
	}
	if o.HasRegion == nil {
		o.HasRegion = func(string) bool { return true }
	}
	tokens, err := token.NewRing(o.Now, o.TokenKeys...)
	if err != nil {
		return nil, err
	}
	spool, err := newSpool(o.SpoolDir, o.MaxSpools)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		accounts: o.Accounts, tokens: tokens, now: o.Now, clients: o.Clients, hasRegion: o.HasRegion, spool: spool,
		webIdentities: o.WebIdentities, noteDenial: o.NoteDenial,
		home: o.Home, people: newPeople(), guard: o.Guard,
	}
	if o.Accounts != nil { // without any there is no password that could be right
		v.shown = storage.NewMemo[[sha256.Size]byte, shownPassword](o.Accounts.Changes(), maxShown)
		v.heard = storage.NewMemo[[sha256.Size]byte, auth.Principal](o.Accounts.Changes(), maxShown)
		v.headers = storage.NewMemo[string, shownPassword](o.Accounts.Changes(), maxHeaders)
	}
	v.SetForms(Forms{})
	return v, nil
}

// errDead says that an access key is gone, inactive, or not what it was when
// something was derived from it.
var errDead = errors.New("credentials: access key is dead")

// errNoKey is an errDead of a key that is not there.
var errNoKey = fmt.Errorf("%w: there is none of its id", errDead)

// liveKey returns an access key that is in force, or errDead.
func (v *Verifier) liveKey(ctx context.Context, id string) (accounts.Key, error) {
	key, err := v.accounts.Key(ctx, id)
	switch {
	case errors.Is(err, accounts.ErrNoKey):
		return accounts.Key{}, errNoKey
	case err != nil:
		return accounts.Key{}, fmt.Errorf("look up access key: %w", err)
	case !key.Active:
		return accounts.Key{}, errDead
	}
	return key, nil
}

// liveParent returns the access key that something was derived from when it
// was of account and had the given mark, or errDead.
func (v *Verifier) liveParent(ctx context.Context, id, account, mark string) (accounts.Key, error) {
	key, err := v.liveKey(ctx, id)
	if err != nil {
		return accounts.Key{}, err
	}
	if key.Account != account || key.Mark != mark {
		return accounts.Key{}, errDead
	}
	return key, nil
}

// owner is whose a key is, who used it in region: the root of its account or a
// user.
func owner(key accounts.Key, region string) auth.Principal {
	p := auth.Principal{
		Account: key.Account,
		ARN:     "arn:" + endpoint.Partition(region) + ":iam::" + key.Account + ":root",
		UserID:  key.Account,
		KeyID:   key.ID,
		Region:  region,
		Kind:    auth.Root,
	}
	if key.User != "" {
		return user(key.Owner, key.ID, region)
	}
	return p
}

// user is a user who showed something of a key, or of none, in region.
func user(u accounts.User, keyID, region string) auth.Principal {
	return auth.Principal{
		Account: u.Account,
		ARN:     "arn:" + endpoint.Partition(region) + ":iam::" + u.Account + ":user" + u.Path + u.Name,
		UserID:  u.ID,
		KeyID:   keyID,
		Region:  region,
		Kind:    auth.User,
		Name:    u.Name,
	}
}
