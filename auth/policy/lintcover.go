package policy

import (
	"slices"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// covers says whether a statement is about all that another one is about.
func (l *linter) covers(i, j int) bool {
	a, b := &l.document.statements[i], &l.document.statements[j]
	same := func(member string) bool { return l.shown(i, member) == l.shown(j, member) }
	return (len(a.conditions) == 0 || same("Condition")) &&
		(same("Principal") && same("NotPrincipal") || a.principals != nil && a.principals.cover(b.principals)) &&
		(same("Action") && same("NotAction") || a.actions.cover(&b.actions)) &&
		(same("Resource") && same("NotResource") || a.resources.cover(&b.resources))
}

// member is a member of a statement.
type member struct {
	at   int
	name string
}

// shown is a member's text, "" if it is not there.
func (l *linter) shown(at int, name string) string {
	text, known := l.texts[member{at, name}]
	if known {
		return text
	}
	if o := statementsOf(l.document.root)[at].(*jsondoc.Object); o.Has(name) {
		var b strings.Builder
		render(&b, o.Values[name], 0)
		text = b.String()
	}
	l.texts[member{at, name}] = text
	return text
}

// cover says whether principals are about all that others are about. Those that are
// named otherwise, as by the account, are not the same: what is given to them is
// limited otherwise.
func (p *principals) cover(o *principals) bool {
	if o == nil || p.everyone {
		return o != nil
	}
	within := func(all, some []string) bool {
		return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
	}
	return !o.everyone && within(p.accounts, o.accounts) && within(p.arns, o.arns) && within(p.services, o.services) && within(p.federated, o.federated)
}

func (a *actions) cover(o *actions) bool {
	if a.not || o.not {
		return false
	}
	return !slices.ContainsFunc(o.patterns, func(g glob) bool { return !covered(g.text(), a.patterns) })
}

func (r *resources) cover(o *resources) bool {
	if r.patterns == nil {
		return true
	}
	if r.not || o.not || o.patterns == nil {
		return false
	}
	var plain []glob
	for i := range r.patterns {
		if r.patterns[i].pieces == nil {
			plain = append(plain, r.patterns[i].glob)
		}
	}
	return !slices.ContainsFunc(o.patterns, func(t template) bool { return !covered(t.whole(), plain) })
}

// whole is a template as a pattern, with characters for variables that no pattern
// has.
func (t *template) whole() string {
	if t.pieces == nil {
		return t.glob.text()
	}
	var b strings.Builder
	for _, p := range t.pieces {
		b.WriteString(p.text)
		if p.key != "" {
			b.WriteByte(anyRun) // whatever it is
		}
	}
	return b.String()
}

// covered says whether all that a pattern matches is matched by one of several. A
// star is tried as nothing and as more than question marks are likely to stand for.
func covered(pattern string, by []glob) bool {
	short := strings.NewReplacer("\xff", "", "\xfe", "\x00").Replace(pattern)
	long := strings.NewReplacer("\xff", strings.Repeat("\x00", 99), "\xfe", "\x00").Replace(pattern)
	return slices.ContainsFunc(by, func(g glob) bool { return g.matches(short) && g.matches(long) })
}
