// Package accounts keeps who there is: users, groups and roles with their policies,
// managed policies, providers of web identities; and what they show: access keys,
// robot keys, people's passwords, and a list of the registry passwords that were
// made of them.
//
// All are rows in the index, the secrets of access keys sealed under a key that lies
// elsewhere, those of robot keys and people hashed. Keys that are given from outside,
// the environment's root pair and those of a development server, are held in memory
// and never written down; so are the identities of accounts that a file declares.
//
// An account exists once it has a key. A key is its account's root's or a user's.
// What changes is in force for the next request: each one reads the account's
// generation, which counts changes, and only what has changed is parsed again.
package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
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
	User        string    // whose it is, "" for the account's root
	Description string    // who asked for it, "" for a person
	CreatedAt   time.Time // zero for a static key
	UsedAt      time.Time // when it was last used, some minutes late; zero for never
	Active      bool      // an inactive key verifies nothing
	Static      bool      // given from outside, not kept
	// Mark is what a credential that derives from the key should note, and compare
	// when it is shown: it changes when the key or its user is revoked, and when a
	// static key is given another secret under the same id. It tells nothing of the
	// secret.
	Mark string
	// Owner is the user whose key it is, zero for root's. It is there in what Key
	// returns, and not in lists.
	Owner User
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
	// Partition is that of the ARNs which are shown; "" means "aws".
	Partition string
	// Dev accepts the keys of a development server, which everybody knows:
	// test/test, testing/testing, and any twelve digits with the secret
	// "test". With it every account exists.
	Dev bool
}

// Store keeps access keys. It is safe for use by several goroutines. Over an index that
// is a storage.Numbered there must be no other.
type Store struct {
	index  *rows
	seal   *sealer
	now    func() time.Time
	static map[string]Static
	dev    bool

	partition string
	declared  atomic.Pointer[declaration]
	cache     cache
	memo      *storage.Memo[memoKey, compiled]
	keys      *storage.Memo[string, Key]
	used      used
}

// keyRow is a stored key, under its id.
type keyRow struct {
	Account     string    `json:"account"`
	User        string    `json:"user,omitempty"`
	UserID      string    `json:"userId,omitempty"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	UsedAt      time.Time `json:"usedAt,omitzero"`
	Inactive    bool      `json:"inactive,omitempty"`
	Epoch       int       `json:"epoch,omitempty"` // counts revocations
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
	x := &rows{index: o.Index}
	s := &Store{
		index: x, memo: storage.NewMemo[memoKey, compiled](x.counted(), maxCached), keys: storage.NewMemo[string, Key](x.counted(), maxCached),
		seal: seal, now: o.Now, static: map[string]Static{}, dev: o.Dev, partition: cmp.Or(o.Partition, "aws"),
	}
	s.declared.Store(&declaration{})
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

// Changes counts the changes of what the Store tells; nil if others may change it too.
func (s *Store) Changes() storage.Changes { return s.index.counted() }

// Key returns an access key with its secret, active or not, or ErrNoKey. One whose
// user is gone or disabled is inactive. It costs no transaction as long as nothing of
// the Store changes.
func (s *Store) Key(ctx context.Context, id string) (Key, error) {
	return s.keys.Get(id, func() (Key, error) { return s.key(ctx, id) })
}

func (s *Store) key(ctx context.Context, id string) (Key, error) {
	if k, ok := s.staticKey(id); ok {
		key := k.key()
		key.Mark = s.staticMark(k)
		return key, nil
	}
	if !keySyntax.MatchString(id) {
		return Key{}, ErrNoKey
	}
	var row keyRow
	var k Key
	err := s.view(ctx, func(b book) (err error) {
		if row, err = keyRows.Get(b.r, id); err != nil {
			return err
		}
		k, err = s.owned(b, id, row)
		return err
	})
	if errors.Is(err, storage.ErrNotFound) {
		return Key{}, ErrNoKey
	}
	if err != nil {
		return Key{}, fmt.Errorf("read access key: %w", err)
	}
	if k.Secret, err = s.seal.open(id, row.Sealed); err != nil {
		return Key{}, err
	}
	return k, nil
}

// owned makes a Key of a row, with its owner.
func (s *Store) owned(b book, id string, row keyRow) (Key, error) {
	k := row.key(id)
	if row.User == "" {
		k.Mark = row.mark("")
		return k, nil
	}
	user, err := b.user(row.Account, row.User)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return Key{}, err
	}
	k.Owner = s.asUser(row.Account, row.User, user)
	k.Active = k.Active && err == nil && user.ID == row.UserID && !user.Disabled
	k.Mark = row.mark(user.mark())
	return k, nil
}

// mark is "" for a key of root's that was never revoked, as it was before keys could
// be.
func (row keyRow) mark(user string) string {
	if row.Epoch == 0 && user == "" {
		return ""
	}
	return strconv.Itoa(row.Epoch) + "." + user
}

// key is the row without its secret.
func (row keyRow) key(id string) Key {
	return Key{
		ID: id, Account: row.Account, User: row.User, Description: row.Description, CreatedAt: row.CreatedAt, UsedAt: row.UsedAt,
		Active: !row.Inactive,
	}
}

// HasAccount says whether an account exists: whether it has a key or is declared.
func (s *Store) HasAccount(ctx context.Context, account string) (bool, error) {
	if !isAccount(account) {
		return false, nil
	}
	if s.hasStatic(account) || s.declared.Load().has(account) {
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
