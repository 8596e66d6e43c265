package policy

// Keys are the condition keys of a request and their values, by name in lower case
// ("aws:sourceip"). A key that is not there is absent.
type Keys map[string][]string

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
	Identity    []Attached
	Resource    []Attached
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

// Evaluate decides a request (ECR reference, policies.md section 1).
func Evaluate(p Policies, r Request) Verdict {
	for _, of := range []struct {
		kind Kind
		list []Attached
	}{{ResourceBased, p.Resource}, {IdentityBased, p.Identity}, {PermissionsBoundary, p.Boundary}, {SessionPolicy, p.Session}} {
		if v := firstWith(Denied, of.kind, of.list, r); v.Explicit {
			return v
		}
	}
	if p.Root && p.SameAccount {
		return Verdict{Allowed: true, Statement: -1}
	}
	resource := firstWith(Allowed, ResourceBased, p.Resource, r)
	if p.SameAccount && resource.Allowed {
		return resource
	}
	if p.Root {
		return resource
	}
	identity := firstWith(Allowed, IdentityBased, p.Identity, r)
	if !identity.Allowed {
		return identity
	}
	if p.HasBoundary {
		if v := firstWith(Allowed, PermissionsBoundary, p.Boundary, r); !v.Allowed {
			return v
		}
	}
	if p.HasSession {
		if v := firstWith(Allowed, SessionPolicy, p.Session, r); !v.Allowed {
			return v
		}
	}
	if !p.SameAccount {
		return resource
	}
	return identity
}

// firstWith is the verdict of the first policy that has an effect; if none has,
// one that does not allow.
func firstWith(effect Effect, kind Kind, list []Attached, r Request) Verdict {
	for _, a := range list {
		d := a.Document.Decide(r)
		if d.Effect == effect {
			return Verdict{effect == Allowed, effect == Denied, kind, a.Name, d.Statement, d.Sid}
		}
	}
	return Verdict{Kind: kind, Statement: -1}
}
