package policy

// Principal is who asks.
type Principal struct {
	Account string // twelve digits; "" for a service
	ARN     string
	Service string // such as "ecr.amazonaws.com"; "" for all others
	// Federated is the provider of a web identity, by the ARN or name that trust
	// policies have for it; "" for all others.
	Federated string
	Anonymous bool // nobody has been asked who he is
}

// Request is what is asked.
type Request struct {
	Principal Principal
	Action    string // such as "ecr:PutImage", in any case
	Resource  string // ARN
	Keys      Keys
	// Pending are names of keys, in lower case, that are known only later, or Any. A
	// condition on one of them keeps an Allow and takes a Deny out, so that a first
	// look refuses nothing that a second one, with all keys, could allow. A key that
	// is also in Keys is known.
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
	Effect    Effect
	Statement int    // its place, from 0; -1 for NoMatch
	Sid       string // "" if it has none
}

// Decide says what a policy says to a request: a statement that denies goes before
// all that allow, and of two that say the same the first counts. It is as little as
// one policy tells; [Evaluate] decides.
func (d *Document) Decide(r Request) Decision {
	q := query{Request: &r}
	q.ask()
	if i := d.denies(&q); i >= 0 {
		return Decision{Denied, i, d.statements[i].sid}
	}
	if i, _ := d.allows(&q, throughAccount); i >= 0 {
		return Decision{Allowed, i, d.statements[i].sid}
	}
	return Decision{Effect: NoMatch, Statement: -1}
}

// denies is the first statement that denies, or -1.
func (d *Document) denies(q *query) int {
	for i := range d.denials {
		e := &d.denials[i]
		if !e.concerns(q) {
			continue
		}
		if known, _ := d.statements[e.at].meets(q); known == yes {
			return e.at
		}
	}
	return -1
}

// allows is the statement that allows in the most direct way, the first of these,
// or -1. It looks no further than for one that is direct enough.
func (d *Document) allows(q *query, enough grant) (at int, best grant) {
	at = -1
	for i := range d.grants {
		e := &d.grants[i]
		if !e.concerns(q) {
			continue
		}
		known, how := d.statements[e.at].meets(q)
		if known == no || how <= best {
			continue
		}
		if at, best = e.at, how; best >= enough {
			break
		}
	}
	return at, best
}

// meets says whether a statement speaks of a request, and how directly of who asks.
// The action has been looked at if it is a known one.
func (s *statement) meets(q *query) (truth, grant) {
	how := direct
	if !s.own {
		how = s.reach(&q.Principal)
	}
	if how == nobody || q.number < 0 && !s.actions.have(q.action) {
		return no, nobody
	}
	known := s.resources.have(q)
	for i := range s.conditions {
		if known == no {
			break
		}
		known = min(known, s.conditions[i].holds(q))
	}
	return known, how
}

// reach says how a statement names a principal.
func (s *statement) reach(who *Principal) grant {
	switch {
	case s.principals != nil:
		return s.principals.grant(who)
	case s.notPrincipals.grant(who) > nobody || s.allows && who.Anonymous:
		return nobody
	}
	return throughRole
}
