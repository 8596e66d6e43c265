package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// PrefixRobot is the beginning of the ids of robot keys.
const PrefixRobot = "BRBT"

// Robot is a robot key: an id and a secret that open the registry, and nothing
// else, in the name of a user.
type Robot struct {
	ID            string
	Account, User string
	Description   string
	CreatedAt     time.Time
	Expires       time.Time // zero for never
	Scope         *auth.Scope
	// Mark is as that of a User.
	Mark string
}

// NewRobot is a robot key to be made.
type NewRobot struct {
	Account, User string
	Description   string
	Expires       time.Time
	Scope         *auth.Scope
}

// robotRow is a robot key under its id. Its secret has 238 random bits, so a plain
// hash keeps it.
type robotRow struct {
	Account     string       `json:"account"`
	User        string       `json:"user"`
	UserID      string       `json:"userId"`
	Description string       `json:"description,omitempty"`
	CreatedAt   time.Time    `json:"createdAt"`
	Expires     time.Time    `json:"expires,omitzero"`
	Scope       *scopeRecord `json:"scope,omitempty"`
	Hash        []byte       `json:"hash"`
}

// scopeRecord is an auth.Scope as it is kept.
type scopeRecord struct {
	Repositories []string       `json:"repositories,omitempty"`
	Actions      []string       `json:"actions,omitempty"`
	Networks     []netip.Prefix `json:"networks,omitempty"`
}

func recordScope(s *auth.Scope) *scopeRecord {
	if s == nil {
		return nil
	}
	return &scopeRecord{s.Repositories, s.Actions, s.Networks}
}

func (r *scopeRecord) scope() *auth.Scope {
	if r == nil {
		return nil
	}
	return &auth.Scope{Repositories: r.Repositories, Actions: r.Actions, Networks: r.Networks}
}

var robotRows = table.New[robotRow]("robot-key", 1)

// CreateRobot makes a robot key. Its secret is shown this once. The error may be
// ErrNoUser.
func (s *Store) CreateRobot(ctx context.Context, n NewRobot) (r Robot, secret Secret, err error) {
	secret = NewSecret(randomText(40))
	hash := sha256.Sum256([]byte(secret.Reveal()))
	row := robotRow{
		Account: n.Account, User: n.User, Description: n.Description, CreatedAt: s.today(),
		Expires: n.Expires.UTC(), Scope: recordScope(n.Scope), Hash: hash[:],
	}
	id := newID(PrefixRobot)
	err = s.index.Update(ctx, func(tx storage.Tx) error {
		user, err := s.book(tx).user(n.Account, n.User)
		if err != nil {
			return err
		}
		row.UserID = user.ID
		r = row.robot(id, user.mark())
		return robotRows.Put(tx, row, id)
	})
	if err != nil {
		return Robot{}, Secret{}, err
	}
	return r, secret, nil
}

func (row robotRow) robot(id, mark string) Robot {
	return Robot{
		ID: id, Account: row.Account, User: row.User, Description: row.Description, CreatedAt: row.CreatedAt, Expires: row.Expires,
		Scope: row.Scope.scope(), Mark: mark,
	}
}

// Robots are all robot keys in order of id.
func (s *Store) Robots(ctx context.Context) (list []Robot, err error) {
	err = s.view(ctx, func(b book) error {
		list = nil
		for f, err := range robotRows.Scan(b.r, table.Select{}) {
			if err != nil {
				return err
			}
			list = append(list, f.Row.robot(strings.Clone(f.Key[0]), ""))
		}
		return nil
	})
	return list, err
}

// CheckRobot returns the robot key that has an id and a secret, and its user. The
// error is ErrBadPassword, also where the user is gone or disabled or the key has
// ended, or a fault.
func (s *Store) CheckRobot(ctx context.Context, id string, secret Secret) (r Robot, u User, err error) {
	given := sha256.Sum256([]byte(secret.Reveal()))
	r, u, err = s.robot(ctx, id, func(row robotRow) bool { return subtle.ConstantTimeCompare(row.Hash, given[:]) == 1 })
	if errors.Is(err, ErrNoRobot) {
		err = ErrBadPassword
	}
	return r, u, err
}

// Robot returns a robot key and its user, or ErrNoRobot, also where the user is gone
// or disabled or the key has ended.
func (s *Store) Robot(ctx context.Context, id string) (Robot, User, error) {
	return s.robot(ctx, id, func(row robotRow) bool { return row.Hash != nil })
}

// robot returns a robot key that is in force, if it is the one that is meant. What is
// meant is asked of a key that is not there too.
func (s *Store) robot(ctx context.Context, id string, meant func(robotRow) bool) (r Robot, u User, err error) {
	err = s.view(ctx, func(b book) error {
		row, err := robotRows.Get(b.r, lookable(id))
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		if !meant(row) || !row.Expires.IsZero() && !s.now().Before(row.Expires) {
			return ErrNoRobot
		}
		user, err := b.user(row.Account, row.User)
		if errors.Is(err, ErrNoUser) || err == nil && (user.Disabled || user.ID != row.UserID) {
			return ErrNoRobot
		}
		r, u = row.robot(id, user.mark()), s.asUser(row.Account, row.User, user)
		return err
	})
	if err != nil {
		return Robot{}, User{}, err
	}
	return r, u, nil
}

// lookable is an id that may be looked up: another is no key's.
func lookable(id string) string {
	if !keySyntax.MatchString(id) {
		return "none"
	}
	return id
}

// DeleteRobot removes a robot key. The error may be ErrNoRobot.
func (s *Store) DeleteRobot(ctx context.Context, id string) error {
	return s.index.Update(ctx, func(tx storage.Tx) error {
		if _, err := robotRows.Get(tx, lookable(id)); err != nil {
			return orMissing(err, ErrNoRobot)
		}
		return robotRows.Delete(tx, id)
	})
}

// deleteRobotsOf removes the robot keys of a user.
func deleteRobotsOf(tx storage.Tx, account, user string) error {
	var ids []string
	for f, err := range robotRows.Scan(tx, table.Select{}) {
		if err != nil {
			return err
		}
		if f.Row.Account == account && f.Row.User == user {
			ids = append(ids, strings.Clone(f.Key[0])) // keys are lent
		}
	}
	for _, id := range ids {
		if err := robotRows.Delete(tx, id); err != nil {
			return err
		}
	}
	return nil
}
