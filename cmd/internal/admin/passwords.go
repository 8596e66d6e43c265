package admin

import (
	"context"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
)

// The calls about registry passwords.
var (
	CreatePassword = Call[NewPassword, Password]{"create-password"}
	ListPasswords  = Call[PasswordsOf, []Issued]{"list-passwords"}
	RevokePassword = Call[ByID, None]{"revoke-password"}
)

// NewPassword is a registry password to be made in the name of a user or a role.
type NewPassword struct {
	OfUser
	Role   string `json:"role,omitempty"`
	Region string `json:"region,omitempty"` // "" means the server's own
	Life   Life   `json:"life,omitzero"`    // 0 means what the identity says
	Scope  Scope  `json:"scope,omitzero"`
}

func (n NewPassword) subject() string { return n.User + n.Role }

// Password is a registry password that is new. Its JSON form is what commands print.
type Password struct {
	Username  string    `json:"Username"`
	Password  Shown     `json:"Password"`
	ExpiresAt time.Time `json:"ExpiresAt"`
}

// PasswordsOf asks for the passwords that derive from a key, or that a user or a role
// has; for all where nothing is named.
type PasswordsOf struct {
	OfUser
	Role  string `json:"role,omitempty"`
	KeyID string `json:"keyId,omitempty"`
}

// Issued is a registry password that is in force or was revoked, without the password.
// Its JSON form is what commands print.
type Issued struct {
	ID        string    `json:"Id"`
	Account   string    `json:"Account"`
	ARN       string    `json:"Arn"` // of who has it
	KeyID     string    `json:"AccessKeyId,omitempty"`
	Region    string    `json:"Region"`
	Scope     Scope     `json:"Scope,omitzero"`
	SourceIP  string    `json:"SourceIp,omitempty"` // of who asked for it
	IssuedAt  time.Time `json:"IssuedAt"`
	ExpiresAt time.Time `json:"ExpiresAt"`
	Revoked   bool      `json:"Revoked"`
}

func (c *Clerk) answerPasswords(all answers) {
	answered(all, CreatePassword, c.createPassword)
	answered(all, ListPasswords, c.listPasswords)
	done(all, RevokePassword, func(ctx context.Context, q ByID) error {
		return c.Accounts.RevokePassword(ctx, q.ID, time.Time{})
	})
}

func (c *Clerk) createPassword(ctx context.Context, q NewPassword) (Password, error) {
	v, err := c.Credentials()
	if err != nil {
		return Password{}, err
	}
	scope, err := q.Scope.scope()
	if err != nil {
		return Password{}, err
	}
	if q.Region == "" {
		q.Region = c.Region
	}
	text, expires, err := v.PasswordFor(ctx, credentials.PasswordRequest{
		Account: c.account(q.Account), User: q.User, Role: q.Role, Region: q.Region, Life: time.Duration(q.Life), Scope: scope,
	})
	if err != nil {
		return Password{}, err
	}
	made := Password{credentials.User, Show(accounts.NewSecret(text)), expires}
	return made, v.FlushIssued(ctx) // so that a command's is listed, also where no server runs
}

func (c *Clerk) listPasswords(ctx context.Context, q PasswordsOf) ([]Issued, error) {
	v, err := c.Credentials()
	if err != nil {
		return nil, err
	}
	if err := v.FlushIssued(ctx); err != nil {
		return nil, err
	}
	list, err := c.Accounts.IssuedPasswords(ctx)
	issued := []Issued{}
	for _, i := range list {
		if c.has(q, i) {
			issued = append(issued, issuedOf(i))
		}
	}
	return issued, err
}

// has says whether a password is one of those that were asked for.
func (c *Clerk) has(q PasswordsOf, i accounts.Issued) bool {
	switch {
	case q.KeyID != "":
		return i.KeyID == q.KeyID
	case q.User != "":
		return i.Account == c.account(q.Account) && strings.Contains(i.ARN, ":user/") && strings.HasSuffix(i.ARN, "/"+q.User)
	case q.Role != "":
		return i.Account == c.account(q.Account) && strings.Contains(i.ARN, ":assumed-role/"+q.Role+"/")
	}
	return q.Account == "" || i.Account == q.Account
}

func issuedOf(i accounts.Issued) Issued {
	out := Issued{
		ID: i.ID, Account: i.Account, ARN: i.ARN, KeyID: i.KeyID, Region: i.Region, Scope: scopeOf(i.Scope),
		IssuedAt: i.At, ExpiresAt: i.Expires, Revoked: i.Revoked,
	}
	if i.SourceIP.IsValid() {
		out.SourceIP = i.SourceIP.String()
	}
	return out
}
