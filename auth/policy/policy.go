// Package policy is IAM's policy language: it reads the policies of repositories,
// registries, identities and roles, says what is wrong with a text, renders it as
// ECR does, and decides what all policies together allow. It is pure.
//
// What a policy may say, and the order in which policies count, is in the ECR
// reference, policies.md sections 1 to 3, and in the IAM user guide. Where the guide
// leaves something open, what is done is said at the place.
//
// # Matching
//
// Actions, and names of condition keys, are compared in any case, everything else
// as it is written. In actions and resources a star stands for any run of
// characters, colons too, and a question mark for any one. In the language 2012-10-17
// ${aws:username} in a resource, or in a value of a string or ARN operator, stands
// for the value of that key, ${aws:username, 'nobody'} with a default, and ${*}, ${?}
// and ${$} for themselves. Stars in a key's value are stars. A variable without a
// value makes its pattern match nothing, so that NotResource and negated operators
// with it hold. Matching takes at most pattern times text.
//
// # Conditions
//
// All operators of IAM are there, with IfExists, ForAllValues and ForAnyValue. A key
// that a request does not have is absent, whatever its name: negated operators hold
// for it and others do not. The keys that Berth knows are in [KnownKeys].
package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// Document is a policy that has been read. It may be used by several goroutines.
type Document struct {
	root       *jsondoc.Object
	statements []statement
	denials    []entry // those that deny, with their known actions
	grants     []entry // those that allow
}

// MaxText is how many characters a policy of a repository or registry has at most
// (model: RepositoryPolicyText, RegistryPolicyText).
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

// Error says what is wrong with a text: ECR's reason for policies of repositories
// and registries, and the place with IAM's words, where it has any, for others.
type Error struct {
	Reason     string
	path, what string // Reason's parts, where it has a place
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Reasons, as ECR has them (ECR reference, errors-and-limits.md section 3).
var (
	errRepository = &Error{Reason: "Invalid repository policy provided"}
	errRegistry   = &Error{Reason: "Invalid registry policy provided"}
	errPrincipal  = &Error{Reason: "Principal not found"}
)

// ParseRepository reads a repository policy. Account ids among the principals
// become the ARNs of their roots, in the given partition ("aws"). The error is an
// *Error.
func ParseRepository(text, partition string) (*Document, error) {
	return parse(text, grammar{
		invalid: errRepository, partition: partition, principal: needed, principalKinds: []string{"AWS", "Service"},
		action: ecrAction, resourceForm: ecrResources,
	})
}

// ParseRegistry reads a registry policy of a scope. Otherwise it is as
// ParseRepository.
func ParseRegistry(text, partition string, scope Scope) (*Document, error) {
	g := grammar{
		invalid: errRegistry, partition: partition, principal: needed, principalKinds: []string{"AWS", "Service"},
		action: ecrAction, resource: needed, resourceForm: ecrResources,
	}
	if scope == V1 {
		g.action, g.early = earlyAction, true
	}
	return parse(text, g)
}

// ParseIdentity reads a policy of a user, group or role, a permissions boundary or a
// session policy: without principals, and with actions and resources of any
// service. The error is an *Error. How long a text may be depends on where it is
// kept, and is not looked at.
func ParseIdentity(text string) (*Document, error) {
	return parse(text, grammar{principal: forbidden, action: identityAction, resource: needed, resourceForm: anyResources, uniqueSids: true})
}

// ParseTrust reads a role's trust policy: principals that may assume it, actions of
// STS, and no resources, since it is about the role that has it. The error is an
// *Error.
func ParseTrust(text string) (*Document, error) {
	return parse(text, grammar{
		partition: "aws", principal: needed, principalKinds: []string{"AWS", "Service", "Federated"},
		action: trustAction, resource: forbidden, uniqueSids: true,
	})
}

// need says whether a member must be there.
type need int

const (
	optional need = iota
	needed
	forbidden
)

// grammar is what the kinds of policy differ in.
type grammar struct {
	invalid             *Error // for whatever is wrong; nil to say what
	partition           string
	principal, resource need
	principalKinds      []string
	action              func(pattern string) string // what is wrong with it, or ""
	resourceForm        *regexp.Regexp
	early               bool // the actions are those of V1
	uniqueSids          bool // and plain
}

// parse reads a document. A text that is none is invalid whatever is wrong; in
// ECR's, an unknown principal in one that is has a reason of its own.
func parse(text string, g grammar) (*Document, error) {
	r := &reader{grammar: g}
	v, err := jsondoc.Read(text)
	root, ok := v.(*jsondoc.Object)
	if err != nil || !ok {
		r.fail("", "Syntax errors in policy.")
		return nil, r.wrong()
	}
	d := &Document{root: root}
	r.members(root, "Id", "Statement", "Version")
	r.version(root)
	r.optionalText(root, "Id")
	r.document(d, root)
	if err := r.wrong(); err != nil {
		return nil, err
	}
	d.index()
	return d, nil
}

func (r *reader) document(d *Document, root *jsondoc.Object) {
	list, isList := root.Values["Statement"].([]any)
	if !isList {
		list = []any{root.Values["Statement"]}
	}
	if len(list) == 0 || !root.Has("Statement") {
		r.fail("", "Missing required field Statement")
		return
	}
	for i, v := range list {
		r.at = item("Statement", root.Values["Statement"], i)
		d.statements = append(d.statements, r.statement(v))
	}
}

// reader reads the parts of a document, and notes the first thing that is wrong.
type reader struct {
	grammar
	variables bool     // the language has them
	at        string   // the statement that is being read
	sids      []string // of all statements before
	failure   *Error
	stranger  bool // a principal is none
}

// wrong is what is wrong, nil if nothing is.
func (r *reader) wrong() error {
	switch {
	case r.failure != nil && r.invalid != nil:
		return r.invalid
	case r.failure != nil:
		return r.failure
	case r.stranger:
		return errPrincipal
	}
	return nil
}

// fail notes what is wrong with a member of a statement, or of the document.
func (r *reader) fail(member, what string) {
	if r.failure != nil {
		return
	}
	e := &Error{Reason: what, path: strings.Trim(r.at+"."+member, "."), what: what}
	if e.path != "" {
		e.Reason = e.path + ": " + what
	}
	r.failure = e
}

// unknown notes a principal that is none.
func (r *reader) unknown(name, kind, who string) {
	if r.invalid != nil {
		r.stranger = true
		return
	}
	r.fail(name, "Invalid principal in policy: "+quote(kind)+":"+quote(who))
}

// quote is a text in JSON's quotes, so that a message has no line breaks.
func quote(s string) string { return plain(s) }

// item is the path of a member's value, or of one of several.
func item(name string, v any, i int) string {
	if _, many := v.([]any); many {
		return fmt.Sprintf("%s[%d]", name, i)
	}
	return name
}

// members refuses names that an object must not have.
func (r *reader) members(o *jsondoc.Object, known ...string) {
	for _, name := range o.Names {
		if !slices.Contains(known, name) {
			r.fail("", "Unknown field "+name)
		}
	}
}

func (r *reader) version(o *jsondoc.Object) {
	v, given := o.Values["Version"]
	if given && v != "2008-10-17" && v != "2012-10-17" {
		r.fail("Version", "The policy must contain a valid version string")
	}
	r.variables = v == "2012-10-17"
}

func (r *reader) optionalText(o *jsondoc.Object, name string) string {
	s, ok := o.Values[name].(string)
	if o.Has(name) && !ok {
		r.fail(name, "must be a string")
	}
	return s
}

func (r *reader) sid(o *jsondoc.Object) string {
	sid := r.optionalText(o, "Sid")
	switch {
	case !r.uniqueSids || sid == "":
	case !plainSid.MatchString(sid):
		r.fail("Sid", "Statement IDs (SID) must be alpha-numeric.")
	case slices.Contains(r.sids, sid):
		r.fail("Sid", "Statement IDs (SID) in a single policy must be unique.")
	}
	r.sids = append(r.sids, sid)
	return sid
}

// oneOrMore is a member that is a string or a list of strings, one at least.
func (r *reader) oneOrMore(name string, v any) []string {
	if s, ok := v.(string); ok {
		return []string{s}
	}
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		r.fail(name, "must be a string or a list of strings")
	}
	var all []string
	for _, v := range list {
		s, ok := v.(string)
		if !ok {
			r.fail(name, "must be a string or a list of strings")
		}
		all = append(all, s)
	}
	return all
}
