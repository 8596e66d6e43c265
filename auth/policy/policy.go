// Package policy is the language of ECR's repository and registry policies: it
// reads a text, says what is wrong with it, renders it as ECR does and decides what
// it allows. It is pure.
//
// What a policy may say is in the ECR reference, policies.md sections 1 to 3.
//
// Conditions are read and shown, and not evaluated yet. Until they are, an Allow
// with a condition allows nothing, and a Deny with one denies: whatever the
// condition is, nobody gets more than it would give him.
package policy

import (
	"slices"

	"github.com/seed-78150930/berth/jsondoc"
)

// Document is a policy that ParseRepository or ParseRegistry took.
type Document struct {
	root       *jsondoc.Object
	statements []statement
}

// MaxText is how many characters a policy has at most (model:
// RepositoryPolicyText, RegistryPolicyText).
const MaxText = 10_240

// Scope is the account setting REGISTRY_POLICY_SCOPE: what actions a registry
// policy may speak of.
type Scope string

// The scopes. V1 knows only the three actions that work before a repository is
// there; V2 knows all.
const (
	V1 Scope = "V1"
	V2 Scope = "V2"
)

// Error says what is wrong with a text. Its text is ECR's reason.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Reasons, as ECR has them (ECR reference, errors-and-limits.md section 3).
var (
	errRepository = &Error{"Invalid repository policy provided"}
	errRegistry   = &Error{"Invalid registry policy provided"}
	errPrincipal  = &Error{"Principal not found"}
)

// ParseRepository reads a repository policy. Account ids among the principals
// become the ARNs of their roots, in the given partition ("aws"). The error is an
// *Error.
func ParseRepository(text, partition string) (*Document, error) {
	return parse(text, grammar{invalid: errRepository, partition: partition})
}

// ParseRegistry reads a registry policy of a scope. Otherwise it is as
// ParseRepository.
func ParseRegistry(text, partition string, scope Scope) (*Document, error) {
	return parse(text, grammar{invalid: errRegistry, partition: partition, needsResource: true, early: scope == V1})
}

// grammar is what the kinds of policy differ in.
type grammar struct {
	invalid       *Error
	partition     string
	needsResource bool
	early         bool // the actions are those of V1
	others        bool // actions of other services may stand there, and principals of providers
}

// parse reads a document. A text that is none is invalid whatever is wrong; an
// unknown principal in one that is has a reason of its own.
func parse(text string, g grammar) (*Document, error) {
	v, err := jsondoc.Read(text)
	root, ok := v.(*jsondoc.Object)
	if err != nil || !ok {
		return nil, g.invalid
	}
	r := &reader{grammar: g}
	d := &Document{root: root}
	r.members(root, "Id", "Statement", "Version")
	r.version(root)
	r.optionalText(root, "Id")
	list, isList := root.Values["Statement"].([]any)
	if !isList {
		list = []any{root.Values["Statement"]}
	}
	if len(list) == 0 {
		r.fail()
	}
	for _, v := range list {
		d.statements = append(d.statements, r.statement(v))
	}
	switch {
	case r.failed:
		return nil, g.invalid
	case r.stranger:
		return nil, errPrincipal
	}
	return d, nil
}

// reader reads the parts of a document, and notes what is wrong.
type reader struct {
	grammar
	failed   bool
	stranger bool // a principal is none
}

func (r *reader) fail() { r.failed = true }

// members refuses names that an object must not have.
func (r *reader) members(o *jsondoc.Object, known ...string) {
	for _, name := range o.Names {
		if !slices.Contains(known, name) {
			r.fail()
		}
	}
}

func (r *reader) version(o *jsondoc.Object) {
	v, given := o.Values["Version"]
	if given && v != "2008-10-17" && v != "2012-10-17" {
		r.fail()
	}
}

func (r *reader) optionalText(o *jsondoc.Object, name string) string {
	s, ok := o.Values[name].(string)
	if o.Has(name) && !ok {
		r.fail()
	}
	return s
}

// oneOrMore is a member that is a string or a list of strings, one at least.
func (r *reader) oneOrMore(v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		r.fail()
	}
	var all []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			r.fail()
		}
		all = append(all, s)
	}
	return all
}
