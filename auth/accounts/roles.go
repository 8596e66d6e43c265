package accounts

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
)

// Role is what somebody whom it trusts may act as for a time.
type Role struct {
	Account, Name, Path string
	ID                  string // never used again
	ARN                 string
	CreatedAt           time.Time
	Trust               string        // the policy that says who may
	MaxSession          time.Duration // how long a session may be
	Inline              map[string]string
	Attached            []string
	Boundary            string
	Tags                map[string]string
	PasswordLife        time.Duration // of registry passwords; 0 means the default
	Declared            bool
	// Mark is as that of a User.
	Mark string
}

// NewRole is a role to be made.
type NewRole struct {
	Name         string
	Path         string // "" means "/"
	Trust        string
	MaxSession   time.Duration // 0 means an hour
	Boundary     string
	Tags         map[string]string
	PasswordLife time.Duration
}

// RoleChange says what changes in a role. What is nil or empty stays.
type RoleChange struct {
	Trust        *string
	MaxSession   *time.Duration
	PasswordLife *time.Duration
	Boundary     *string
	Tags         map[string]string
	Untag        []string
	Revoke       bool // ends all sessions
}

// How long the sessions of a role may be made to last (IAM API reference,
// CreateRole).
const (
	LeastMaxSession = time.Hour
	MostMaxSession  = 12 * time.Hour
)

// CreateRole makes a role. The error may be ErrExists, ErrInvalid, ErrNoPolicy,
// ErrDeclared, or a *policy.Error about its trust policy.
func (s *Store) CreateRole(ctx context.Context, account string, n NewRole) (Role, error) {
	row := roleRow{
		ID: newID(prefixRole), Path: n.Path, CreatedAt: s.today(), Trust: n.Trust, MaxSession: n.MaxSession,
		Boundary: n.Boundary, Tags: maps.Clone(n.Tags), Life: n.PasswordLife,
	}
	if row.MaxSession == 0 {
		row.MaxSession = LeastMaxSession
	}
	if err := checkName(n.Name, &row.Path); err != nil {
		return Role{}, err
	}
	err := s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.role(account, n.Name); checkNew(err, ErrNoRole) != nil {
			return checkNew(err, ErrNoRole)
		}
		return putRole(tx, b, account, n.Name, row)
	})
	if err != nil {
		return Role{}, err
	}
	return s.asRole(account, n.Name, row), nil
}

func putRole(tx storage.Tx, b book, account, name string, row roleRow) error {
	if err := b.checkRole(account, row); err != nil {
		return err
	}
	return roleRows.Put(tx, row, account, name)
}

func (b book) checkRole(account string, row roleRow) error {
	if _, err := policy.ParseTrust(row.Trust); err != nil {
		return err
	}
	if row.MaxSession < LeastMaxSession || row.MaxSession > MostMaxSession {
		return invalid("the sessions of a role last at most from %v to %v", LeastMaxSession, MostMaxSession)
	}
	if err := checkTags(row.Tags); err != nil {
		return err
	}
	if err := checkLife(row.Life); err != nil {
		return err
	}
	return b.checkBoundary(account, row.Boundary)
}

func (s *Store) asRole(account, name string, row roleRow) Role {
	return Role{
		Account: account, Name: name, Path: row.Path, ID: row.ID, ARN: s.arn(account, "role", row.Path, name), CreatedAt: row.CreatedAt,
		Trust: row.Trust, MaxSession: row.MaxSession, Inline: row.Inline, Attached: row.Attached, Boundary: row.Boundary, Tags: row.Tags,
		PasswordLife: row.Life, Declared: s.declared.Load().has(account), Mark: row.mark(),
	}
}

func (row roleRow) mark() string { return row.ID + "." + strconv.Itoa(row.Epoch) }

// Role returns a role, or ErrNoRole.
func (s *Store) Role(ctx context.Context, account, name string) (role Role, err error) {
	err = s.view(ctx, func(b book) error {
		row, err := b.role(account, name)
		role = s.asRole(account, name, row)
		return err
	})
	if err != nil {
		return Role{}, err
	}
	return role, nil
}

// Roles are those of an account in order of name.
func (s *Store) Roles(ctx context.Context, account string) (list []Role, err error) {
	err = s.view(ctx, func(b book) error {
		rows, err := all(b, roleRows, b.declared.roles, account)
		list = nil
		for _, n := range rows {
			list = append(list, s.asRole(account, n.name, n.row))
		}
		return err
	})
	return list, err
}

// UpdateRole changes a role, from the next request on. The error may be ErrNoRole,
// ErrNoPolicy, ErrInvalid, ErrDeclared, or a *policy.Error.
func (s *Store) UpdateRole(ctx context.Context, account, name string, c RoleChange) (role Role, err error) {
	err = s.change(ctx, account, func(tx storage.Tx, b book) error {
		row, err := b.role(account, name)
		if err != nil {
			return err
		}
		row = c.apply(row)
		role = s.asRole(account, name, row)
		return putRole(tx, b, account, name, row)
	})
	if err != nil {
		return Role{}, err
	}
	return role, nil
}

func (c RoleChange) apply(row roleRow) roleRow {
	set(&row.Trust, c.Trust)
	set(&row.MaxSession, c.MaxSession)
	set(&row.Life, c.PasswordLife)
	set(&row.Boundary, c.Boundary)
	row.Tags = retag(row.Tags, c.Tags, c.Untag)
	if c.Revoke {
		row.Epoch++
	}
	return row
}

// DeleteRole removes a role; its sessions end. The error may be ErrNoRole or
// ErrDeclared.
func (s *Store) DeleteRole(ctx context.Context, account, name string) error {
	return s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.role(account, name); err != nil {
			return err
		}
		return roleRows.Delete(tx, account, name)
	})
}
