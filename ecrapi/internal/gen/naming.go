package main

import (
	"regexp"
	"strings"
)

// initialisms are words that Go writes in capitals.
var initialisms = map[string]string{"Id": "ID", "Ids": "IDs", "Url": "URL", "Uri": "URI", "Arn": "ARN", "Kms": "KMS"}

var words = regexp.MustCompile(`[A-Z]*[a-z0-9]+|[A-Z]+`)

// fieldName is the Go name of a member, such as RegistryID for registryId.
func fieldName(name string) string {
	name = strings.ToUpper(name[:1]) + name[1:]
	return words.ReplaceAllStringFunc(name, func(w string) string {
		if s, ok := initialisms[w]; ok {
			return s
		}
		return w
	})
}

var separators = regexp.MustCompile(`[^A-Za-z0-9]+`)

// valueName is the Go name of an enumeration's value, such as
// ImageTagMutabilityMutableWithExclusion for MUTABLE_WITH_EXCLUSION.
func valueName(enum, value string) string {
	name := enum
	for _, part := range separators.Split(value, -1) {
		if part == strings.ToUpper(part) {
			part = strings.ToLower(part)
		}
		name += strings.ToUpper(part[:1]) + part[1:]
	}
	return name
}

// goType is the Go type of a value of a shape. Scalars of requests are
// pointers, so that what is absent can be told from what is zero; so are the
// numbers and booleans of responses, where zero is to be shown.
func (m *model) goType(s *shape, input bool) string {
	switch s.Type {
	case "structure":
		return "*" + s.Name
	case "list":
		return "[]" + m.elementType(m.Shapes[s.Of])
	case "map":
		return "map[string]" + m.elementType(m.Shapes[s.Value])
	case "timestamp":
		return "Timestamp"
	case "blob":
		return "*Blob"
	case "string":
		if input {
			return "*" + m.elementType(s)
		}
	default:
		return "*" + m.elementType(s)
	}
	return m.elementType(s)
}

// elementType is the Go type of a shape where it cannot be absent: in a list.
func (m *model) elementType(s *shape) string {
	switch s.Type {
	case "structure":
		return s.Name
	case "string":
		if len(s.Enum) > 0 {
			return s.Name
		}
		return "string"
	case "boolean":
		return "bool"
	case "double":
		return "float64"
	case "integer", "long":
		return "int64"
	}
	return m.goType(s, false)
}

// typeName is the constant of package shape for a type of the model. That of
// blobs is in the plural, since Blob is a type there.
func typeName(t string) string {
	if t == "blob" {
		return "Blobs"
	}
	return strings.ToUpper(t[:1]) + t[1:]
}
