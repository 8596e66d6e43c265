package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about users.
var (
	CreateUser = Call[NewUser, User]{"create-user"}
	ShowUser   = Call[Named, User]{"show-user"}
	ListUsers  = Call[InAccount, []User]{"list-users"}
	ChangeUser = Call[UserChange, User]{"change-user"}
	DeleteUser = Call[Named, None]{"delete-user"}
)

// User is a user. Its JSON form is what commands print.
type User struct {
	Name                string            `json:"UserName"`
	ID                  string            `json:"UserId"`
	ARN                 string            `json:"Arn"`
	Path                string            `json:"Path"`
	Account             string            `json:"Account"`
	CreatedAt           time.Time         `json:"CreatedAt,omitzero"`
	Groups              []string          `json:"Groups"`
	AttachedPolicies    []string          `json:"AttachedPolicies"`
	InlinePolicies      map[string]string `json:"InlinePolicies,omitempty"` // texts by name
	PermissionsBoundary string            `json:"PermissionsBoundary,omitempty"`
	Tags                map[string]string `json:"Tags,omitempty"`
	HasPassword         bool              `json:"HasPassword"`
	PasswordLife        Life              `json:"PasswordLife,omitzero"`
	Disabled            bool              `json:"Disabled"`
	Declared            bool              `json:"Declared"`
}

// Life is how long something holds. As JSON it is like "12h0m0s".
type Life time.Duration

// String implements fmt.Stringer.
func (l Life) String() string { return time.Duration(l).String() }

// MarshalText implements encoding.TextMarshaler.
func (l Life) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Life) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*l = Life(d)
	return err
}

// NewUser is a user to be made.
type NewUser struct {
	Named
	Path                string            `json:"path,omitempty"`
	PermissionsBoundary string            `json:"permissionsBoundary,omitempty"` // ARN or name
	Tags                map[string]string `json:"tags,omitempty"`
	PasswordLife        Life              `json:"passwordLife,omitzero"`
	Password            Shown             `json:"password,omitzero"`
}

// UserChange says what changes in a user; what is absent stays.
type UserChange struct {
	Named
	Disabled            *bool             `json:"disabled,omitempty"`
	Password            *Shown            `json:"password,omitempty"` // of no characters: takes it away
	PasswordLife        *Life             `json:"passwordLife,omitempty"`
	PermissionsBoundary *string           `json:"permissionsBoundary,omitempty"` // ARN or name; "" takes it away
	Tags                map[string]string `json:"tags,omitempty"`
	Untag               []string          `json:"untag,omitempty"`
	Join                string            `json:"join,omitempty"`  // a group
	Leave               string            `json:"leave,omitempty"` // a group
	Revoke              bool              `json:"revoke,omitempty"`
}

func (c *Clerk) answerUsers(all answers) {
	answered(all, CreateUser, c.createUser)
	answered(all, ShowUser, func(ctx context.Context, q Named) (User, error) {
		u, err := c.Accounts.User(ctx, c.account(q.Account), q.Name)
		return userOf(u), err
	})
	answered(all, ListUsers, func(ctx context.Context, q InAccount) ([]User, error) {
		list, err := c.Accounts.Users(ctx, c.account(q.Account))
		return each(list, userOf), err
	})
	answered(all, ChangeUser, c.changeUser)
	done(all, DeleteUser, func(ctx context.Context, q Named) error {
		return c.Accounts.DeleteUser(ctx, c.account(q.Account), q.Name)
	})
}

func (c *Clerk) createUser(ctx context.Context, q NewUser) (User, error) {
	account := c.account(q.Account)
	boundary, err := c.policyARN(ctx, account, q.PermissionsBoundary)
	if err != nil {
		return User{}, err
	}
	u, err := c.Accounts.CreateUser(ctx, account, accounts.NewUser{
		Name: q.Name, Path: q.Path, Boundary: boundary, Tags: q.Tags,
		PasswordLife: time.Duration(q.PasswordLife), Password: q.Password.Secret,
	})
	return userOf(u), err
}

func (c *Clerk) changeUser(ctx context.Context, q UserChange) (User, error) {
	account := c.account(q.Account)
	boundary, err := c.boundary(ctx, account, q.PermissionsBoundary)
	if err != nil {
		return User{}, err
	}
	change := accounts.UserChange{
		Disabled: q.Disabled, PasswordLife: (*time.Duration)(q.PasswordLife), Boundary: boundary, Tags: q.Tags, Untag: q.Untag, Revoke: q.Revoke,
	}
	if q.Password != nil {
		change.Password = &q.Password.Secret
	}
	if q.Join != "" {
		change.Join = []string{q.Join}
	}
	if q.Leave != "" { // the store lets anybody leave a group that is not there
		if _, err := c.Accounts.Group(ctx, account, q.Leave); err != nil {
			return User{}, err
		}
		change.Leave = []string{q.Leave}
	}
	u, err := c.Accounts.UpdateUser(ctx, account, q.Name, change)
	return userOf(u), err
}

// boundary is the ARN of a changed permissions boundary, nil if it stays.
func (c *Clerk) boundary(ctx context.Context, account string, nameOrARN *string) (*string, error) {
	if nameOrARN == nil {
		return nil, nil
	}
	arn, err := c.policyARN(ctx, account, *nameOrARN)
	return &arn, err
}

func userOf(u accounts.User) User {
	return User{
		Name: u.Name, ID: u.ID, ARN: u.ARN, Path: u.Path, Account: u.Account, CreatedAt: u.CreatedAt,
		Groups: append([]string{}, u.Groups...), AttachedPolicies: append([]string{}, u.Attached...), InlinePolicies: u.Inline,
		PermissionsBoundary: u.Boundary, Tags: u.Tags, HasPassword: u.HasPassword, PasswordLife: Life(u.PasswordLife),
		Disabled: u.Disabled, Declared: u.Declared,
	}
}
