package policy

import (
	"encoding/json"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// quantifier says how the values of a key in a request are taken together.
type quantifier int

const (
	// single is for keys with one value. With several, an operator holds for any of
	// them and a negated one for all, so that a negation is the opposite of what it
	// negates.
	single quantifier = iota
	forAll
	forAny
)

// test is one key of a condition, which holds or does not.
type test struct {
	slot       int
	quantifier quantifier
	ifExists   bool
	negated    bool
	null       bool        // asks whether the key is absent
	texts      []string    // values that are compared as they are
	wanted     []matcher   // other values
	open       []*template // values with variables, of which matchers are made
	compile    func(value string) matcher
	key        string // in lower case
}

// holds tells a test's outcome (IAM user guide, "Condition operators" and
// "Multivalued context keys"). A key that is not there meets negated operators,
// ForAllValues and IfExists, and nothing else.
func (t *test) holds(q *query) truth {
	values, known := q.valuesIn(t.slot, t.key)
	if !known {
		return maybe
	}
	if t.null {
		return t.value(absence(values), q)
	}
	if t.quantifier != single && isNullSet(values) {
		values = nil
	}
	if len(values) == 0 {
		return truthOf(t.ifExists || t.quantifier == forAll || t.quantifier == single && t.negated)
	}
	return t.together(values, q)
}

// isNullSet says whether there is nothing in a list but an empty text, which
// quantifiers take for nothing.
func isNullSet(values []string) bool { return len(values) == 1 && values[0] == "" }

func absence(values []string) string {
	if len(values) == 0 {
		return "true"
	}
	return "false"
}

func (t *test) together(values []string, q *query) truth {
	if t.quantifier == forAll || t.quantifier == single && t.negated {
		all := yes
		for _, v := range values {
			all = min(all, t.value(v, q))
		}
		return all
	}
	some := no
	for _, v := range values {
		some = max(some, t.value(v, q))
	}
	return some
}

// value says whether one value of a request is what the test wants: one of its
// own, or none of them for a negated operator.
func (t *test) value(v string, q *query) truth {
	met := t.meets(v, q)
	if t.negated {
		return met.not()
	}
	return met
}

func (t *test) meets(v string, q *query) truth {
	for _, w := range t.texts {
		if w == v {
			return yes
		}
	}
	for _, w := range t.wanted {
		if w.matches(v) {
			return yes
		}
	}
	met := no
	for _, o := range t.open {
		text, known := o.expand(q)
		if known == yes {
			known = truthOf(t.compile(text).matches(v))
		}
		met = max(met, known)
	}
	return met
}

// conditions reads a Condition: every test of every operator must hold.
func (r *reader) conditions(v any) []test {
	o, ok := v.(*jsondoc.Object)
	if !ok {
		r.fail("Condition", "must be an object")
		return nil
	}
	var all []test
	for _, name := range o.Names {
		form, known := operatorOf(name)
		keys, ok := o.Values[name].(*jsondoc.Object)
		switch {
		case !known:
			r.fail("Condition", "Invalid condition operator: "+quote(name))
		case !ok:
			r.fail("Condition."+name, "must be an object of condition keys")
		default:
			for _, key := range keys.Names {
				all = append(all, r.test(form, key, keys.Values[key]))
			}
		}
	}
	return all
}

// form is an operator with all that its name says.
type form struct {
	test
	operator operator
	name     string
}

func operatorOf(name string) (form, bool) {
	f := form{name: name}
	if name == "Null" {
		f.null, f.operator.compile = true, boolean
		return f, true
	}
	rest, all := strings.CutPrefix(name, "ForAllValues:")
	if all {
		f.quantifier = forAll
	} else if other, some := strings.CutPrefix(name, "ForAnyValue:"); some {
		f.quantifier, rest = forAny, other
	}
	rest, f.ifExists = strings.CutSuffix(rest, "IfExists")
	op, known := operators[rest]
	f.operator, f.negated, f.compile = op, op.negated, op.compile
	return f, known
}

// test reads a key of an operator and what it is held against.
func (r *reader) test(f form, key string, v any) test {
	t := f.test
	t.key = strings.ToLower(key)
	t.slot = slotOf(t.key)
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, v := range list {
		text, ok := conditionText(v)
		if !ok || !t.add(&f.operator, text, r.variables) {
			r.fail("Condition."+f.name+"."+key, "Invalid value for the operator: "+quote(text))
		}
	}
	return t
}

// add adds a value, if it is one of the operator's.
func (t *test) add(o *operator, value string, variables bool) bool {
	m, open, ok := o.compiled(value, variables)
	g, isGlob := m.(*glob)
	switch {
	case open != nil:
		t.open = append(t.open, open)
	case isGlob && g.exact:
		t.texts = append(t.texts, g.head)
	default:
		t.wanted = append(t.wanted, m)
	}
	return ok
}

// conditionText is a value as a text, which numbers and booleans may be written as.
func conditionText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}
