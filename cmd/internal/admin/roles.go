package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about roles.
var (
	CreateRole = Call[NewRole, Role]{"create-role"}
	ShowRole   = Call[Named, Role]{"show-role"}
	ListRoles  = Call[InAccount, []Role]{"list-roles"}
	ChangeRole = Call[RoleChange, Role]{"change-role"}
	DeleteRole = Call[Named, None]{"delete-role"}
)

// Role is a role. Its JSON form is what commands print.
type Role struct {
	Name                string            `json:"RoleName"`
	ID                  string            `json:"RoleId"`
	ARN                 string            `json:"Arn"`
	Path                string            `json:"Path"`
	Account             string            `json:"Account"`
	CreatedAt           time.Time         `json:"CreatedAt,omitzero"`
	TrustPolicy         string            `json:"TrustPolicy"`
	MaxSession          Life              `json:"MaxSession"`
	AttachedPolicies    []string          `json:"AttachedPolicies"`
	InlinePolicies      map[string]string `json:"InlinePolicies,omitempty"` // texts by name
	PermissionsBoundary string            `json:"PermissionsBoundary,omitempty"`
	Tags                map[string]string `json:"Tags,omitempty"`
	PasswordLife        Life              `json:"PasswordLife,omitzero"`
	Declared            bool              `json:"Declared"`
}

// NewRole is a role to be made.
type NewRole struct {
	Named
	Path                string            `json:"path,omitempty"`
	Trust               string            `json:"trust"` // text of its trust policy
	MaxSession          Life              `json:"maxSession,omitzero"`
	PermissionsBoundary string            `json:"permissionsBoundary,omitempty"` // ARN or name
	Tags                map[string]string `json:"tags,omitempty"`
	PasswordLife        Life              `json:"passwordLife,omitzero"`
}

// RoleChange says what changes in a role; what is absent stays.
type RoleChange struct {
	Named
	Trust               *string           `json:"trust,omitempty"`
	MaxSession          *Life             `json:"maxSession,omitempty"`
	PasswordLife        *Life             `json:"passwordLife,omitempty"`
	PermissionsBoundary *string           `json:"permissionsBoundary,omitempty"` // ARN or name; "" takes it away
	Tags                map[string]string `json:"tags,omitempty"`
	Untag               []string          `json:"untag,omitempty"`
	Revoke              bool              `json:"revoke,omitempty"`
}

func (c *Clerk) answerRoles(all answers) {
	answered(all, CreateRole, c.createRole)
	answered(all, ShowRole, func(ctx context.Context, q Named) (Role, error) {
		r, err := c.Accounts.Role(ctx, c.account(q.Account), q.Name)
		return roleOf(r), err
	})
	answered(all, ListRoles, func(ctx context.Context, q InAccount) ([]Role, error) {
		list, err := c.Accounts.Roles(ctx, c.account(q.Account))
		return each(list, roleOf), err
	})
	answered(all, ChangeRole, c.changeRole)
	done(all, DeleteRole, func(ctx context.Context, q Named) error {
		return c.Accounts.DeleteRole(ctx, c.account(q.Account), q.Name)
	})
}

func (c *Clerk) createRole(ctx context.Context, q NewRole) (Role, error) {
	account := c.account(q.Account)
	boundary, err := c.policyARN(ctx, account, q.PermissionsBoundary)
	if err != nil {
		return Role{}, err
	}
	r, err := c.Accounts.CreateRole(ctx, account, accounts.NewRole{
		Name: q.Name, Path: q.Path, Trust: q.Trust, MaxSession: time.Duration(q.MaxSession),
		Boundary: boundary, Tags: q.Tags, PasswordLife: time.Duration(q.PasswordLife),
	})
	return roleOf(r), err
}

func (c *Clerk) changeRole(ctx context.Context, q RoleChange) (Role, error) {
	account := c.account(q.Account)
	boundary, err := c.boundary(ctx, account, q.PermissionsBoundary)
	if err != nil {
		return Role{}, err
	}
	r, err := c.Accounts.UpdateRole(ctx, account, q.Name, accounts.RoleChange{
		Trust: q.Trust, MaxSession: (*time.Duration)(q.MaxSession), PasswordLife: (*time.Duration)(q.PasswordLife),
		Boundary: boundary, Tags: q.Tags, Untag: q.Untag, Revoke: q.Revoke,
	})
	return roleOf(r), err
}

func roleOf(r accounts.Role) Role {
	return Role{
		Name: r.Name, ID: r.ID, ARN: r.ARN, Path: r.Path, Account: r.Account, CreatedAt: r.CreatedAt,
		TrustPolicy: r.Trust, MaxSession: Life(r.MaxSession), AttachedPolicies: append([]string{}, r.Attached...), InlinePolicies: r.Inline,
		PermissionsBoundary: r.Boundary, Tags: r.Tags, PasswordLife: Life(r.PasswordLife), Declared: r.Declared,
	}
}
