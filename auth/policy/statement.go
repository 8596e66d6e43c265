package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// statement is one statement of a policy, compiled. What most requests look at
// comes first.
type statement struct {
	own                       bool // it has no principals: it is about whoever has the policy
	allows                    bool
	conditions                []test
	resources                 resources
	principals, notPrincipals *principals // at most one is there
	actions                   actions
	sid                       string
}

// actions are what Action or NotAction says.
type actions struct {
	patterns []glob // in lower case
	not      bool
}

// have says whether the actions are about one in lower case.
func (a *actions) have(lower string) bool { return anyMatch(a.patterns, lower) != a.not }

func (a *actions) known() actionSet {
	var set actionSet
	for n := range knownActions {
		if a.have(knownActions[n].lower) {
			set.add(n)
		}
	}
	return set
}

// resources are what Resource or NotResource says. Without patterns they are all,
// or whatever the policy is at.
type resources struct {
	patterns []template
	not      bool
}

// simplified leaves the patterns out where one is about everything.
func (r resources) simplified() resources {
	everything := func(t template) bool { return t.pieces == nil && t.glob.text() == "\xff" }
	if !r.not && slices.ContainsFunc(r.patterns, everything) {
		return resources{}
	}
	return r
}

// have holds the resource of a request against them. A pattern with a variable
// without a value is about no resource.
func (r *resources) have(q *query) truth {
	if r.patterns == nil {
		return yes
	}
	met := no
	for i := range r.patterns {
		if met = max(met, r.patterns[i].matches(q.Resource, q)); met == yes {
			break
		}
	}
	if r.not {
		return met.not()
	}
	return met
}

func (r *reader) statement(v any) (s statement) {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		r.fail("", "must be an object")
		return s
	}
	r.members(o, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	s.sid = r.sid(o)
	s.allows = o.Values["Effect"] == "Allow"
	if !s.allows && o.Values["Effect"] != "Deny" {
		r.fail("Effect", "Missing required field Effect, which is Allow or Deny")
	}
	if r.either(o, "Principal", r.principal) != "" {
		s.principals, s.notPrincipals = r.principals(o, "Principal"), r.principals(o, "NotPrincipal")
	}
	s.own = s.principals == nil && s.notPrincipals == nil
	if name := r.either(o, "Action", needed); name != "" {
		s.actions = actions{foldGlobs(r.actionList(o, name)), name == "NotAction"}
		if r.early && s.actions.not { // which means nearly all of the others
			r.fail(name, "must not be there")
		}
	}
	if name := r.either(o, "Resource", r.resource); name != "" {
		s.resources = resources{r.resourceList(o, name), name == "NotResource"}.simplified()
	}
	if o.Has("Condition") {
		s.conditions = r.conditions(o.Values["Condition"])
	}
	return s
}

// either is the name under which an object has a member that may be turned round
// by Not, "" if it has none. Both are wrong.
func (r *reader) either(o *jsondoc.Object, name string, need need) string {
	given, turned := o.Has(name), o.Has("Not"+name)
	switch {
	case given && turned:
		r.fail(name, "must not be there with Not"+name)
	case (given || turned) && need == forbidden:
		r.fail(name, forbiddenWords[name])
	case !given && !turned && need == needed:
		r.fail(name, missingWords[name])
	case given:
		return name
	case turned:
		return "Not" + name
	}
	return ""
}

// What IAM says of members that must be there or must not.
var (
	missingWords = map[string]string{
		"Principal": "Missing required field Principal",
		"Action":    "Policy statement must contain actions.",
		"Resource":  "Policy statement must contain resources.",
	}
	forbiddenWords = map[string]string{
		"Principal": "Policy document should not specify a principal.",
		"Resource":  "Has prohibited field Resource",
	}
)

func (r *reader) actionList(o *jsondoc.Object, name string) []string {
	list := r.oneOrMore(name, o.Values[name])
	for i, pattern := range list {
		if wrong := r.action(pattern); wrong != "" {
			r.fail(item(name, o.Values[name], i), wrong)
		}
	}
	return list
}

// resourceList compiles patterns of resources.
func (r *reader) resourceList(o *jsondoc.Object, name string) []template {
	all := []template{}
	for i, pattern := range r.oneOrMore(name, o.Values[name]) {
		t, ok := newTemplate(pattern, true, r.variables)
		switch {
		case !r.resourceForm.MatchString(pattern):
			r.fail(item(name, o.Values[name], i), "Resource "+quote(pattern)+` must be in ARN format or "*".`)
		case !ok || r.variables && variableEarly(pattern):
			r.fail(item(name, o.Values[name], i), "Invalid policy variable in resource "+quote(pattern))
		}
		all = append(all, t)
	}
	return all
}

// variableEarly says whether a variable stands before the resource portion of an
// ARN, where none may be (IAM user guide, "Where you can use policy variables").
func variableEarly(arn string) bool {
	before, _, found := strings.Cut(arn, "${")
	return found && strings.Count(before, ":") < arnSegments-1
}

var (
	// ecrResources is the ARN of repositories, wildcards and all.
	ecrResources = regexp.MustCompile(`^(\*|arn:[^:]+:ecr:[^:]*:[^:]*:repository/.+)$`)
	// anyResources is an ARN, which may end in a star earlier than after five colons.
	anyResources = regexp.MustCompile(`(?s)^(\*|arn:([^:]*:){4}.+|arn:.*\*)$`)
	// anyAction is an action of any service.
	anyAction = regexp.MustCompile(`^(\*|([a-zA-Z0-9-]+|\*):[a-zA-Z0-9*?]+)$`)
	// plainSid is what IAM takes for a Sid.
	plainSid = regexp.MustCompile(`^[0-9A-Za-z]*$`)
)

// ecrAction says what is wrong with a pattern of a repository policy or of a
// registry policy, "" if it means an action of ECR's.
func ecrAction(pattern string) string {
	if !means(pattern, Actions) {
		return "not an action of ECR"
	}
	return ""
}

// earlyAction is ecrAction for V1, in which a pattern must mean none but those.
func earlyAction(pattern string) string {
	if !slices.ContainsFunc(earlyActions, func(a string) bool { return strings.EqualFold(a, pattern) }) {
		return "not an action that a registry policy of V1 may speak of"
	}
	return ""
}

func identityAction(pattern string) string {
	if !anyAction.MatchString(pattern) {
		return "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	}
	return ""
}

func trustAction(pattern string) string {
	if !strings.Contains(pattern, ":") || !means(pattern, TrustActions) {
		return "AssumeRole policy may only specify STS AssumeRole actions."
	}
	return ""
}

// means says whether a pattern means any of several actions.
func means(pattern string, actions []string) bool {
	globs := foldGlobs([]string{pattern})
	return slices.ContainsFunc(actions, func(a string) bool { return anyMatch(globs, strings.ToLower(a)) })
}
