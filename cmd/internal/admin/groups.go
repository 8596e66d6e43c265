package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about groups. Who is in one is a matter of ChangeUser.
var (
	CreateGroup = Call[NewGroup, Group]{"create-group"}
	ShowGroup   = Call[Named, Group]{"show-group"}
	ListGroups  = Call[InAccount, []Group]{"list-groups"}
	DeleteGroup = Call[Named, None]{"delete-group"}
)

// Group is a group. Its JSON form is what commands print.
type Group struct {
	Name             string            `json:"GroupName"`
	ID               string            `json:"GroupId"`
	ARN              string            `json:"Arn"`
	Path             string            `json:"Path"`
	Account          string            `json:"Account"`
	CreatedAt        time.Time         `json:"CreatedAt,omitzero"`
	Users            []string          `json:"Users"`
	AttachedPolicies []string          `json:"AttachedPolicies"`
	InlinePolicies   map[string]string `json:"InlinePolicies,omitempty"` // texts by name
	Declared         bool              `json:"Declared"`
}

// NewGroup is a group to be made.
type NewGroup struct {
	Named
	Path string `json:"path,omitempty"`
}

func (c *Clerk) answerGroups(all answers) {
	answered(all, CreateGroup, func(ctx context.Context, q NewGroup) (Group, error) {
		g, err := c.Accounts.CreateGroup(ctx, c.account(q.Account), q.Name, q.Path)
		return groupOf(g), err
	})
	answered(all, ShowGroup, func(ctx context.Context, q Named) (Group, error) {
		g, err := c.Accounts.Group(ctx, c.account(q.Account), q.Name)
		return groupOf(g), err
	})
	answered(all, ListGroups, func(ctx context.Context, q InAccount) ([]Group, error) {
		list, err := c.Accounts.Groups(ctx, c.account(q.Account))
		return each(list, groupOf), err
	})
	done(all, DeleteGroup, func(ctx context.Context, q Named) error {
		return c.Accounts.DeleteGroup(ctx, c.account(q.Account), q.Name)
	})
}

func groupOf(g accounts.Group) Group {
	return Group{
		Name: g.Name, ID: g.ID, ARN: g.ARN, Path: g.Path, Account: g.Account, CreatedAt: g.CreatedAt, Users: append([]string{}, g.Users...),
		AttachedPolicies: append([]string{}, g.Attached...), InlinePolicies: g.Inline, Declared: g.Declared,
	}
}
