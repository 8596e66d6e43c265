package accounts

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// User is somebody, or something, of an account.
type User struct {
	Account, Name, Path string
	ID                  string // never used again
	ARN                 string
	CreatedAt           time.Time // zero for one that is declared
	Groups              []string
	Inline              map[string]string // texts of policies by name
	Attached            []string          // ARNs of policies
	Boundary            string            // ARN of the policy that bounds, "" for none
	Tags                map[string]string
	HasPassword         bool
	PasswordLife        time.Duration // of registry passwords; 0 means the default
	Disabled            bool          // whose credentials are refused, all of them
	Declared            bool
	// Mark is what credentials that derive from the user note, and hold only as long
	// as it stays the same.
	Mark string
}

// NewUser is a user to be made.
type NewUser struct {
	Name         string
	Path         string // "" means "/"
	Boundary     string // ARN
	Tags         map[string]string
	PasswordLife time.Duration
	Password     Secret // zero for none
}

// UserChange says what changes in a user. What is nil or empty stays.
type UserChange struct {
	Disabled     *bool
	Password     *Secret // of no characters: takes it away
	PasswordLife *time.Duration
	Boundary     *string // "" takes it away
	Tags         map[string]string
	Untag        []string
	Join, Leave  []string // groups
	Revoke       bool     // ends all that derives from the user's credentials
}

// maxGroups and maxAttached are AWS's quotas (IAM user guide, "IAM and AWS STS
// quotas").
const (
	maxGroups   = 10
	maxAttached = 10
)

// PasswordLife is how long a registry password may hold.
const (
	MinPasswordLife = time.Minute
	MaxPasswordLife = 365 * 24 * time.Hour
)

func checkLife(life time.Duration) error {
	if life != 0 && (life < MinPasswordLife || life > MaxPasswordLife) {
		return invalid("a registry password holds from %v to %v", MinPasswordLife, MaxPasswordLife)
	}
	return nil
}

// CreateUser makes a user. The error may be ErrExists, ErrInvalid, ErrNoPolicy (of
// the boundary), ErrDeclared, ErrBadAccount.
func (s *Store) CreateUser(ctx context.Context, account string, n NewUser) (u User, err error) {
	row := userRow{ID: newID(prefixUser), Path: n.Path, CreatedAt: s.today(), Boundary: n.Boundary, Tags: maps.Clone(n.Tags), Life: n.PasswordLife}
	if err := checkName(n.Name, &row.Path); err != nil {
		return User{}, err
	}
	if row.Password, err = hashIfAny(n.Password); err != nil {
		return User{}, err
	}
	err = s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.user(account, n.Name); checkNew(err, ErrNoUser) != nil {
			return checkNew(err, ErrNoUser)
		}
		return putUser(tx, b, account, n.Name, row)
	})
	if err != nil {
		return User{}, err
	}
	return s.asUser(account, n.Name, row), nil
}

// putUser checks a row and keeps it.
func putUser(tx storage.Tx, b book, account, name string, row userRow) error {
	if err := b.checkUser(account, row); err != nil {
		return err
	}
	return userRows.Put(tx, row, account, name)
}

func (b book) checkUser(account string, row userRow) error {
	if err := checkTags(row.Tags); err != nil {
		return err
	}
	if err := checkLife(row.Life); err != nil {
		return err
	}
	if len(row.Groups) > maxGroups {
		return fmt.Errorf("%w: a user is in %d groups at most", ErrLimit, maxGroups)
	}
	for _, g := range row.Groups {
		if _, err := b.group(account, g); err != nil {
			return err
		}
	}
	return b.checkBoundary(account, row.Boundary)
}

func (b book) checkBoundary(account, arn string) error {
	if arn == "" {
		return nil
	}
	_, err := b.managed(account, arn)
	return err
}

func (s *Store) asUser(account, name string, row userRow) User {
	return User{
		Account: account, Name: name, Path: row.Path, ID: row.ID, ARN: s.arn(account, "user", row.Path, name), CreatedAt: row.CreatedAt,
		Groups: row.Groups, Inline: row.Inline, Attached: row.Attached, Boundary: row.Boundary, Tags: row.Tags,
		HasPassword: row.Password != "", PasswordLife: row.Life, Disabled: row.Disabled,
		Declared: s.declared.Load().has(account), Mark: row.mark(),
	}
}

// mark changes with each revocation, and with each user of the name.
func (row userRow) mark() string { return row.ID + "." + strconv.Itoa(row.Epoch) }

// arn is that of an identity of an account.
func (s *Store) arn(account, kind, path, name string) string {
	return "arn:" + s.partition + ":iam::" + account + ":" + kind + path + name
}

// User returns a user, or ErrNoUser.
func (s *Store) User(ctx context.Context, account, name string) (u User, err error) {
	err = s.view(ctx, func(b book) error {
		row, err := b.user(account, name)
		u = s.asUser(account, name, row)
		return err
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// Users are those of an account in order of name.
func (s *Store) Users(ctx context.Context, account string) (list []User, err error) {
	err = s.view(ctx, func(b book) error {
		rows, err := all(b, userRows, b.declared.users, account)
		list = nil
		for _, n := range rows {
			list = append(list, s.asUser(account, n.name, n.row))
		}
		return err
	})
	return list, err
}

// UpdateUser changes a user, from the next request on. The error may be ErrNoUser,
// ErrNoGroup, ErrNoPolicy, ErrLimit, ErrInvalid, ErrDeclared.
func (s *Store) UpdateUser(ctx context.Context, account, name string, c UserChange) (u User, err error) {
	var password *string
	if c.Password != nil {
		hash, err := hashIfAny(*c.Password)
		if err != nil {
			return User{}, err
		}
		password = &hash
	}
	err = s.change(ctx, account, func(tx storage.Tx, b book) error {
		row, err := b.user(account, name)
		if err != nil {
			return err
		}
		row = c.apply(row)
		if password != nil {
			row.Password = *password
			row.Epoch++ // what derives from the old one ends
		}
		u = s.asUser(account, name, row)
		return putUser(tx, b, account, name, row)
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

// apply makes all changes but that of the password.
func (c UserChange) apply(row userRow) userRow {
	set(&row.Disabled, c.Disabled)
	set(&row.Life, c.PasswordLife)
	set(&row.Boundary, c.Boundary)
	row.Tags = retag(row.Tags, c.Tags, c.Untag)
	groups := slices.DeleteFunc(slices.Concat(row.Groups, c.Join), func(g string) bool { return slices.Contains(c.Leave, g) })
	slices.Sort(groups)
	row.Groups = slices.Compact(groups)
	if c.Revoke {
		row.Epoch++
	}
	return row
}

// set changes a value where a new one is given.
func set[T any](to *T, new *T) {
	if new != nil {
		*to = *new
	}
}

// retag is a copy of tags with some more and some fewer.
func retag(tags, more map[string]string, fewer []string) map[string]string {
	all := maps.Clone(tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, more)
	for _, k := range fewer {
		delete(all, k)
	}
	return all
}

// DeleteUser removes a user with all keys, robot keys among them: all that
// derives from them ends. The error may be ErrNoUser or ErrDeclared.
func (s *Store) DeleteUser(ctx context.Context, account, name string) error {
	return s.change(ctx, account, func(tx storage.Tx, b book) error {
		if _, err := b.user(account, name); err != nil {
			return err
		}
		if err := deleteKeysOf(tx, account, name); err != nil {
			return err
		}
		if err := deleteRobotsOf(tx, account, name); err != nil {
			return err
		}
		return userRows.Delete(tx, account, name)
	})
}

// deleteKeysOf removes the access keys of a user.
func deleteKeysOf(tx storage.Tx, account, user string) error {
	ids, err := keysOf(tx, account, user)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := dropKey(tx, account, id); err != nil {
			return err
		}
	}
	return nil
}

// keysOf are the ids of the keys of a user, of root for "".
func keysOf(r storage.Reader, account, user string) (ids []string, err error) {
	for f, err := range accountRows.Scan(r, table.Select{Prefix: []string{account}}) {
		if err != nil {
			return nil, err
		}
		row, err := keyRows.Get(r, f.Key[1])
		if err != nil {
			return nil, err
		}
		if row.User == user {
			ids = append(ids, string([]byte(f.Key[1]))) // keys are lent
		}
	}
	return ids, nil
}
