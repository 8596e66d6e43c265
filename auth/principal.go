package auth

import (
	"net/netip"
	"time"
)

// Principal is an identity whose credentials have been verified. The zero
// value is nobody. Principals may be compared with ==.
type Principal struct {
	// Account is the twelve-digit id of the account that the identity is of; ""
	// for Anonymous.
	Account string
	// ARN names the identity, such as "arn:aws:iam::123456789012:root".
	ARN string
	// UserID is what STS calls UserId: the account id for root, the id of a user,
	// the id of a role with the name of its session.
	UserID string
	// KeyID is the access key that the credentials come from: the long-lived
	// one, also where a temporary key or a registry password was shown; the
	// temporary one for a role's session.
	KeyID string
	// Region is the region that the credentials were used for: the scope of a
	// signature, or the region that issued a registry password.
	Region string
	Kind   Kind
	// Name is that of the user, or of the role of a session; "" for others.
	Name string
	// Session is that of temporary credentials, nil for others.
	Session *Session
	// Scope is what a registry password was narrowed to, nil if it was not.
	Scope *Scope
}

// Kind is a kind of principal.
type Kind string

// The kinds.
const (
	Root      Kind = "root"
	User      Kind = "user"
	Role      Kind = "role" // a session of a role
	Anonymous Kind = "anonymous"
)

// Nobody is the principal of a request without credentials, where such are
// answered at all. Region is that of the registry that it is for.
func Nobody(region string) Principal {
	return Principal{Kind: Anonymous, ARN: "anonymous", UserID: "ANONYMOUS_PRINCIPAL", Region: region}
}

// IsZero says that p is nobody.
func (p Principal) IsZero() bool { return p.ARN == "" }

// IsRoot says whether p is the root of its account.
func (p Principal) IsRoot() bool { return p.Kind == Root && p.Account != "" }

// Session is what temporary credentials stand for beside their identity.
type Session struct {
	ID     string // the temporary key's
	Name   string // of a role's session; "" for a user's
	Issuer string // ARN of the role; "" for a user's session
	// IssuerID is the id of the role or user, which is never used again: who has
	// the name later does not have the session.
	IssuerID string
	// Policies are texts that limit the session, PolicyARNs managed policies that
	// do. With none of both it is not limited.
	Policies   []string
	PolicyARNs []string
	Tags       map[string]string
	Transitive []string // keys of the tags that go on to a role which the session assumes
	MFA        bool
	Issued     time.Time
	// SourceIdentity is what the session was given at its beginning, "" if nothing.
	SourceIdentity string
	// Provider and Subject are those of a web identity, "" without one. Provider
	// is the issuer without its scheme.
	Provider, Subject string
	// Lineage is what package credentials notes of where the session comes from in all
	// that derives from it. It holds no secret.
	Lineage string
}

// Limited says whether session policies limit a session.
func (s *Session) Limited() bool { return s != nil && len(s.Policies)+len(s.PolicyARNs) > 0 }

// Scope narrows what a registry password opens: to repositories, actions and
// source networks. An empty list narrows nothing.
type Scope struct {
	Repositories []string // patterns of names, such as "team/*"
	// Actions are "pull", "push", "delete", or actions such as "ecr:PutImage", with
	// stars.
	Actions  []string
	Networks []netip.Prefix
}
