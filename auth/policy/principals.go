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
	arns      []string
	services  []string
	federated []string // ARNs of providers
}

var (
	// serviceName is the form of a name such as "ecr.amazonaws.com"; in China it ends in
	// ".cn".
	serviceName  = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com(\.cn)?$`)
	accountID    = regexp.MustCompile(`^[0-9]{12}$`)
	principalARN = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:(?:iam::([0-9]{12}):(root|user/[\w+=,.@/-]+|role/[\w+=,.@/-]+)|sts::([0-9]{12}):(assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))$`)
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
		r.fail()
		return nil
	}
	known := []string{"AWS", "Service"}
	if r.others {
		known = append(known, "Federated")
	}
	r.members(kinds, known...)
	p := &principals{}
	if kinds.Has("AWS") {
		for _, who := range r.oneOrMore(kinds.Values["AWS"]) {
			r.principal(p, who)
		}
		kinds.Values["AWS"] = r.withRoots(kinds.Values["AWS"])
	}
	if kinds.Has("Federated") {
		p.federated = r.oneOrMore(kinds.Values["Federated"])
	}
	if kinds.Has("Service") {
		p.services = r.oneOrMore(kinds.Values["Service"])
		for _, name := range p.services {
			r.stranger = r.stranger || !serviceName.MatchString(name)
		}
	}
	return p
}

func (r *reader) principal(p *principals, who string) {
	m := principalARN.FindStringSubmatch(who)
	switch {
	case who == "*":
		p.everyone = true
	case accountID.MatchString(who):
		p.accounts = append(p.accounts, who)
	case m == nil:
		r.stranger = true
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

// have says whether a principal is among them: by itself, by its account, or by
// the role that it has assumed.
func (p *principals) have(who Principal) bool {
	if who.Service != "" {
		return p.everyone || slices.Contains(p.services, who.Service)
	}
	if who.Federated != "" {
		return p.everyone || slices.Contains(p.federated, who.Federated)
	}
	return p.everyone || slices.Contains(p.accounts, who.Account) ||
		slices.ContainsFunc(p.arns, func(arn string) bool { return arn == who.ARN || assumes(who.ARN, arn) })
}

// assumes says whether the ARN of a session is one of a role. The path of a role is
// not in the session's.
func assumes(session, role string) bool {
	s, r := strings.SplitN(session, ":", 6), strings.SplitN(role, ":", 6)
	if len(s) != 6 || len(r) != 6 || s[2] != "sts" || r[2] != "iam" || s[4] != r[4] {
		return false
	}
	name, ok := strings.CutPrefix(s[5], "assumed-role/")
	path, isRole := strings.CutPrefix(r[5], "role/")
	if !ok || !isRole {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	return name == path[strings.LastIndexByte(path, '/')+1:]
}
