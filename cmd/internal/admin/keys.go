package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about access keys.
var (
	CreateKey    = Call[OfUser, Key]{"create-key"}
	ListKeys     = Call[OfUser, []Key]{"list-keys"}
	SetKeyActive = Call[KeyState, None]{"set-key-active"}
	RevokeKey    = Call[ByID, None]{"revoke-key"} // what derives from it
	DeleteKey    = Call[ByID, None]{"delete-key"}
)

// OfUser asks about what a user has. CreateKey takes "" for the account's root; lists
// take it for everybody and, where the account is "" too, for all accounts.
type OfUser struct {
	Account string `json:"account,omitempty"`
	User    string `json:"user,omitempty"`
}

func (q OfUser) subject() string { return q.User }

// Key is an access key. Its JSON form is what commands print.
type Key struct {
	ID          string    `json:"AccessKeyId"`
	Secret      Shown     `json:"SecretAccessKey,omitzero"` // where the key is new
	Account     string    `json:"Account"`
	User        string    `json:"UserName,omitempty"` // "" for the account's root
	Description string    `json:"Description"`
	CreatedAt   time.Time `json:"CreatedAt"`
	UsedAt      time.Time `json:"LastUsedAt,omitzero"`
	Active      bool      `json:"Active"`
}

// KeyState says whether a key is to verify anything.
type KeyState struct {
	ByID
	Active bool `json:"active"`
}

func (c *Clerk) answerKeys(all answers) {
	answered(all, CreateKey, c.createKey)
	answered(all, ListKeys, c.listKeys)
	done(all, SetKeyActive, func(ctx context.Context, q KeyState) error { return c.Accounts.SetActive(ctx, q.ID, q.Active) })
	done(all, RevokeKey, func(ctx context.Context, q ByID) error { return c.Accounts.RevokeKey(ctx, q.ID) })
	done(all, DeleteKey, func(ctx context.Context, q ByID) error { return c.Accounts.Delete(ctx, q.ID) })
}

func (c *Clerk) createKey(ctx context.Context, q OfUser) (Key, error) {
	var k accounts.Key
	var err error
	if q.User == "" {
		k, err = c.Accounts.Create(ctx, c.account(q.Account))
	} else {
		k, err = c.Accounts.CreateFor(ctx, c.account(q.Account), q.User)
	}
	return keyOf(k), err
}

func (c *Clerk) listKeys(ctx context.Context, q OfUser) ([]Key, error) {
	if err := c.Accounts.FlushUses(ctx); err != nil { // else their last use would be that of a while ago
		return nil, err
	}
	list, err := c.Accounts.List(ctx)
	if err != nil {
		return nil, err
	}
	keys := []Key{}
	for _, k := range list {
		if c.concerns(q, k.Account, k.User) {
			keys = append(keys, keyOf(k))
		}
	}
	return keys, nil
}

// concerns says whether a list that was asked for has something of a user. A user
// without an account is one of the server's own.
func (c *Clerk) concerns(q OfUser, account, user string) bool {
	if q.User != "" {
		return user == q.User && account == c.account(q.Account)
	}
	return q.Account == "" || account == q.Account
}

func keyOf(k accounts.Key) Key {
	return Key{
		ID: k.ID, Secret: Show(k.Secret), Account: k.Account, User: k.User, Description: k.Description,
		CreatedAt: k.CreatedAt, UsedAt: k.UsedAt, Active: k.Active,
	}
}
