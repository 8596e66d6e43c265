package admin

import (
	"cmp"
	"context"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/sign"
)

// Clerk answers calls over a store. It is what a running server and an opened store
// have in common.
type Clerk struct {
	Accounts *accounts.Store
	// Account and Region are the server's own, which questions mean that name none.
	Account, Region string
	// AnonymousPull says whether reads without credentials are answered at all.
	AnonymousPull bool
	// Credentials is asked for who makes registry passwords.
	Credentials func() (*credentials.Verifier, error)
	// Registry is asked for when a call is about images and what they lie in.
	Registry func(context.Context) (*registry.Service, error)
	// Signing is asked for the profiles that images are signed with.
	Signing func(context.Context) (*sign.Keyring, error)
	// Writes is the server itself, nil if none runs.
	Writes Writes
	// Replicator is who replicates, nil if no server runs.
	Replicator Replicator
	// Vulnerabilities has the vulnerability database, nil if no server runs.
	Vulnerabilities Vulnerabilities
	// Compare holds the index against its journal and tells the first differences; nil
	// if there is no journal.
	Compare func(ctx context.Context, most int) ([]registry.Fault, error)
	// Judge is asked for when a decision is to be explained.
	Judge func(context.Context) (Judge, error)
}

// Call answers a question in the form that a [Call] asks it. The error is ErrNoCall or
// that of who answers.
func (c *Clerk) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	return c.answers().call(ctx, name, question)
}

func (c *Clerk) answers() answers {
	all := answers{}
	c.answerUsers(all)
	c.answerGroups(all)
	c.answerRoles(all)
	c.answerPolicies(all)
	c.answerProviders(all)
	c.answerKeys(all)
	c.answerRobots(all)
	c.answerSizes(all)
	c.answerPasswords(all)
	c.answerDecisions(all)
	c.answerTrash(all)
	c.answerCache(all)
	c.answerReplication(all)
	c.answerScanDatabase(all)
	c.answerScans(all)
	c.answerSigning(all)
	c.answerReadOnly(all)
	c.answerBackups(all)
	c.answerGC(all)
	c.answerIntegrity(all)
	return all
}

// account is the one that a question means.
func (c *Clerk) account(asked string) string { return cmp.Or(asked, c.Account) }

// policyARN is the ARN of a managed policy that people name by it or by its name.
func (c *Clerk) policyARN(ctx context.Context, account, nameOrARN string) (string, error) {
	if nameOrARN == "" || strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN, nil
	}
	p, err := c.Accounts.Policy(ctx, account, nameOrARN)
	return p.ARN, err
}

// each makes a list of another kind, which is never nil: as JSON it is a list.
func each[From, To any](from []From, fn func(From) To) []To {
	list := make([]To, 0, len(from))
	for _, f := range from {
		list = append(list, fn(f))
	}
	return list
}
