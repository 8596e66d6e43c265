package policy_test

import (
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth/policy"
)

// naive decides as the package does, with none of its code: it walks the JSON of a
// policy for each request, makes regular expressions of patterns, and knows nothing
// of pending keys, which it tries out instead.

type naiveStatement struct {
	Sid, Effect                                                       string
	Principal, NotPrincipal, Action, NotAction, Resource, NotResource any
	Condition                                                         map[string]map[string]any
}

type naiveDocument struct {
	Version   string
	Statement []naiveStatement
}

func readNaive(text string) (d naiveDocument) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	return d
}

// naiveList is a text or a list of texts as a list.
func naiveList(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, v := range v {
			all = append(all, v.(string))
		}
	}
	return all
}

var naiveVariable = regexp.MustCompile(`\$\{([^}]*)\}`)

// naivePattern is a regular expression for a pattern, nil if a variable of it has no
// value.
func naivePattern(pattern string, stars, variables, fold bool, keys policy.Keys) *regexp.Regexp {
	quote := func(s string) string {
		s = regexp.QuoteMeta(s)
		if stars {
			s = strings.NewReplacer(`\*`, `[\s\S]*`, `\?`, `[\s\S]`).Replace(s)
		}
		return s
	}
	b, last := "", 0
	if variables {
		for _, m := range naiveVariable.FindAllStringSubmatchIndex(pattern, -1) {
			b += quote(pattern[last:m[0]])
			last = m[1]
			name, fallback, hasDefault := strings.Cut(pattern[m[2]:m[3]], ", ")
			values := keys[strings.ToLower(name)]
			switch {
			case name == "*" || name == "?" || name == "$":
				b += regexp.QuoteMeta(name)
			case len(values) == 1 && values[0] != "":
				b += regexp.QuoteMeta(values[0])
			case len(values) == 0 && hasDefault:
				b += regexp.QuoteMeta(strings.Trim(fallback, "'"))
			default:
				return nil
			}
		}
	}
	b += quote(pattern[last:])
	if fold {
		b = "(?i)" + b
	}
	if naivePatterns[b] == nil {
		naivePatterns[b] = regexp.MustCompile(`^(?:` + b + `)$`)
	}
	return naivePatterns[b]
}

// naivePatterns are those that were made already. One test at a time uses them.
var naivePatterns = map[string]*regexp.Regexp{}

func naiveMatch(pattern, s string, stars, variables, fold bool, keys policy.Keys) bool {
	r := naivePattern(pattern, stars, variables, fold, keys)
	return r != nil && r.MatchString(s)
}

func naiveAny(list any, try func(string) bool) bool { return slices.ContainsFunc(naiveList(list), try) }

// naiveNamed is how a Principal names somebody: 0 not at all, 1 by account, 2 by
// role, 3 himself.
func naiveNamed(v any, who policy.Principal) int {
	if v == "*" {
		return 3
	}
	kinds := v.(map[string]any)
	best := 0
	for _, name := range naiveList(kinds["AWS"]) {
		how := 0
		switch {
		case name == "*", name == who.ARN && !strings.HasSuffix(name, ":root"):
			how = 3
		case strings.Contains(name, ":role/") && strings.HasPrefix(who.ARN, strings.Replace(strings.Replace(name, ":iam:", ":sts:", 1), ":role/", ":assumed-role/", 1)+"/"):
			how = 2
		case name == who.Account, strings.HasSuffix(name, "::"+who.Account+":root") && who.Account != "":
			how = 1
		}
		best = max(best, how)
	}
	if who.Service != "" && slices.Contains(naiveList(kinds["Service"]), who.Service) {
		best = 3
	}
	return best
}

// meets says how a statement speaks of a request, as naiveNamed does.
func (s naiveStatement) meets(version string, q policy.Request) int {
	how, variables := 3, version == "2012-10-17"
	switch {
	case s.Principal != nil:
		how = naiveNamed(s.Principal, q.Principal)
	case s.NotPrincipal != nil:
		how = 2
		if naiveNamed(s.NotPrincipal, q.Principal) > 0 || q.Principal.Anonymous && s.Effect == "Allow" {
			how = 0
		}
	}
	action := func(p string) bool { return naiveMatch(p, q.Action, true, false, true, nil) }
	resource := func(p string) bool { return naiveMatch(p, q.Resource, true, variables, false, q.Keys) }
	if how == 0 || s.Action != nil && !naiveAny(s.Action, action) || s.NotAction != nil && naiveAny(s.NotAction, action) ||
		s.Resource != nil && !naiveAny(s.Resource, resource) || s.NotResource != nil && naiveAny(s.NotResource, resource) {
		return 0
	}
	for operator, keys := range s.Condition {
		for key, wanted := range keys {
			if !naiveTest(operator, q.Keys[strings.ToLower(key)], naiveList(wanted), variables, q.Keys) {
				return 0
			}
		}
	}
	return how
}

func naiveTest(operator string, given, wanted []string, variables bool, keys policy.Keys) bool {
	if operator == "Null" {
		return slices.Contains(wanted, map[bool]string{true: "true", false: "false"}[len(given) == 0])
	}
	operator, ifExists := strings.CutSuffix(operator, "IfExists")
	set, base, quantified := strings.Cut(operator, ":")
	if !quantified {
		set, base = "", operator
	}
	positive := strings.Replace(base, "Not", "", 1)
	negated := positive != base
	if quantified && len(given) == 1 && given[0] == "" {
		given = nil
	}
	one := func(v string) bool {
		return slices.ContainsFunc(wanted, func(w string) bool { return naiveCompare(positive, v, w, variables, keys) })
	}
	none := func(v string) bool { return !one(v) }
	switch {
	case len(given) == 0 && ifExists:
		return true
	case set == "ForAllValues" && negated:
		return !slices.ContainsFunc(given, one)
	case set == "ForAllValues":
		return !slices.ContainsFunc(given, none)
	case set == "ForAnyValue" && negated:
		return slices.ContainsFunc(given, none)
	case set == "ForAnyValue", !negated:
		return slices.ContainsFunc(given, one)
	}
	return !slices.ContainsFunc(given, one)
}

func naiveCompare(operator, v, w string, variables bool, keys policy.Keys) bool {
	switch operator {
	case "StringEquals":
		return naiveMatch(w, v, false, variables, false, keys)
	case "StringEqualsIgnoreCase":
		return naiveMatch(w, v, false, variables, true, keys)
	case "StringLike":
		return naiveMatch(w, v, true, variables, false, keys)
	case "ArnEquals", "ArnLike":
		return naiveARN(w, v, variables, keys)
	case "Bool":
		return strings.EqualFold(v, w)
	case "BinaryEquals":
		return base64.StdEncoding.EncodeToString([]byte(v)) == w
	case "IpAddress":
		return naiveAddress(v, w)
	}
	if how, ok := strings.CutPrefix(operator, "Numeric"); ok {
		a, okA := new(big.Rat).SetString(v)
		b, okB := new(big.Rat).SetString(w)
		return okA && okB && naiveOrder(how, a.Cmp(b))
	}
	how := strings.TrimPrefix(operator, "Date")
	a, b := naiveDate(v), naiveDate(w)
	return a != nil && b != nil && naiveOrder(how, a.Cmp(b))
}

// naiveDate is the seconds since 1970 of a date with all its parts, or of a number.
func naiveDate(s string) *big.Rat {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return big.NewRat(t.Unix(), 1)
	}
	n, _ := new(big.Rat).SetString(s)
	return n
}

func naiveOrder(how string, c int) bool {
	return map[string]bool{"Equals": c == 0, "LessThan": c < 0, "LessThanEquals": c <= 0, "GreaterThan": c > 0, "GreaterThanEquals": c >= 0}[how]
}

func naiveARN(w, v string, variables bool, keys policy.Keys) bool {
	// each segment for itself; those of the tests have variables in the last alone
	patterns, segments := strings.SplitN(w, ":", 6), strings.SplitN(v, ":", 6)
	if len(patterns) != 6 || len(segments) != 6 {
		return false
	}
	for i, p := range patterns {
		if !naiveMatch(p, segments[i], true, variables, false, keys) {
			return false
		}
	}
	return true
}

func naiveAddress(v, w string) bool {
	if !strings.Contains(w, "/") {
		return v == w
	}
	a, err := netip.ParseAddr(v)
	if err != nil {
		return false
	}
	p := netip.MustParsePrefix(w)
	there, err := a.Prefix(p.Bits())
	return err == nil && there == p.Masked()
}

// naiveSides is what a list of policies says: whether one denies, and how directly
// one allows.
func naiveSides(documents []naiveDocument, q policy.Request) (denies bool, allows int) {
	for _, d := range documents {
		for _, s := range d.Statement {
			how := s.meets(d.Version, q)
			if s.Effect == "Deny" {
				denies = denies || how > 0
			} else {
				allows = max(allows, how)
			}
		}
	}
	return denies, allows
}

// naiveWorld are all policies that bear on a request, as texts.
type naiveWorld struct {
	root, same                            bool
	identity, resource, boundary, session []naiveDocument
	hasBoundary, hasSession               bool
}

// allowed decides step by step, as the diagram in the IAM user guide does.
func (w naiveWorld) allowed(q policy.Request) bool {
	deniedByIdentity, identity := naiveSides(w.identity, q)
	deniedByResource, resource := naiveSides(w.resource, q)
	deniedByBoundary, boundary := naiveSides(w.boundary, q)
	deniedBySession, session := naiveSides(w.session, q)
	limits := (!w.hasBoundary || boundary > 0) && (!w.hasSession || session > 0)
	switch {
	case deniedByIdentity || deniedByResource || deniedByBoundary || deniedBySession:
		return false
	case w.root && w.same:
		return limits
	case q.Principal.Anonymous || q.Principal.Service != "":
		return resource > 0
	case !w.same:
		return resource > 0 && (w.root || identity > 0) && limits
	case resource == 3:
		return true
	case resource == 2:
		return limits
	}
	return identity > 0 && limits
}
