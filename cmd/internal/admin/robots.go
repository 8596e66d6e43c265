package admin

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
)

// The calls about robot keys.
var (
	CreateRobot = Call[NewRobot, Robot]{"create-robot"}
	ListRobots  = Call[OfUser, []Robot]{"list-robots"}
	DeleteRobot = Call[ByID, None]{"delete-robot"}
)

// Robot is a robot key. Its JSON form is what commands print.
type Robot struct {
	ID          string    `json:"RobotKeyId"`
	Secret      Shown     `json:"Secret,omitzero"` // where the key is new
	Account     string    `json:"Account"`
	User        string    `json:"UserName"`
	Description string    `json:"Description,omitempty"`
	CreatedAt   time.Time `json:"CreatedAt"`
	Expires     time.Time `json:"ExpiresAt,omitzero"` // zero for never
	Scope       Scope     `json:"Scope,omitzero"`
}

// NewRobot is a robot key to be made.
type NewRobot struct {
	OfUser
	Description string    `json:"description,omitempty"`
	Expires     time.Time `json:"expires,omitzero"` // zero for never
	Scope       Scope     `json:"scope,omitzero"`
}

// Scope is what a robot key or a registry password is narrowed to. Empty lists narrow
// nothing.
type Scope struct {
	Repositories []string       `json:"Repositories,omitempty"`
	Actions      []string       `json:"Actions,omitempty"`
	Networks     []netip.Prefix `json:"Networks,omitempty"`
}

// IsZero says that nothing is narrowed.
func (s Scope) IsZero() bool { return len(s.Repositories)+len(s.Actions)+len(s.Networks) == 0 }

// scope is nil for one that narrows nothing. The error is accounts.ErrInvalid for one
// that can open nothing, as with a word that is misspelt.
func (s Scope) scope() (*auth.Scope, error) {
	if s.IsZero() {
		return nil, nil
	}
	for _, word := range s.Actions {
		if !access.KnowsScopeAction(word) {
			return nil, fmt.Errorf("%w: the action %q: want pull, push, delete, or one such as ecr:PutImage", accounts.ErrInvalid, word)
		}
	}
	if slices.Contains(s.Repositories, "") {
		return nil, fmt.Errorf("%w: a pattern of repositories is empty", accounts.ErrInvalid)
	}
	return &auth.Scope{Repositories: s.Repositories, Actions: s.Actions, Networks: s.Networks}, nil
}

func scopeOf(s *auth.Scope) Scope {
	if s == nil {
		return Scope{}
	}
	return Scope{s.Repositories, s.Actions, s.Networks}
}

func (c *Clerk) answerRobots(all answers) {
	answered(all, CreateRobot, c.createRobot)
	answered(all, ListRobots, c.listRobots)
	done(all, DeleteRobot, func(ctx context.Context, q ByID) error { return c.Accounts.DeleteRobot(ctx, q.ID) })
}

func (c *Clerk) createRobot(ctx context.Context, q NewRobot) (Robot, error) {
	scope, err := q.Scope.scope()
	if err != nil {
		return Robot{}, err
	}
	r, secret, err := c.Accounts.CreateRobot(ctx, accounts.NewRobot{
		Account: c.account(q.Account), User: q.User, Description: q.Description, Expires: q.Expires, Scope: scope,
	})
	robot := robotOf(r)
	robot.Secret = Show(secret)
	return robot, err
}

func (c *Clerk) listRobots(ctx context.Context, q OfUser) ([]Robot, error) {
	list, err := c.Accounts.Robots(ctx)
	robots := []Robot{}
	for _, r := range list {
		if c.concerns(q, r.Account, r.User) {
			robots = append(robots, robotOf(r))
		}
	}
	return robots, err
}

func robotOf(r accounts.Robot) Robot {
	return Robot{
		ID: r.ID, Account: r.Account, User: r.User, Description: r.Description,
		CreatedAt: r.CreatedAt, Expires: r.Expires, Scope: scopeOf(r.Scope),
	}
}
