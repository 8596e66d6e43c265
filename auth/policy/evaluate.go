package policy

// Attached is a policy where it is in force.
type Attached struct {
	// Name says where: the ARN of a managed policy, or words such as "registry
	// policy".
	Name     string
	Document *Document
}

// Policies are all that bear on a request.
type Policies struct {
	Root        bool // who asks is the root of an account
	SameAccount bool // who asks is of the resource's account
	// Trust says that the resource is a role and its policy one of trust, without
	// which nobody may assume it.
	Trust    bool
	Identity []Attached
	Resource []Attached
	// Boundary and Session limit what Identity gives, where they are there.
	Boundary, Session       []Attached
	HasBoundary, HasSession bool
}

// Kind is a kind of policies.
type Kind string

// The kinds, in the words of AWS's denials.
const (
	IdentityBased       Kind = "identity-based policy"
	ResourceBased       Kind = "resource-based policy"
	PermissionsBoundary Kind = "permissions boundary"
	SessionPolicy       Kind = "session policy"
)

// Verdict is what all policies together say.
type Verdict struct {
	Allowed  bool
	Explicit bool // a statement denies; without it nothing allows
	// Kind is that of the policy that decided, or of the one that would have had to
	// allow. It is "" for the root of the account.
	Kind      Kind
	Policy    string // Attached.Name of the one that decided, "" if none did
	Statement int    // its place there, from 0; -1 if none did
	Sid       string
}

// Reason is the end of AWS's sentence about a denial.
func (v Verdict) Reason(action string) string {
	if v.Explicit {
		article := "a "
		if v.Kind == IdentityBased {
			article = "an "
		}
		return "with an explicit deny in " + article + string(v.Kind)
	}
	return "because no " + string(v.Kind) + " allows the " + action + " action"
}

// Evaluate decides a request (ECR reference, policies.md section 1; IAM user guide,
// "Policy evaluation logic"):
//
//   - A statement that denies goes before all that allow, whatever policy it is in.
//   - The root of the resource's account may do what nothing denies.
//   - In the same account a policy of the identity or of the resource is enough.
//     Boundary and session policies limit what the identity's give. They also limit
//     what the resource's gives to the role of a session; what it gives to the user
//     or session itself, or to everyone, they limit only by a denial.
//   - A resource's policy that names its own account hands the decision to that
//     account: it gives nobody anything that no policy of his own gives. ("AWS JSON
//     policy elements: Principal": naming an account delegates to it.)
//   - From another account both have to allow, the identity's within its limits. A
//     root has all that its account can give it.
//   - Who has no identity, which is anonymous callers, services and, in trust
//     policies, web identities, needs the resource's policy and no other. Anonymous
//     callers are meant only by a principal that is everyone.
//   - A role's trust policy has to allow in any case, also what the root or an
//     identity of its own account asks. ("Policy evaluation logic": trust policies
//     are an exception.)
//   - What nothing allows is denied.
func Evaluate(p Policies, r Request) Verdict {
	q := query{Request: &r}
	q.ask()
	if v := p.denial(&q); v.Explicit {
		return v
	}
	return p.grant(&q)
}

// Undenied is the verdict that there would be if no policy of the resource denied
// anything. Where that is a denial too, who asks has no rights that a statement took
// away, and whether the resource has one is not for him to learn.
func Undenied(p Policies, r Request) Verdict {
	q := query{Request: &r}
	q.ask()
	own := Policies{Identity: p.Identity, Boundary: p.Boundary, Session: p.Session}
	if v := own.denial(&q); v.Explicit {
		return v
	}
	return p.grant(&q)
}

// grant is the verdict on a request that nothing denies.
func (p *Policies) grant(q *query) Verdict {
	r := q.Request
	if p.Root && p.SameAccount && !p.Trust {
		return p.limited(Verdict{Allowed: true, Statement: -1}, q)
	}
	resource, how := resourceGrant(p.Resource, q)
	switch {
	case r.Principal.Anonymous, r.Principal.Service != "", r.Principal.Federated != "", p.Trust && how == nobody:
		return resource
	case p.SameAccount && how == direct:
		return resource
	case p.SameAccount && how == throughRole:
		return p.limited(resource, q)
	}
	identity := p.limited(p.identity(q), q)
	if p.SameAccount || !identity.Allowed {
		return identity
	}
	return resource
}

// denial is the verdict of the first statement that denies, of the resource's
// policies first.
func (p *Policies) denial(q *query) Verdict {
	for _, of := range [...]struct {
		kind Kind
		list []Attached
	}{{ResourceBased, p.Resource}, {IdentityBased, p.Identity}, {PermissionsBoundary, p.Boundary}, {SessionPolicy, p.Session}} {
		for i := range of.list {
			if at := of.list[i].Document.denies(q); at >= 0 {
				v := of.list[i].verdict(of.kind, at)
				v.Explicit = true
				return v
			}
		}
	}
	return Verdict{}
}

// verdict names a statement as the one that decided.
func (a *Attached) verdict(kind Kind, at int) Verdict {
	return Verdict{Kind: kind, Policy: a.Name, Statement: at, Sid: a.Document.statements[at].sid}
}

// resourceGrant is the verdict of the statement that allows in the most direct way.
func resourceGrant(list []Attached, q *query) (found Verdict, best grant) {
	found = Verdict{Kind: ResourceBased, Statement: -1}
	for i := range list {
		at, how := list[i].Document.allows(q, direct)
		if how > best {
			found, best = list[i].verdict(ResourceBased, at), how
			found.Allowed = true
		}
	}
	return found, best
}

// identity is the verdict of who asks' own policies, without limits.
func (p *Policies) identity(q *query) Verdict {
	if p.Root {
		return Verdict{Allowed: true, Statement: -1}
	}
	return allowance(IdentityBased, p.Identity, q)
}

// limited is what boundary and session policies leave of an allowance.
func (p *Policies) limited(v Verdict, q *query) Verdict {
	if v.Allowed && p.HasBoundary {
		if limit := allowance(PermissionsBoundary, p.Boundary, q); !limit.Allowed {
			return limit
		}
	}
	if v.Allowed && p.HasSession {
		if limit := allowance(SessionPolicy, p.Session, q); !limit.Allowed {
			return limit
		}
	}
	return v
}

// allowance is the verdict of the first policy that allows; if none does, one that
// says which kind is missing.
func allowance(kind Kind, list []Attached, q *query) Verdict {
	for i := range list {
		if at, _ := list[i].Document.allows(q, throughAccount); at >= 0 {
			v := list[i].verdict(kind, at)
			v.Allowed = true
			return v
		}
	}
	return Verdict{Kind: kind, Statement: -1}
}
