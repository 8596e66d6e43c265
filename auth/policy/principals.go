package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// principals are whom a statement speaks of.
type principals struct {
	everyone  bool
	accounts  []string // ids: everyone in the account
	roots     []string // ids: the root alone
	arns      []string
	services  []string
	federated []string
}

// grant is how a statement names a principal, on which it depends what limits what
// it gives within an account (IAM user guide, "Policy evaluation logic" and "AWS
// JSON policy elements: Principal").
type grant int

const (
	nobody grant = iota
	// throughAccount: by the account. Authority goes to the account, and one of its
	// identities has it where a policy of its own gives it.
	throughAccount
	// throughRole: by the role of a session, for which boundary and session policies
	// hold.
	throughRole
	// direct: by the user or session itself, or with everyone. Nothing limits that
	// but what denies outright.
	direct
)

var (
	// serviceName is the form of a name such as "ecr.amazonaws.com"; in China it ends in
	// ".cn".
	serviceName  = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	principalARN = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:(?:iam::([0-9]{12}):(root|user/[\w+=,.@/-]+|role/[\w+=,.@/-]+)|sts::([0-9]{12}):(assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))$`)
	// provider is an identity provider: its ARN, or the name of one of those that AWS
	// knows without.
	provider = regexp.MustCompile(`^(arn:aws[a-zA-Z-]*:iam::[0-9]{12}:(oidc-provider/[\w.:/-]+|saml-provider/[\w.-]+)|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com|accounts\.google\.com)$`)
)

// principals reads a Principal or NotPrincipal, nil if it is not there. Account ids
// are replaced in the tree by the ARNs of their roots, which is what AWS shows (ECR
// reference, policies.md section 2).
//
// AWS looks users and roles up, and says that those which are not there are not
// found. Here any that could be is taken, since a policy may well be there before
// the role, and other accounts are nobody's business here.
func (r *reader) principals(o *jsondoc.Object, name string) *principals {
	if !o.Has(name) {
		return nil
	}
	if o.Values[name] == "*" {
		return &principals{everyone: true}
	}
	kinds, ok := o.Values[name].(*jsondoc.Object)
	if !ok || len(kinds.Names) == 0 {
		r.fail(name, `must be "*" or an object`)
		return nil
	}
	r.members(kinds, r.principalKinds...)
	p := &principals{}
	if kinds.Has("AWS") {
		for _, who := range r.oneOrMore(name+".AWS", kinds.Values["AWS"]) {
			r.aws(p, name, who)
		}
		kinds.Values["AWS"] = r.withRoots(kinds.Values["AWS"])
	}
	p.services = r.named(kinds, name, "Service", serviceName)
	p.federated = r.named(kinds, name, "Federated", provider)
	if name == "NotPrincipal" {
		p.narrow()
	}
	return p
}

// named are the principals of one kind.
func (r *reader) named(kinds *jsondoc.Object, name, kind string, form *regexp.Regexp) []string {
	if !kinds.Has(kind) {
		return nil
	}
	list := r.oneOrMore(name+"."+kind, kinds.Values[kind])
	for _, who := range list {
		if !form.MatchString(who) {
			r.unknown(name, kind, who)
		}
	}
	return list
}

func (r *reader) aws(p *principals, name, who string) {
	m := principalARN.FindStringSubmatch(who)
	switch {
	case who == "*":
		p.everyone = true
	case accountID.MatchString(who):
		p.accounts = append(p.accounts, who)
	case m == nil:
		r.unknown(name, "AWS", who)
	case m[2] == "root":
		p.accounts = append(p.accounts, m[1])
	default:
		p.arns = append(p.arns, who)
	}
}

// withRoots is a principal's text, or a list of them, with ARNs for account ids.
func (r *reader) withRoots(v any) any {
	switch v := v.(type) {
	case string:
		if accountID.MatchString(v) {
			return "arn:" + r.partition + ":iam::" + v + ":root"
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = r.withRoots(v[i])
		}
		return list
	}
	return v
}

// narrow takes from a NotPrincipal what stands there for the sake of something
// narrower: beside a user, or beside a role, its account is named as its parent, and
// beside a session its role. All that are not named stay denied, in that account too
// (IAM user guide, "AWS JSON policy elements: NotPrincipal"). An account that is
// named alone is everyone in it.
func (p *principals) narrow() {
	var whole []string
	for _, id := range p.accounts {
		if slices.ContainsFunc(p.arns, func(arn string) bool { return strings.SplitN(arn, ":", arnSegments)[4] == id }) {
			p.roots = append(p.roots, id)
		} else {
			whole = append(whole, id)
		}
	}
	p.accounts = whole
	all := slices.Clone(p.arns)
	p.arns = slices.DeleteFunc(p.arns, func(role string) bool {
		return slices.ContainsFunc(all, func(session string) bool { return assumes(session, role) })
	})
}

// grant is the most direct way in which a principal is named.
func (p *principals) grant(who *Principal) grant {
	switch {
	case p.everyone:
		return direct
	case who.Anonymous:
		return nobody
	case who.Service != "":
		return directIf(slices.Contains(p.services, who.Service))
	case who.Federated != "":
		return directIf(slices.Contains(p.federated, who.Federated))
	case slices.Contains(p.arns, who.ARN):
		return direct
	case slices.ContainsFunc(p.arns, func(arn string) bool { return assumes(who.ARN, arn) }):
		return throughRole
	case slices.Contains(p.accounts, who.Account):
		return throughAccount
	}
	return directIf(slices.Contains(p.roots, who.Account) && strings.HasSuffix(who.ARN, ":root"))
}

func directIf(named bool) grant {
	if named {
		return direct
	}
	return nobody
}

// assumes says whether the ARN of a session is one of a role. The path of a role is
// not in the session's.
func assumes(session, role string) bool {
	account, name, ok := cutARN(session, ":sts::", ":assumed-role/")
	if !ok {
		return false
	}
	of, path, ok := cutARN(role, ":iam::", ":role/")
	if !ok || account != of {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	return name == path[strings.LastIndexByte(path, '/')+1:]
}

// cutARN takes the account and the name out of an ARN of a service and a kind.
func cutARN(arn, service, kind string) (account, name string, ok bool) {
	partition, rest, ok := strings.Cut(arn, service)
	if !ok || strings.Count(partition, ":") != 1 {
		return "", "", false
	}
	return strings.Cut(rest, kind)
}
