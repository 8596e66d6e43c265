package policy

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// template is a text with policy variables, compiled.
type template struct {
	glob   glob    // of all of it where it has no variables, else of what is before the first
	pieces []piece // nil without variables
}

// piece is a text as in a glob, or a variable.
type piece struct {
	text       string
	key        string // of a variable, in lower case; "" for a text
	fallback   string
	hasDefault bool
}

// variableForm is what stands between ${ and }: a key, and maybe a default in
// single quotes (IAM user guide, "IAM policy elements: Variables and tags").
var variableForm = regexp.MustCompile(`^([\w./-]+:[\pL\pZ\pN_.:/=+@-]+?)(, ?'([^']*)')?$`)

// newTemplate compiles a text. Wildcards count where they are asked for; variables
// are those of language 2012-10-17. It fails on a variable that is none.
func newTemplate(text string, wildcard, variables bool) (template, bool) {
	plain := func(s string) string {
		if wildcard {
			return wildcards.Replace(s)
		}
		return s
	}
	if !variables {
		return template{glob: newGlob(plain(text))}, true
	}
	var t template
	said := ""
	for {
		before, rest, found := strings.Cut(text, "${")
		said += plain(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return t, false
		}
		text = after
		if name == "*" || name == "?" || name == "$" {
			said += name
			continue
		}
		form := variableForm.FindStringSubmatch(name)
		if form == nil {
			return t, false
		}
		t.pieces = append(t.pieces, piece{text: said}, piece{key: strings.ToLower(form[1]), fallback: form[3], hasDefault: form[2] != ""})
		said = ""
	}
	if t.pieces == nil {
		return template{glob: newGlob(said)}, true
	}
	t.glob = newGlob(t.pieces[0].text + "\xff")
	t.pieces = append(t.pieces, piece{text: said})
	return t, true
}

// matches holds a text against the template as it reads in a request. A variable
// without a value makes it match nothing.
func (t *template) matches(s string, q *query) truth {
	if !t.glob.matches(s) {
		return no
	}
	if t.pieces == nil {
		return yes
	}
	text, known := t.expand(q)
	if known != yes {
		return known
	}
	g := newGlob(text)
	return truthOf(g.matches(s))
}

// expand puts values for variables, in which stars are stars. It is no if one has
// no value, and maybe if one has none yet.
func (t *template) expand(q *query) (string, truth) {
	var b strings.Builder
	all := yes
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.key == "" {
			b.WriteString(p.text)
			continue
		}
		value, known := p.value(q)
		if known == no {
			return "", no
		}
		all = min(all, known)
		b.WriteString(value)
	}
	return b.String(), all
}

// value is that of a variable: of a key with one value. Where there is none, an
// empty one or one that is no text, the variable has its default or no value at
// all. Keys with several values are no variables (IAM user guide, as above).
func (p *piece) value(q *query) (string, truth) {
	values, known := q.values(p.key)
	switch {
	case !known:
		return "", maybe
	case len(values) == 1 && values[0] != "" && utf8.ValidString(values[0]):
		return values[0], yes
	case p.hasDefault && len(values) == 0:
		return p.fallback, yes
	}
	return "", no
}
