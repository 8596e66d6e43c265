package policy

// Everywhere says that [Evaluate] allows a request whatever its resource is, and
// whatever keys it has: no statement that denies is about the action, and who asks is
// given it on all resources without a condition. It is for resources that have no
// policies. False says nothing: what is allowed on each may be allowed in many ways.
func Everywhere(p Policies, r Request) bool {
	if !p.SameAccount || p.Trust || len(p.Resource) > 0 || r.Principal.Anonymous || r.Principal.Service != "" || r.Principal.Federated != "" {
		return false
	}
	q := query{Request: &r}
	q.ask()
	given := func(list []Attached) bool {
		found := false
		for i := range list {
			found = found || list[i].Document.allowsEverywhere(&q)
		}
		return found
	}
	for _, list := range [][]Attached{p.Identity, p.Boundary, p.Session} {
		for i := range list {
			if list[i].Document.mayDeny(&q) {
				return false
			}
		}
	}
	return (p.Root || given(p.Identity)) && (!p.HasBoundary || given(p.Boundary)) && (!p.HasSession || given(p.Session))
}

// mayDeny says whether a statement that denies is about the action.
func (d *Document) mayDeny(q *query) bool {
	for i := range d.denials {
		if d.denials[i].isAbout(q, d) {
			return true
		}
	}
	return false
}

// allowsEverywhere says whether a statement allows the action on all resources.
func (d *Document) allowsEverywhere(q *query) bool {
	for i := range d.grants {
		s := &d.statements[d.grants[i].at]
		if s.own && len(s.conditions) == 0 && s.resources.patterns == nil && d.grants[i].isAbout(q, d) {
			return true
		}
	}
	return false
}

// isAbout says whether a statement is about the action of a request.
func (e *entry) isAbout(q *query, d *Document) bool {
	if q.number >= 0 {
		return e.actions.has(q.number)
	}
	return d.statements[e.at].actions.have(q.action)
}
