package credentials

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/token"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// How long a temporary key may live (STS API reference, GetSessionToken).
const (
	MinSession     = 15 * time.Minute
	MaxSession     = 36 * time.Hour
	DefaultSession = 12 * time.Hour
)

// Session is a temporary key. Requests signed with it carry its token.
type Session struct {
	KeyID   string
	Secret  accounts.Secret
	Token   string
	Expires time.Time
}

// GetSessionToken issues a temporary key of the principal for a time from
// MinSession to MaxSession; 0 means DefaultSession. It dies with the
// principal's key. The error is an *Error for a duration out of range, else a
// fault.
//
// A principal who used a temporary key must not be given another, or one that
// was stolen would never end: see [Temporary].
func (v *Verifier) GetSessionToken(ctx context.Context, p auth.Principal, duration time.Duration) (Session, error) {
	if duration == 0 {
		duration = DefaultSession
	}
	if duration < MinSession || duration > MaxSession {
		return Session{}, refuse(ValidationError, "DurationSeconds must be from %d to %d", MinSession/time.Second, MaxSession/time.Second)
	}
	from, err := v.lineage(ctx, p)
	if err != nil {
		return Session{}, err
	}
	return v.issue(token.Session{Account: p.Account, Lineage: from}, duration)
}

// issue makes a temporary key of what s says.
func (v *Verifier) issue(s token.Session, life time.Duration) (Session, error) {
	_, secret := accounts.NewPair(accounts.PrefixSession)
	id := sessionKeyID(s.Account)
	s.KeyID, s.Secret = id, secret.Reveal()
	sealed, expires, err := v.tokens.SealSession(s, life)
	if errors.Is(err, token.ErrTooLong) {
		return Session{}, refuse(PackedPolicyTooLarge, "The session carries more than its token can.")
	}
	if err != nil {
		return Session{}, err
	}
	return Session{KeyID: id, Secret: secret, Token: sealed, Expires: expires}, nil
}

// sessionKeyID is the id of a temporary key. Nobody keeps it, so it tells its account
// itself, as AWS's do: five bytes of it, and five random ones.
func sessionKeyID(account string) string {
	n, _ := strconv.ParseUint(account, 10, 64) // twelve digits have room in five bytes
	b := binary.BigEndian.AppendUint64(nil, n)[3:]
	return accounts.PrefixSession + base32.StdEncoding.EncodeToString(append(b, random(5)...))
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // does not fail: crypto/rand
	return b
}

// AccountOf is the account that an access key is of, whether or not it is in force:
// of a temporary one what its id tells. The error is an *Error for one that is
// unknown, or a fault.
func (v *Verifier) AccountOf(ctx context.Context, keyID string) (string, error) {
	if id, ok := strings.CutPrefix(keyID, accounts.PrefixSession); ok {
		if b, err := base32.StdEncoding.DecodeString(id); err == nil && len(b) == 10 {
			if account := fmt.Sprintf("%012d", binary.BigEndian.Uint64(append(make([]byte, 3), b[:5]...))); len(account) == 12 {
				return account, nil
			}
		}
	}
	key, err := v.accounts.Key(ctx, keyID)
	if errors.Is(err, accounts.ErrNoKey) {
		return "", refuse(ValidationError, "The access key is not known.")
	}
	if err != nil {
		return "", fmt.Errorf("look up access key: %w", err)
	}
	return key.Account, nil
}

// lineage is what credentials that derive from a principal's note of him, to see
// that it is still there.
func (v *Verifier) lineage(ctx context.Context, p auth.Principal) (token.Lineage, error) {
	var l token.Lineage
	if p.Session != nil && p.Session.Lineage != "" {
		if err := json.Unmarshal([]byte(p.Session.Lineage), &l); err != nil {
			return l, fmt.Errorf("read the lineage of session %s: %w", p.Session.ID, err)
		}
		return l, nil
	}
	if strings.HasPrefix(p.KeyID, accounts.PrefixRobot) {
		robot, _, err := v.liveRobot(ctx, p.KeyID)
		return token.Lineage{Robot: robot.ID, ParentMark: robot.Mark}, refuseDead(err)
	}
	key, err := v.liveKey(ctx, p.KeyID)
	if err != nil {
		return l, refuseDead(err)
	}
	return token.Lineage{Parent: key.ID, ParentMark: key.Mark}, nil
}

// noted is a session as what derives from it notes it: all but its secret and its
// end. It is nil for who has no session or one that adds nothing to his key.
func (v *Verifier) noted(ctx context.Context, p auth.Principal) (*token.Session, error) {
	if p.Session == nil {
		return nil, nil
	}
	from, err := v.lineage(ctx, p)
	if err != nil || p.Kind != auth.Role && from.Robot == "" {
		return nil, err
	}
	of := p.Session
	return &token.Session{
		KeyID: of.ID, Account: p.Account, Name: of.Name, Issued: of.Issued.Unix(), Lineage: from,
		Carried:        token.Carried{Policies: of.Policies, PolicyARNs: of.PolicyARNs, Tags: of.Tags, Transitive: of.Transitive},
		SourceIdentity: of.SourceIdentity, Provider: of.Provider, Subject: of.Subject,
	}, nil
}

// revive is the principal of a session that is proven, in region, if all that it
// comes from is still there; else errDead. Nothing is read but that.
func (v *Verifier) revive(ctx context.Context, s token.Session, region string) (auth.Principal, error) {
	p, err := v.liveOrigin(ctx, s, region)
	if err != nil {
		return auth.Principal{}, err
	}
	lineage, err := json.Marshal(s.Lineage)
	if err != nil {
		return auth.Principal{}, fmt.Errorf("write the lineage of session %s: %w", s.KeyID, err)
	}
	of := &auth.Session{
		ID: s.KeyID, Name: s.Name, Issued: time.Unix(s.Issued, 0).UTC(), Lineage: string(lineage),
		Policies: s.Policies, PolicyARNs: s.PolicyARNs, Tags: s.Tags, Transitive: s.Transitive,
		SourceIdentity: s.SourceIdentity, Provider: s.Provider, Subject: s.Subject,
	}
	if len(s.Roles) == 0 {
		of.IssuerID = p.UserID
		p.Session = of
		return p, nil
	}
	role, err := v.liveRole(ctx, s.Roles)
	if err != nil {
		return auth.Principal{}, err
	}
	assumed := roleSession(role, of, region)
	assumed.Scope = p.Scope // a role is no way out of it
	return assumed, nil
}

// liveOrigin is whose key a session began with; nobody where it began with a web
// identity.
func (v *Verifier) liveOrigin(ctx context.Context, s token.Session, region string) (auth.Principal, error) {
	if s.Robot != "" {
		robot, u, err := v.liveRobot(ctx, s.Robot)
		if err == nil && robot.Mark != s.ParentMark {
			err = errDead
		}
		return robotUser(robot, u, region), err
	}
	if s.Parent == "" {
		return auth.Principal{}, nil
	}
	key, err := v.liveKey(ctx, s.Parent)
	if err != nil {
		return auth.Principal{}, err
	}
	if key.Mark != s.ParentMark || len(s.Roles) == 0 && key.Account != s.Account {
		return auth.Principal{}, errDead
	}
	return owner(key, region), nil
}

// liveRobot returns a robot key that is in force, with its user, or errDead.
func (v *Verifier) liveRobot(ctx context.Context, id string) (accounts.Robot, accounts.User, error) {
	r, u, err := v.accounts.Robot(ctx, id)
	if errors.Is(err, accounts.ErrNoRobot) {
		return r, u, errDead
	}
	if err != nil {
		return r, u, fmt.Errorf("look up robot key: %w", err)
	}
	return r, u, nil
}

// liveRole is the last of the roles that were assumed one after the other, if all
// are there and not revoked since, else errDead.
func (v *Verifier) liveRole(ctx context.Context, assumed []token.Role) (role accounts.Role, err error) {
	for _, r := range assumed {
		role, err = v.accounts.Role(ctx, r.Account, r.Name)
		switch {
		case errors.Is(err, accounts.ErrNoRole):
			return role, errDead
		case err != nil:
			return role, fmt.Errorf("look up role %s of account %s: %w", r.Name, r.Account, err)
		case role.Mark != r.Mark:
			return role, errDead
		}
	}
	return role, nil
}

// roleSession is the principal of a session of a role (IAM user guide, "IAM
// identifiers" and "Unique identifiers").
func roleSession(r accounts.Role, of *auth.Session, region string) auth.Principal {
	of.Issuer, of.IssuerID = r.ARN, r.ID
	return auth.Principal{
		Account: r.Account,
		ARN:     assumedARN(r, of.Name, endpoint.Partition(region)),
		UserID:  r.ID + ":" + of.Name,
		KeyID:   of.ID,
		Region:  region,
		Kind:    auth.Role,
		Name:    r.Name,
		Session: of,
	}
}

func assumedARN(r accounts.Role, session, partition string) string {
	return "arn:" + partition + ":sts::" + r.Account + ":assumed-role/" + r.Name + "/" + session
}
