package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// ErrNoPrincipal says that nobody is meant by a principal that a question names.
var ErrNoPrincipal = errors.New("nobody is meant: want an ARN, user/NAME, role/NAME, root, anonymous or the id of an access key")

// principal is who people mean by an ARN, by words such as user/ada or by the id of an
// access key, and who uses what they have in a region.
func (c *Clerk) principal(ctx context.Context, as, account, region string) (auth.Principal, error) {
	kind, name, _ := strings.Cut(as, "/")
	switch {
	case strings.HasPrefix(as, "arn:"):
		return c.principalByARN(ctx, as, region)
	case as == "root":
		return root(account, region), nil
	case as == "anonymous":
		return auth.Nobody(region), nil
	case kind == "user":
		return c.userNamed(ctx, account, name, region)
	case kind == "role":
		return c.roleNamed(ctx, account, name, "explain", region)
	}
	return c.keyHolder(ctx, as, region)
}

// principalByARN reads the ARN of a root, a user, a role or a role's session. A path
// before a name is passed over: names are unique without it.
func (c *Clerk) principalByARN(ctx context.Context, arn, region string) (auth.Principal, error) {
	part := strings.SplitN(arn, ":", 6)
	if len(part) != 6 || part[2] != "iam" && part[2] != "sts" {
		return auth.Principal{}, fmt.Errorf("%s: %w", arn, ErrNoPrincipal)
	}
	account := part[4]
	kind, name, _ := strings.Cut(part[5], "/")
	switch part[2] + ":" + kind {
	case "iam:root":
		return root(account, region), nil
	case "iam:user":
		return c.userNamed(ctx, account, afterPath(name), region)
	case "iam:role":
		return c.roleNamed(ctx, account, afterPath(name), "explain", region)
	case "sts:assumed-role":
		role, session, _ := strings.Cut(name, "/")
		return c.roleNamed(ctx, account, role, session, region)
	}
	return auth.Principal{}, fmt.Errorf("%s: %w", arn, ErrNoPrincipal)
}

func afterPath(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

func root(account, region string) auth.Principal {
	return auth.Principal{
		Account: account, ARN: "arn:" + endpoint.Partition(region) + ":iam::" + account + ":root", UserID: account, Region: region, Kind: auth.Root,
	}
}

func (c *Clerk) userNamed(ctx context.Context, account, name, region string) (auth.Principal, error) {
	u, err := c.Accounts.User(ctx, account, name)
	if err != nil {
		return auth.Principal{}, err
	}
	return auth.Principal{
		Account: account, ARN: "arn:" + endpoint.Partition(region) + ":iam::" + account + ":user" + u.Path + u.Name,
		UserID: u.ID, Region: region, Kind: auth.User, Name: u.Name,
	}, nil
}

// roleNamed is a session of a role without session policies, as it would begin now.
func (c *Clerk) roleNamed(ctx context.Context, account, name, session, region string) (auth.Principal, error) {
	r, err := c.Accounts.Role(ctx, account, name)
	if err != nil {
		return auth.Principal{}, err
	}
	of := "arn:" + endpoint.Partition(region)
	return auth.Principal{
		Account: account, ARN: of + ":sts::" + account + ":assumed-role/" + r.Name + "/" + session, UserID: r.ID + ":" + session,
		Region: region, Kind: auth.Role, Name: r.Name,
		Session: &auth.Session{Name: session, Issuer: of + ":iam::" + account + ":role" + r.Path + r.Name, IssuerID: r.ID, Issued: time.Now()},
	}, nil
}

// keyHolder is whose an access key is.
func (c *Clerk) keyHolder(ctx context.Context, id, region string) (auth.Principal, error) {
	key, err := c.Accounts.Key(ctx, id)
	if errors.Is(err, accounts.ErrNoKey) {
		return auth.Principal{}, fmt.Errorf("%w; there is no such access key either", ErrNoPrincipal)
	}
	if err != nil {
		return auth.Principal{}, err
	}
	p := root(key.Account, region)
	if key.User != "" {
		p, err = c.userNamed(ctx, key.Account, key.User, region)
	}
	p.KeyID = id
	return p, err
}
