package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// The beginnings of key ids, as AWS's: of keys that last and of temporary ones.
const (
	PrefixKey     = "AKIA"
	PrefixSession = "ASIA"
)

// Create makes a key for an account, which exists from then on. The result is
// the one place that shows the secret.
func (s *Store) Create(ctx context.Context, account string) (Key, error) {
	k, _, err := s.create(ctx, account, "", func(storage.Reader) (string, error) { return "", nil })
	return k, err
}

// Ensure returns an account's key with a description, with its secret, and
// makes it if there is none that is active.
func (s *Store) Ensure(ctx context.Context, account, description string) (k Key, made bool, err error) {
	k, found, err := s.create(ctx, account, description, func(r storage.Reader) (string, error) {
		return findDescription(r, account, description)
	})
	if err != nil || found == "" {
		return k, err == nil, err
	}
	k, err = s.Key(ctx, found)
	return k, false, err
}

// EnsureRoot makes the first key of an account. If it has one already, stored
// or given from outside, made is false and the Key zero.
func (s *Store) EnsureRoot(ctx context.Context, account string) (k Key, made bool, err error) {
	if s.hasStatic(account) {
		return Key{}, false, nil
	}
	k, found, err := s.create(ctx, account, "", func(r storage.Reader) (string, error) {
		return firstStored(r, account)
	})
	return k, err == nil && found == "", err
}

// create makes a key, unless find names one that serves: then it returns that
// one's id alone. Both happen in one transaction.
func (s *Store) create(ctx context.Context, account, description string, find func(storage.Reader) (string, error)) (k Key, found string, err error) {
	if !isAccount(account) {
		return Key{}, "", ErrBadAccount
	}
	id, secret := NewPair(PrefixKey)
	row := keyRow{
		Account: account, Description: description,
		CreatedAt: s.now().UTC().Truncate(time.Second), Sealed: s.seal.seal(id, secret),
	}
	err = s.index.Update(ctx, func(tx storage.Tx) (err error) {
		if found, err = find(tx); err != nil || found != "" {
			return err
		}
		return put(tx, id, row)
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("make access key: %w", err)
	}
	if found != "" {
		return Key{}, found, nil
	}
	k = row.key(id)
	k.Secret = secret
	return k, "", nil
}

func put(tx storage.Tx, id string, row keyRow) error {
	if err := keyRows.Put(tx, row, id); err != nil {
		return err
	}
	return accountRows.Put(tx, struct{}{}, row.Account, id)
}

// firstStored is the id of an account's first stored key, or "".
func firstStored(r storage.Reader, account string) (string, error) {
	for f, err := range accountRows.Scan(r, table.Select{Prefix: []string{account}, Limit: 1}) {
		if err != nil {
			return "", err
		}
		return strings.Clone(f.Key[1]), nil // keys are lent
	}
	return "", nil
}

func findDescription(r storage.Reader, account, description string) (string, error) {
	for f, err := range accountRows.Scan(r, table.Select{Prefix: []string{account}}) {
		if err != nil {
			return "", err
		}
		row, err := keyRows.Get(r, f.Key[1])
		if err != nil {
			return "", err
		}
		if row.Description == description && !row.Inactive {
			return strings.Clone(f.Key[1]), nil // keys are lent
		}
	}
	return "", nil
}

// listPage is how many keys List reads in one view.
const listPage = 500

// List returns the stored keys in order of id, without their secrets.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	var all []Key
	for after := []string(nil); ; {
		var page []Key
		err := s.index.View(ctx, func(r storage.Reader) error {
			page = nil
			for f, err := range keyRows.Scan(r, table.Select{After: after, Limit: listPage}) {
				if err != nil {
					return err
				}
				page = append(page, f.Row.key(strings.Clone(f.Key[0])))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("list access keys: %w", err)
		}
		all = append(all, page...)
		if len(page) < listPage {
			return all, nil
		}
		after = []string{page[len(page)-1].ID}
	}
}

// Delete removes a stored key, and with it all that derives from it. The error
// is ErrNoKey, ErrStatic or a fault.
func (s *Store) Delete(ctx context.Context, id string) error {
	return s.change(ctx, id, func(tx storage.Tx, row keyRow) error {
		if err := accountRows.Delete(tx, row.Account, id); err != nil {
			return err
		}
		return keyRows.Delete(tx, id)
	})
}

// SetActive makes a stored key verify or no longer verify. The error is
// ErrNoKey, ErrStatic or a fault.
func (s *Store) SetActive(ctx context.Context, id string, active bool) error {
	return s.change(ctx, id, func(tx storage.Tx, row keyRow) error {
		row.Inactive = !active
		return keyRows.Put(tx, row, id)
	})
}

func (s *Store) change(ctx context.Context, id string, fn func(storage.Tx, keyRow) error) error {
	if _, ok := s.staticKey(id); ok {
		return ErrStatic
	}
	if !keySyntax.MatchString(id) {
		return ErrNoKey
	}
	err := s.index.Update(ctx, func(tx storage.Tx) error {
		row, err := keyRows.Get(tx, id)
		if err != nil {
			return err
		}
		return fn(tx, row)
	})
	if errors.Is(err, storage.ErrNotFound) {
		return ErrNoKey
	}
	if err != nil {
		return fmt.Errorf("change access key %s: %w", id, err)
	}
	return nil
}

// NewPair makes a key id of prefix and sixteen characters of base32, and a
// secret of forty letters and digits, as long as AWS's but without characters
// that a shell or a double click stumbles over.
func NewPair(prefix string) (id string, secret Secret) {
	b := make([]byte, 10)
	rand.Read(b) // does not fail: crypto/rand
	return prefix + base32.StdEncoding.EncodeToString(b), NewSecret(randomText(40))
}

// randomText is n random letters and digits.
func randomText(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, 0, n)
	for b := make([]byte, 2*n); len(text) < n; {
		rand.Read(b)
		for _, c := range b {
			if c < 4*byte(len(alphabet)) && len(text) < n { // the rest would favour the first letters
				text = append(text, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(text)
}
