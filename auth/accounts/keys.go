package accounts

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// The beginnings of key ids, as AWS's: of keys that last and of temporary ones.
const (
	PrefixKey     = "AKIA"
	PrefixSession = "ASIA"
)

// maxKeys is how many access keys a user has at most (IAM user guide, "IAM and AWS
// STS quotas").
const maxKeys = 2

// Create makes a key for an account's root, which exists from then on. The result is
// the one place that shows the secret.
func (s *Store) Create(ctx context.Context, account string) (Key, error) {
	k, _, err := s.create(ctx, keyRow{Account: account}, func(storage.Reader) (string, error) { return "", nil })
	return k, err
}

// CreateFor makes a key for a user, who has two at most. The error may be ErrNoUser or
// ErrLimit.
func (s *Store) CreateFor(ctx context.Context, account, user string) (Key, error) {
	k, _, err := s.create(ctx, keyRow{Account: account, User: user}, func(r storage.Reader) (string, error) {
		ids, err := keysOf(r, account, user)
		if err == nil && len(ids) >= maxKeys {
			err = fmt.Errorf("%w: a user has %d access keys at most", ErrLimit, maxKeys)
		}
		return "", err
	})
	return k, err
}

// Ensure returns an account's key with a description, with its secret, and
// makes it if there is none that is active.
func (s *Store) Ensure(ctx context.Context, account, description string) (k Key, made bool, err error) {
	k, found, err := s.create(ctx, keyRow{Account: account, Description: description}, func(r storage.Reader) (string, error) {
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
	k, found, err := s.create(ctx, keyRow{Account: account}, func(r storage.Reader) (string, error) {
		return firstStored(r, account)
	})
	return k, err == nil && found == "", err
}

// create makes a key, unless find names one that serves: then it returns that
// one's id alone. Both happen in one transaction.
func (s *Store) create(ctx context.Context, row keyRow, find func(storage.Reader) (string, error)) (k Key, found string, err error) {
	if !isAccount(row.Account) {
		return Key{}, "", ErrBadAccount
	}
	// Mostly one is there, and an update waits for others.
	err = s.index.View(ctx, func(r storage.Reader) (err error) {
		found, err = find(r)
		return err
	})
	if err != nil || found != "" {
		return Key{}, found, err
	}
	id, secret := NewPair(PrefixKey)
	row.CreatedAt, row.Sealed = s.today(), s.seal.seal(id, secret)
	err = s.index.Update(ctx, func(tx storage.Tx) (err error) {
		if row.UserID, err = s.book(tx).ownerID(row.Account, row.User); err != nil {
			return err
		}
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

// ownerID is the id of a user; root has none.
func (b book) ownerID(account, user string) (string, error) {
	if user == "" {
		return "", nil
	}
	row, err := b.user(account, user)
	return row.ID, err
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
		if row.Description == description && row.User == "" && !row.Inactive {
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
	return s.changeKey(ctx, id, func(tx storage.Tx, row keyRow) error { return dropKey(tx, row.Account, id) })
}

func dropKey(tx storage.Tx, account, id string) error {
	if err := accountRows.Delete(tx, account, id); err != nil {
		return err
	}
	return keyRows.Delete(tx, id)
}

// RevokeKey ends all that derives from a stored key, which itself stays. The error
// is ErrNoKey, ErrStatic or a fault.
func (s *Store) RevokeKey(ctx context.Context, id string) error {
	return s.changeKey(ctx, id, func(tx storage.Tx, row keyRow) error {
		row.Epoch++
		return keyRows.Put(tx, row, id)
	})
}

// SetActive makes a stored key verify or no longer verify. The error is
// ErrNoKey, ErrStatic or a fault.
func (s *Store) SetActive(ctx context.Context, id string, active bool) error {
	return s.changeKey(ctx, id, func(tx storage.Tx, row keyRow) error {
		row.Inactive = !active
		return keyRows.Put(tx, row, id)
	})
}

func (s *Store) changeKey(ctx context.Context, id string, fn func(storage.Tx, keyRow) error) error {
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
