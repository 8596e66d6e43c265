package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about policies: managed ones, and what users, groups and roles have of
// them or of their own.
var (
	CreatePolicy = Call[NewPolicy, Policy]{"create-policy"}
	ShowPolicy   = Call[Named, Policy]{"show-policy"} // by name or ARN
	ListPolicies = Call[InAccount, []Policy]{"list-policies"}
	UpdatePolicy = Call[NewPolicy, Policy]{"update-policy"}
	DeletePolicy = Call[Named, None]{"delete-policy"}

	AttachPolicy = Call[Given, None]{"attach-policy"}
	DetachPolicy = Call[Given, None]{"detach-policy"}
	PutInline    = Call[Given, None]{"put-inline-policy"}
	DeleteInline = Call[Given, None]{"delete-inline-policy"}
)

// Policy is a managed policy. Its JSON form is what commands print.
type Policy struct {
	Name        string    `json:"PolicyName"`
	ID          string    `json:"PolicyId,omitempty"`
	ARN         string    `json:"Arn"`
	Path        string    `json:"Path"`
	Account     string    `json:"Account,omitempty"`
	Description string    `json:"Description,omitempty"`
	CreatedAt   time.Time `json:"CreatedAt,omitzero"`
	UpdatedAt   time.Time `json:"UpdatedAt,omitzero"`
	Text        string    `json:"PolicyText"`
	BuiltIn     bool      `json:"BuiltIn"`
	Declared    bool      `json:"Declared"`
}

// NewPolicy is a managed policy to be made or, with a name and a text alone, one to
// be given another text.
type NewPolicy struct {
	Named
	Path        string `json:"path,omitempty"`
	Description string `json:"description,omitempty"`
	Text        string `json:"text"`
}

// Given is a policy that a user, a group or a role has or is to have.
type Given struct {
	Named
	Kind   accounts.HolderKind `json:"kind"`
	Policy string              `json:"policy"`         // ARN or name of a managed one, name of an inline one
	Text   string              `json:"text,omitempty"` // of an inline one
}

func (g Given) subject() string { return fmt.Sprintf("%s of %s %s", g.Policy, g.Kind, g.Name) }

func (c *Clerk) holder(q Given) accounts.Holder {
	return accounts.Holder{Account: c.account(q.Account), Kind: q.Kind, Name: q.Name}
}

func (c *Clerk) answerPolicies(all answers) {
	answered(all, CreatePolicy, func(ctx context.Context, q NewPolicy) (Policy, error) {
		p, err := c.Accounts.CreatePolicy(ctx, c.account(q.Account), accounts.NewPolicy{Name: q.Name, Path: q.Path, Description: q.Description, Text: q.Text})
		return policyOf(p), err
	})
	answered(all, ShowPolicy, func(ctx context.Context, q Named) (Policy, error) {
		p, err := c.Accounts.Policy(ctx, c.account(q.Account), q.Name)
		return policyOf(p), err
	})
	answered(all, ListPolicies, func(ctx context.Context, q InAccount) ([]Policy, error) {
		list, err := c.Accounts.Policies(ctx, c.account(q.Account))
		return each(list, policyOf), err
	})
	answered(all, UpdatePolicy, func(ctx context.Context, q NewPolicy) (Policy, error) {
		p, err := c.Accounts.UpdatePolicy(ctx, c.account(q.Account), q.Name, q.Text)
		return policyOf(p), err
	})
	done(all, DeletePolicy, func(ctx context.Context, q Named) error {
		return c.Accounts.DeletePolicy(ctx, c.account(q.Account), q.Name)
	})
	c.answerGiven(all)
}

func (c *Clerk) answerGiven(all answers) {
	managed := func(fn func(context.Context, accounts.Holder, string) error) func(context.Context, Given) error {
		return func(ctx context.Context, q Given) error {
			arn, err := c.policyARN(ctx, c.account(q.Account), q.Policy)
			if err != nil {
				return err
			}
			return fn(ctx, c.holder(q), arn)
		}
	}
	done(all, AttachPolicy, managed(c.Accounts.Attach))
	done(all, DetachPolicy, managed(c.Accounts.Detach))
	done(all, PutInline, func(ctx context.Context, q Given) error {
		return c.Accounts.PutInline(ctx, c.holder(q), q.Policy, q.Text)
	})
	done(all, DeleteInline, func(ctx context.Context, q Given) error {
		return c.Accounts.DeleteInline(ctx, c.holder(q), q.Policy)
	})
}

func policyOf(p accounts.Policy) Policy {
	return Policy{
		Name: p.Name, ID: p.ID, ARN: p.ARN, Path: p.Path, Account: p.Account, Description: p.Description,
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, Text: p.Text, BuiltIn: p.Account == "", Declared: p.Declared,
	}
}
