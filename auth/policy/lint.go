package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	// Invalid: the text is no policy, and cannot be set.
	Invalid Severity = "error"
	// Doubtful: the policy does something else than its author will have meant, or
	// gives more than is wise.
	Doubtful Severity = "warning"
	// Idle: a part of it says nothing here.
	Idle Severity = "note"
)

// Finding is something in a policy that somebody should look at.
type Finding struct {
	Severity Severity
	Path     string // such as "Statement[1].Action[0]"; "" for the whole
	Message  string
}

// String is a finding in a line.
func (f Finding) String() string {
	if f.Path == "" {
		return fmt.Sprintf("%s: %s", f.Severity, f.Message)
	}
	return fmt.Sprintf("%s: %s: %s", f.Severity, f.Path, f.Message)
}

// Lint looks for what is wrong with a policy, in the order of the text. What it is a
// policy of it tells from its statements: with principals it is a resource's, a
// role's if its actions are those of STS, else a repository's or a registry's; and
// without, an identity's. Of a text that is no policy it says the first thing that
// is wrong. None is found in a policy that does what it says.
func Lint(text string) []Finding {
	root, err := jsondoc.Read(text)
	o, isObject := root.(*jsondoc.Object)
	if err != nil || !isObject {
		return []Finding{{Invalid, "", "this is not a JSON object, or names a member twice"}}
	}
	g := grammarOf(o)
	d, err := parse(text, g)
	var wrong *Error
	if errors.As(err, &wrong) {
		return []Finding{{Invalid, wrong.path, wrong.what}}
	}
	l := &linter{document: d, principals: g.principal == needed, trust: g.resource == forbidden, texts: map[member]string{}}
	l.all()
	return l.found
}

// grammarOf is the grammar of the kind of policy that an object most looks like,
// which says what is wrong.
func grammarOf(root *jsondoc.Object) grammar {
	principals, sts := false, false
	for _, v := range statementsOf(root) {
		s, ok := v.(*jsondoc.Object)
		if !ok {
			continue
		}
		principals = principals || s.Has("Principal") || s.Has("NotPrincipal")
		for _, action := range texts(s.Values["Action"]) {
			sts = sts || strings.HasPrefix(strings.ToLower(action), "sts:")
		}
	}
	kinds := []string{"AWS", "Service"}
	switch {
	case !principals:
		return grammar{principal: forbidden, action: identityAction, resource: needed, resourceForm: anyResources, uniqueSids: true}
	case sts:
		return grammar{principal: needed, principalKinds: append(kinds, "Federated"), action: trustAction, resource: forbidden, uniqueSids: true}
	}
	return grammar{principal: needed, principalKinds: kinds, action: ecrAction, resourceForm: ecrResources}
}

func statementsOf(root *jsondoc.Object) []any {
	if list, ok := root.Values["Statement"].([]any); ok {
		return list
	}
	return []any{root.Values["Statement"]}
}

// texts are the texts of a member that is one or a list.
func texts(v any) (all []string) {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, _ := v.([]any)
	for _, v := range list {
		if s, ok := conditionText(v); ok {
			all = append(all, s)
		}
	}
	return all
}

// linter looks at one document.
type linter struct {
	document   *Document
	principals bool              // it is a policy of a resource
	trust      bool              // of a role
	texts      map[member]string // of members that were compared already
	found      []Finding
}

func (l *linter) say(severity Severity, path, message string, args ...any) {
	l.found = append(l.found, Finding{severity, path, fmt.Sprintf(message, args...)})
}

// linted is one statement, as it is written and as it is read.
type linted struct {
	*statement
	object *jsondoc.Object
	path   string
	at     int
}

// name is the member's name as it stands in the statement: with Not or without.
func (s linted) name(member string) string {
	if s.object.Has("Not" + member) {
		return "Not" + member
	}
	return member
}

func (l *linter) all() {
	root := l.document.root
	for i, v := range statementsOf(root) {
		s := linted{&l.document.statements[i], v.(*jsondoc.Object), item("Statement", root.Values["Statement"], i), i}
		l.width(s)
		l.actions(s)
		l.resources(s)
		l.conditions(s)
		l.language(s)
		l.effect(s)
	}
}

// width looks for statements that give more than is wise.
func (l *linter) width(s linted) {
	if !s.allows {
		return
	}
	free := len(s.conditions) == 0
	switch {
	case s.notPrincipals != nil:
		l.say(Doubtful, s.path+".NotPrincipal", "allows everyone who is not named here, in every account; name who is meant under Principal")
	case s.statement.principals != nil && s.statement.principals.everyone && free:
		l.say(Doubtful, s.path+".Principal", "allows everyone, in every account and, where the server lets them in, without credentials; name who is meant or add a Condition")
	}
	if s.statement.actions.not {
		l.say(Doubtful, s.path+".NotAction", "allows every action that is not named here, those of later versions too; name what is meant under Action")
	}
	if s.statement.resources.not {
		l.say(Doubtful, s.path+".NotResource", "allows every resource that is not named here; name what is meant under Resource")
	}
	if l.principals || !free || s.statement.resources.patterns != nil {
		return
	}
	for i, action := range texts(s.object.Values["Action"]) {
		if strings.Trim(action, "*:") == "" || strings.EqualFold(action, "ecr:*") {
			l.say(Doubtful, s.path+"."+item("Action", s.object.Values["Action"], i), "%s on every resource is full access; name the actions or the repositories that are meant", quote(action))
		}
	}
}

// language looks for variables in a language that has none.
func (l *linter) language(s linted) {
	if l.document.root.Values["Version"] == "2012-10-17" {
		return
	}
	tell := func(path string, values any) {
		for i, text := range texts(values) {
			if strings.Contains(text, "${") {
				l.say(Doubtful, s.path+"."+item(path, values, i), `%s has a variable, which is a text without "Version": "2012-10-17"`, quote(text))
			}
		}
	}
	name := s.name("Resource")
	tell(name, s.object.Values[name])
	s.eachKey(func(operator, key string, values any) { tell("Condition."+operator+"."+key, values) })
}

// eachKey calls back for each key of each operator of the statement's condition.
func (s linted) eachKey(tell func(operator, key string, values any)) {
	condition, _ := s.object.Values["Condition"].(*jsondoc.Object)
	if condition == nil {
		return
	}
	for _, operator := range condition.Names {
		keys := condition.Values[operator].(*jsondoc.Object)
		for _, key := range keys.Names {
			tell(operator, key, keys.Values[key])
		}
	}
}

// effect looks for a statement that another one makes idle.
func (l *linter) effect(s linted) {
	for j := range l.document.statements {
		other := &l.document.statements[j]
		if j == s.at || !l.covers(j, s.at) {
			continue
		}
		switch {
		case s.allows && !other.allows:
			l.say(Doubtful, s.path, "has no effect: Statement[%d] denies all that it allows", j)
			return
		case s.allows == other.allows && (j < s.at || !l.covers(s.at, j)):
			l.say(Idle, s.path, "has no effect beside Statement[%d], which says it too", j)
			return
		}
	}
}
