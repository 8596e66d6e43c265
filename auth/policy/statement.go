package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// statement is one statement of a policy. Of each pair of lists the one that
// begins with not turns the meaning round.
type statement struct {
	sid                       string
	allows                    bool
	principals, notPrincipals *principals // one is nil
	actions, notActions       []string    // patterns; one is nil
	resources, notResources   []string    // patterns; both nil: whatever the policy is at
	conditional               bool
}

func (r *reader) statement(v any) (s statement) {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		r.fail()
		return s
	}
	r.members(o, "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")
	s.sid = r.optionalText(o, "Sid")
	s.allows = o.Values["Effect"] == "Allow"
	if !s.allows && o.Values["Effect"] != "Deny" {
		r.fail()
	}
	if r.either(o, "Principal", "NotPrincipal", true) {
		s.principals, s.notPrincipals = r.principals(o, "Principal"), r.principals(o, "NotPrincipal")
	}
	if r.either(o, "Action", "NotAction", true) {
		s.actions, s.notActions = r.actionList(o, "Action"), r.actionList(o, "NotAction")
		if r.early && s.notActions != nil { // which means nearly all of the others
			r.fail()
		}
	}
	if r.either(o, "Resource", "NotResource", r.needsResource) {
		s.resources, s.notResources = r.resourceList(o, "Resource"), r.resourceList(o, "NotResource")
	}
	if o.Has("Condition") {
		s.conditional = r.condition(o.Values["Condition"])
	}
	return s
}

// either says whether an object has one of two members. Both are wrong, and none
// is where one is needed.
func (r *reader) either(o *jsondoc.Object, one, other string, needed bool) bool {
	if o.Has(one) && o.Has(other) || needed && !o.Has(one) && !o.Has(other) {
		r.fail()
		return false
	}
	return o.Has(one) || o.Has(other)
}

func (r *reader) actionList(o *jsondoc.Object, name string) []string {
	if !o.Has(name) {
		return nil
	}
	list := r.oneOrMore(o.Values[name])
	for _, pattern := range list {
		if !r.knowsAction(pattern) {
			r.fail()
		}
	}
	return list
}

// knowsAction says whether a pattern means any action of ECR's that the policy may
// speak of. In V1 it must mean none but those.
func (r *reader) knowsAction(pattern string) bool {
	if r.early {
		return slices.ContainsFunc(earlyActions, func(a string) bool { return strings.EqualFold(a, pattern) })
	}
	if r.others && otherAction.MatchString(pattern) {
		return true
	}
	return slices.ContainsFunc(Actions, func(a string) bool { return matchFold(pattern, a) })
}

// otherAction is the form of actions of other services.
var otherAction = regexp.MustCompile(`^(\*|[a-z0-9-]+:[A-Za-z0-9*?]+)$`)

// resourceSyntax is the ARN of repositories, wildcards and all.
var resourceSyntax = regexp.MustCompile(`^(\*|arn:[^:]+:ecr:[^:]*:[^:]*:repository/.+)$`)

func (r *reader) resourceList(o *jsondoc.Object, name string) []string {
	if !o.Has(name) {
		return nil
	}
	list := r.oneOrMore(o.Values[name])
	for _, pattern := range list {
		if !resourceSyntax.MatchString(pattern) && !(r.others && strings.HasPrefix(pattern, "arn:")) {
			r.fail()
		}
	}
	return list
}

// operators are the condition operators of IAM, without IfExists behind and the
// quantifiers before them.
var operators = []string{
	"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike",
	"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals",
	"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals",
	"Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike",
}

func knowsOperator(name string) bool {
	if name == "Null" {
		return true
	}
	for _, quantifier := range []string{"ForAllValues:", "ForAnyValue:"} {
		if rest, ok := strings.CutPrefix(name, quantifier); ok {
			name = rest
			break
		}
	}
	return slices.Contains(operators, strings.TrimSuffix(name, "IfExists"))
}

// condition checks the form of a condition, and says whether there is any.
func (r *reader) condition(v any) bool {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		r.fail()
		return true
	}
	for _, name := range o.Names {
		keys, ok := o.Values[name].(*jsondoc.Object)
		if !ok || !knowsOperator(name) {
			r.fail()
			continue
		}
		for _, key := range keys.Names {
			r.conditionValues(keys.Values[key])
		}
	}
	return len(o.Names) > 0
}

func (r *reader) conditionValues(v any) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, v := range list {
		switch v.(type) {
		case string, bool, json.Number:
		default:
			r.fail()
		}
	}
}
