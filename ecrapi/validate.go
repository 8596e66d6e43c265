package ecrapi

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/seed-78150930/berth/ecrapi/shape"
)

// validate holds a request against the model and refuses the first violation
// in the model's order. A nil request is one that nobody looks at.
func validate(op string, in any) error {
	if in == nil {
		return nil
	}
	return checkMembers(reflect.ValueOf(in).Elem(), shape.Operations[op].Input, "")
}

// checkMembers checks a structure, whose fields stand in the order of the
// shape's members.
func checkMembers(v reflect.Value, s *shape.Shape, at string) error {
	for i, m := range s.Members {
		field, at := v.Field(i), member(at, m.Name)
		if field.IsNil() {
			if m.Required {
				return absent(at)
			}
			continue
		}
		if field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if err := checkValue(field, m.Shape, at); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(v reflect.Value, s *shape.Shape, at string) error {
	switch s.Type {
	case shape.Structure:
		return checkMembers(v, s, at)
	case shape.List:
		return checkList(v, s, at)
	case shape.String:
		return checkString(v.String(), s, at)
	case shape.Blobs:
		return checkBounds(v.Interface().(shape.Blob).Size, s, "length", at)
	case shape.Integer, shape.Long:
		return checkBounds(v.Int(), s, "value", at)
	}
	return nil
}

func checkList(v reflect.Value, s *shape.Shape, at string) error {
	if err := checkBounds(int64(v.Len()), s, "length", at); err != nil {
		return err
	}
	for i := range v.Len() {
		if err := checkValue(v.Index(i), s.Element, element(at, i)); err != nil {
			return err
		}
	}
	return nil
}

func checkString(v string, s *shape.Shape, at string) error {
	if err := checkBounds(int64(utf8.RuneCountInString(v)), s, "length", at); err != nil {
		return err
	}
	if s.Pattern != "" && !patterns[s.Pattern](v) {
		if at == repositoryName {
			return violation(at, "must satisfy regular expression '%s'", strings.ReplaceAll(s.Pattern, `\/`, `/`))
		}
		return violation(at, "must satisfy regular expression pattern: %s", s.Pattern)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		return violation(at, "must satisfy enum value set: [%s]", strings.Join(printed(s), ", "))
	}
	return nil
}

func checkBounds(n int64, s *shape.Shape, what, at string) error {
	if s.Min != nil && n < *s.Min {
		return violation(at, "must have %s greater than or equal to %d", what, *s.Min)
	}
	if s.Max != nil && n > *s.Max {
		return violation(at, "must have %s less than or equal to %d", what, *s.Max)
	}
	return nil
}

// absent words that a member is missing. ECR speaks of a policy's text otherwise
// than of all the rest (ECR reference, operations.md section 1).
func absent(at string) error {
	if at == "policyText" {
		return invalid("PolicyText", "Cannot be null")
	}
	return violation(at, "must not be null")
}

// repositoryName is the one member whose violations ECR words in its own way
// (ECR reference, operations.md section 1).
const repositoryName = "repositoryName"

// violation words what a member must be.
func violation(at, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if at != repositoryName {
		reason = "Member " + reason
	}
	return invalid(at, reason)
}

// enumOrder is the order in which ECR prints the values of enumerations where
// it is known and not the model's (ECR reference, operations.md section 1).
var enumOrder = map[string][]string{
	"ImageTagMutability": {"IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"},
	"EncryptionType":     {"AES256", "KMS_DSSE", "KMS"},
	"RCTAppliedFor":      {"REPLICATION", "PULL_THROUGH_CACHE", "CREATE_ON_PUSH"},
}

func printed(s *shape.Shape) []string {
	if order, ok := enumOrder[s.Name]; ok {
		return order
	}
	return s.Enum
}

// patterns match the values of the model's regular expressions, by their text: whole
// values, also where they carry no anchors. Each is compiled when it is first needed, since
// commands and starts need few of them.
var patterns = func() map[string]func(string) bool {
	all := map[string]func(string) bool{}
	var walk func(*shape.Shape)
	walk = func(s *shape.Shape) {
		if s == nil {
			return
		}
		if s.Pattern != "" {
			all[s.Pattern] = matching(`^(?:` + s.Pattern + `)$`)
		}
		walk(s.Element)
		for _, m := range s.Members {
			walk(m.Shape)
		}
	}
	for _, op := range shape.Operations {
		walk(op.Input)
	}
	return all
}()

func matching(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(v string) bool { return compiled().MatchString(v) }
}
