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
	k := make(policy.Keys, 24)
	k["aws:currenttime"] = []string{now.Format(time.RFC3339)}
	k["aws:epochtime"] = []string{strconv.FormatInt(now.Unix(), 10)}
	k["aws:securetransport"] = []string{strconv.FormatBool(r.Secure)}
	if p.Region != "" {
		k["aws:requestedregion"] = []string{p.Region}
	}
	if r.SourceIP.IsValid() {
		k["aws:sourceip"] = []string{r.SourceIP.String()}
	}
	if r.UserAgent != "" {
		k["aws:useragent"] = []string{r.UserAgent}
	}
	principalKeys(k, p, tags)
	return k
}

// principalTypes are what aws:PrincipalType says of kinds.
var principalTypes = map[Kind]string{Root: "Account", User: "User", Role: "AssumedRole", Anonymous: "Anonymous"}

func principalKeys(k policy.Keys, p Principal, tags map[string]string) {
	if kind, ok := principalTypes[p.Kind]; ok {
		k["aws:principaltype"] = []string{kind}
	}
	if p.Kind == Anonymous || p.IsZero() {
		return
	}
	k["aws:principalarn"] = []string{principalARN(p)}
	k["aws:principalaccount"] = []string{p.Account}
	k["aws:userid"] = []string{p.UserID}
	if p.Kind == User {
		k["aws:username"] = []string{p.Name}
	}
	putTags(k, "aws:principaltag/", tags)
	sessionKeys(k, p.Session)
}

// sessionKeys go before those of the role itself.
func sessionKeys(k policy.Keys, s *Session) {
	if s == nil {
		return
	}
	k["aws:multifactorauthpresent"] = []string{strconv.FormatBool(s.MFA)}
	k["aws:tokenissuetime"] = []string{s.Issued.UTC().Format(time.RFC3339)}
	if s.SourceIdentity != "" {
		k["aws:sourceidentity"] = []string{s.SourceIdentity}
	}
	if s.Provider != "" {
		k["aws:federatedprovider"] = []string{s.Provider}
	}
	putTags(k, "aws:principaltag/", s.Tags)
}

func putTags(k policy.Keys, prefix string, tags map[string]string) {
	for name, value := range tags {
		k[prefix+strings.ToLower(name)] = []string{value}
	}
}

// principalARN is what aws:PrincipalArn says: of a role's session the role.
func principalARN(p Principal) string {
	if p.Kind == Role && p.Session != nil {
		return p.Session.Issuer
	}
	return p.ARN
}
