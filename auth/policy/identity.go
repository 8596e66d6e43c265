package policy

import "github.com/seed-78150930/berth/jsondoc"

var (
	errIdentity = &Error{"Invalid identity policy provided"}
	errTrust    = &Error{"Invalid trust policy provided"}
)

// ParseIdentity reads a policy of a user, a group or a role, or a managed one: it
// names resources and no principals. The error is an *Error.
func ParseIdentity(text string) (*Document, error) {
	return parseWith(text, errIdentity, "Principal", "*")
}

// ParseTrust reads the policy of a role that says who may assume it: it names
// principals and no resources. The error is an *Error.
func ParseTrust(text string) (*Document, error) {
	return parseWith(text, errTrust, "Resource", "*")
}

// parseWith reads a document whose statements lack a member that others have.
func parseWith(text string, wrong *Error, lacks string, value any) (*Document, error) {
	v, err := jsondoc.Read(text)
	root, ok := v.(*jsondoc.Object)
	if err != nil || !ok {
		return nil, wrong
	}
	list, isList := root.Values["Statement"].([]any)
	if !isList {
		list = []any{root.Values["Statement"]}
	}
	for _, s := range list {
		o, ok := s.(*jsondoc.Object)
		if !ok || o.Has(lacks) {
			return nil, wrong
		}
		o.Names, o.Values[lacks] = append(o.Names, lacks), value
	}
	return parse((&Document{root: root}).Text(), grammar{invalid: wrong, partition: "aws", others: true})
}
