// Package accounts keeps access keys. Those that the server makes are rows in
// the index, their secrets sealed under a key that lies elsewhere; those that
// are given from outside, the environment's root pair and the keys of a
// development server, are held in memory and never written down.
//
// An account exists once it has a key. For now every key is its account's
// root's.
package accounts

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// The refusals of a Store.
var (
	ErrNoKey      = errors.New("accounts: no such access key")
	ErrStatic     = errors.New("accounts: the access key is set from outside and holds as long as it is")
	ErrBadAccount = errors.New("accounts: an account id has twelve digits")
)

// Key is an access key.
type Key struct {
	ID          string
	Secret      Secret // zero in lists
	Account     string
	Description string    // who asked for it, "" for a person
	CreatedAt   time.Time // zero for a static key
	Active      bool      // an inactive key verifies nothing
	Static      bool      // given from outside, not kept
}

// Options say where keys are.
type Options struct {
	Index storage.Index
	// SealingKey encrypts secrets in the index: at least 32 random bytes, kept
	// outside of it. Whoever loses it loses every stored key.
	SealingKey []byte
	Now        func() time.Time // nil means time.Now
	// Static are keys given from outside, such as the environment's root pair.
	Static []Static
	// Dev accepts the keys of a development server, which everybody knows:
	// test/test, testing/testing, and any twelve digits with the secret
	// "test". With it every account exists.
	Dev bool
}

// Store keeps access keys. It is safe for use by several goroutines.
type Store struct {
	index  storage.Index
	seal   *sealer
	now    func() time.Time
	static map[string]Static
	dev    bool
}

// keyRow is a stored key, under its id.
type keyRow struct {
	Account     string    `json:"account"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	Inactive    bool      `json:"inactive,omitempty"`
	Sealed      []byte    `json:"sealed"`
}

var (
	keyRows = table.New[keyRow]("access-key", 1)
	// accountRows lists the keys of an account: account, id.
	accountRows = table.New[struct{}]("account-access-key", 2)
)

// Open checks options and, by the first stored key, that SealingKey is the one
// that the index's secrets were sealed with.
func Open(ctx context.Context, o Options) (*Store, error) {
	seal, err := newSealer(o.SealingKey)
	if err != nil {
		return nil, err
	}
	s := &Store{index: o.Index, seal: seal, now: o.Now, static: map[string]Static{}, dev: o.Dev}
	if s.now == nil {
		s.now = time.Now
	}
	if o.Dev {
		s.addStatic(devKeys...)
	}
	for _, k := range o.Static {
		if !isAccount(k.Account) {
			return nil, fmt.Errorf("account %q of access key %s: %w", k.Account, k.ID, ErrBadAccount)
		}
		s.addStatic(k)
	}
	return s, s.checkSeal(ctx)
}

func (s *Store) addStatic(keys ...Static) {
	for _, k := range keys {
		s.static[k.ID] = k
	}
}

func (s *Store) checkSeal(ctx context.Context) error {
	return s.index.View(ctx, func(r storage.Reader) error {
		for f, err := range keyRows.Scan(r, table.Select{Limit: 1}) {
			if err != nil {
				return fmt.Errorf("read access keys: %w", err)
			}
			_, err = s.seal.open(f.Key[0], f.Row.Sealed)
			return err
		}
		return nil
	})
}

// Key returns an access key with its secret, active or not, or ErrNoKey.
func (s *Store) Key(ctx context.Context, id string) (Key, error) {
	if k, ok := s.staticKey(id); ok {
		return k.key(), nil
	}
	if !keySyntax.MatchString(id) {
		return Key{}, ErrNoKey
	}
	var row keyRow
	err := s.index.View(ctx, func(r storage.Reader) (err error) {
		row, err = keyRows.Get(r, id)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Key{}, ErrNoKey
	}
	if err != nil {
		return Key{}, fmt.Errorf("read access key: %w", err)
	}
	return s.open(id, row)
}

// open makes a Key of a row, with its secret.
func (s *Store) open(id string, row keyRow) (Key, error) {
	secret, err := s.seal.open(id, row.Sealed)
	if err != nil {
		return Key{}, err
	}
	k := row.key(id)
	k.Secret = secret
	return k, nil
}

// key is the row without its secret.
func (row keyRow) key(id string) Key {
	return Key{ID: id, Account: row.Account, Description: row.Description, CreatedAt: row.CreatedAt, Active: !row.Inactive}
}

// HasAccount says whether an account exists: whether it has a key.
func (s *Store) HasAccount(ctx context.Context, account string) (bool, error) {
	if !isAccount(account) {
		return false, nil
	}
	if s.hasStatic(account) {
		return true, nil
	}
	var first string
	err := s.index.View(ctx, func(r storage.Reader) (err error) {
		first, err = firstStored(r, account)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for keys of account %s: %w", account, err)
	}
	return first != "", nil
}

var (
	// keySyntax is that of every key id that may be looked up. What the server
	// makes is AKIA and sixteen more; what is given from outside may be
	// anything of 3 to 128 letters and digits.
	keySyntax     = regexp.MustCompile(`^[A-Za-z0-9]{3,128}$`)
	accountSyntax = regexp.MustCompile(`^[0-9]{12}$`)
)

func isAccount(s string) bool { return accountSyntax.MatchString(s) }
