package accounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Group is a set of users of an account, who have its policies.
type Group struct {
	Account, Name, Path string
	ID, ARN             string
	CreatedAt           time.Time
	Users               []string // names in order
	Inline              map[string]string
	Attached            []string
	Declared            bool
}

func (s *Store) asGroup(account, name string, row groupRow, users []string) Group {
	return Group{
		Account: account, Name: name, Path: row.Path, ID: row.ID, ARN: s.arn(account, "group", row.Path, name), CreatedAt: row.CreatedAt,
		Users: users, Inline: row.Inline, Attached: row.Attached, Declared: s.declared.Load().has(account),
	}
}

// members are the users of a group.
func (b book) members(account, group string) (names []string, err error) {
	users, err := all(b, userRows, b.declared.users, account)
	for _, u := range users {
		if slices.Contains(u.row.Groups, group) {
			names = append(names, u.name)
		}
	}
	return names, err
}

// CreateGroup makes a group. The error may be ErrExists, ErrInvalid, ErrDeclared.
func (s *Store) CreateGroup(ctx context.Context, account, name, path string) (Group, error) {
	row := groupRow{ID: newID(prefixGroup), Path: path, CreatedAt: s.today()}
	if err := checkName(name, &row.Path); err != nil {
		return Group{}, err
	}
	err := s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.group(account, name); checkNew(err, ErrNoGroup) != nil {
			return checkNew(err, ErrNoGroup)
		}
		return groupRows.Put(tx, row, account, name)
	})
	if err != nil {
		return Group{}, err
	}
	return s.asGroup(account, name, row, nil), nil
}

// Group returns a group, or ErrNoGroup.
func (s *Store) Group(ctx context.Context, account, name string) (g Group, err error) {
	err = s.view(ctx, func(b book) error {
		row, err := b.group(account, name)
		if err != nil {
			return err
		}
		users, err := b.members(account, name)
		g = s.asGroup(account, name, row, users)
		return err
	})
	return g, err
}

// Groups are those of an account in order of name.
func (s *Store) Groups(ctx context.Context, account string) (list []Group, err error) {
	err = s.view(ctx, func(b book) error {
		rows, err := all(b, groupRows, b.declared.groups, account)
		list = nil
		for _, n := range rows {
			users, err := b.members(account, n.name)
			if err != nil {
				return err
			}
			list = append(list, s.asGroup(account, n.name, n.row, users))
		}
		return err
	})
	return list, err
}

// DeleteGroup removes a group that has no users. The error may be ErrNoGroup,
// ErrInUse, ErrDeclared.
func (s *Store) DeleteGroup(ctx context.Context, account, name string) error {
	return s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.group(account, name); err != nil {
			return err
		}
		users, err := b.members(account, name)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return fmt.Errorf("%w: %d users are in the group", ErrInUse, len(users))
		}
		return groupRows.Delete(tx, account, name)
	})
}
