package auth

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/policy"
)

// Keys are the condition keys that every request of a principal has: its
// circumstances, and who asks, with the tags of the identity (IAM user guide, "AWS
// global condition context keys").
func Keys(ctx context.Context, p Principal, tags map[string]string, now time.Time) policy.Keys {
	r := RequestOf(ctx)
	now = now.UTC()
	b := newKeyBook(len(tags))
	b.put("aws:currenttime", now.Format(time.RFC3339))
	b.put("aws:epochtime", strconv.FormatInt(now.Unix(), 10))
	b.put("aws:securetransport", strconv.FormatBool(r.Secure))
	if p.Region != "" {
		b.put("aws:requestedregion", p.Region)
	}
	if r.SourceIP.IsValid() {
		b.put("aws:sourceip", r.SourceIP.String())
	}
	if r.UserAgent != "" {
		b.put("aws:useragent", r.UserAgent)
	}
	b.putPrincipal(p, tags)
	return b.keys
}

// keyBook makes keys of one value each. The values share an array, for this is done
// for every request.
type keyBook struct {
	keys   policy.Keys
	values []string
}

// mostKeys is how many a request of a user has, and one more of a check's own.
const mostKeys = 14

func newKeyBook(more int) keyBook {
	return keyBook{make(policy.Keys, mostKeys+more), make([]string, 0, mostKeys+more)}
}

func (b *keyBook) put(name, value string) {
	b.values = append(b.values, value)
	n := len(b.values)
	b.keys[name] = b.values[n-1 : n : n]
}

// principalTypes are what aws:PrincipalType says of kinds.
var principalTypes = map[Kind]string{Root: "Account", User: "User", Role: "AssumedRole", Anonymous: "Anonymous"}

func (b *keyBook) putPrincipal(p Principal, tags map[string]string) {
	if kind, ok := principalTypes[p.Kind]; ok {
		b.put("aws:principaltype", kind)
	}
	if p.Kind == Anonymous || p.IsZero() {
		return
	}
	b.put("aws:principalarn", principalARN(p))
	b.put("aws:principalaccount", p.Account)
	b.put("aws:userid", p.UserID)
	if p.Kind == User {
		b.put("aws:username", p.Name)
	}
	b.putTags("aws:principaltag/", tags)
	b.putSession(p.Session)
}

// putSession puts those of a session, which go before those of the role itself.
func (b *keyBook) putSession(s *Session) {
	if s == nil {
		return
	}
	b.put("aws:multifactorauthpresent", strconv.FormatBool(s.MFA))
	b.put("aws:tokenissuetime", s.Issued.UTC().Format(time.RFC3339))
	if s.SourceIdentity != "" {
		b.put("aws:sourceidentity", s.SourceIdentity)
	}
	if s.Provider != "" {
		b.put("aws:federatedprovider", s.Provider)
	}
	b.putTags("aws:principaltag/", s.Tags)
}

func (b *keyBook) putTags(prefix string, tags map[string]string) {
	for name, value := range tags {
		b.put(prefix+strings.ToLower(name), value)
	}
}

// principalARN is what aws:PrincipalArn says: of a role's session the role.
func principalARN(p Principal) string {
	if p.Kind == Role && p.Session != nil {
		return p.Session.Issuer
	}
	return p.ARN
}
