package policy

import "strings"

// Principal is who asks.
type Principal struct {
	Account string // twelve digits; "" for a service
	ARN     string
	Service string // such as "ecr.amazonaws.com"; "" for all others
	// Federated is the ARN of the provider of a web identity; "" for all others.
	Federated string
	Anonymous bool // nobody has been asked who he is
}

// Request is what is asked.
type Request struct {
	Principal Principal
	Action    string // such as "ecr:PutImage"
	Resource  string // ARN
	Keys      Keys
	// Pending are names of keys, in lower case, that are known only later. A
	// condition on one of them keeps an Allow and takes a Deny out, so that a first
	// look refuses nothing that a second one, with all keys, could allow.
	Pending []string
}

// Effect is what a policy says to a request.
type Effect int

// The effects, the stronger behind. A request of which nothing is said is neither
// allowed nor denied.
const (
	NoMatch Effect = iota
	Allowed
	Denied
)

// Decision is an effect and the statement that has it.
type Decision struct {
	Effect      Effect
	Statement   int    // its place, from 0; -1 for NoMatch
	Sid         string // "" if it has none
	Conditional bool   // a denial that hangs on a condition, which nobody has looked at
}

// Decide says what a policy says to a request: a statement that denies goes before
// all that allow, and one that denies whatever comes before those with conditions.
func (d *Document) Decide(q Request) Decision {
	found := Decision{Effect: NoMatch, Statement: -1}
	for i, s := range d.statements {
		if s.allows && s.conditional || !s.meets(q) {
			continue
		}
		if says := s.decision(i); says.goesBefore(found) {
			found = says
		}
	}
	return found
}

func (s statement) decision(i int) Decision {
	effect := Denied
	if s.allows {
		effect = Allowed
	}
	return Decision{Effect: effect, Statement: i, Sid: s.sid, Conditional: s.conditional}
}

// goesBefore says whether a decision counts more than one that was found earlier.
func (d Decision) goesBefore(earlier Decision) bool {
	return d.Effect > earlier.Effect || d.Effect == Denied && !d.Conditional && earlier.Conditional
}

func (s statement) meets(q Request) bool {
	if s.principals != nil && !s.principals.have(q.Principal) || s.notPrincipals != nil && s.notPrincipals.have(q.Principal) {
		return false
	}
	if s.actions != nil && !anyMatch(s.actions, q.Action, matchFold) || s.notActions != nil && anyMatch(s.notActions, q.Action, matchFold) {
		return false
	}
	return (s.resources == nil || anyMatch(s.resources, q.Resource, match)) && (s.notResources == nil || !anyMatch(s.notResources, q.Resource, match))
}

func anyMatch(patterns []string, s string, match func(pattern, s string) bool) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// matchFold is match without regard to case, as for actions.
func matchFold(pattern, s string) bool { return match(strings.ToLower(pattern), strings.ToLower(s)) }

// match holds the whole of s against a pattern in which a star stands for any run
// of characters and a question mark for any one. It takes at most pattern times
// text: what the last star stands for is all that is ever taken back.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
