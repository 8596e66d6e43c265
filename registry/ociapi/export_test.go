package ociapi

import (
	"net/url"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// What tests look at from outside.

// ParseRoute is parseRoute, with its result in parts.
func ParseRoute(escaped string) (kind, path, ref string, ok bool) {
	at, err := parseRoute(escaped)
	return string(at.kind), at.path, at.ref, err == nil
}

// ReadRange is readRange, with its result in parts.
func ReadRange(headers []string, size int64) (start, n int64, partial, ok bool) {
	s, partial, ok := readRange(headers, size)
	return s.start, s.n, partial, ok
}

// ReadContentRange is readContentRange, with its result in parts.
func ReadContentRange(header string) (start, n int64, ok bool) {
	s, ok := readContentRange(header)
	return s.start, s.n, ok
}

// PageOf is how many entries a list's query makes the door read at once.
func PageOf(q url.Values) int {
	ask, err := new(Server).readAsked(q)
	if err != nil {
		return -1
	}
	return ask.limit()
}

// Answer is the status and the code for a refusal of the domain.
func Answer(c registry.Code) (status int, code string, ok bool) {
	a, ok := answers[c]
	return a.status, a.code.String(), ok
}

// Quirk is one of the table of quirks.
type Quirk struct {
	Name, OCI, ECR string
	Section        int
}

// Quirks are all quirks, in the order of the table.
func Quirks() (all []Quirk) {
	for _, q := range quirks {
		all = append(all, Quirk{q.name, q.oci, q.ecr, q.section})
	}
	return all
}

// QuirksInOrder says whether the table has each quirk in its place.
func QuirksInOrder() bool {
	for i, q := range quirks {
		if int(q.quirk) != i {
			return false
		}
	}
	return len(quirks) == int(boundedTags)+1
}

// ECRAnswer is Answer with the quirk of ECR's mapping.
func ECRAnswer(c registry.Code) (status int, code string, ok bool) {
	a, _, ok := (&Server{compat: ECR}).answerTo(&registry.Error{Code: c, Digests: []digest.Digest{{}}})
	return a.status, a.code.String(), ok
}

// Operations are all pairs of a kind of path and a method.
func Operations() map[string][]string {
	all := map[string][]string{}
	for k, methods := range operations {
		for m := range methods {
			all[string(k)] = append(all[string(k)], m)
		}
	}
	return all
}

// EventOf is what the audit trail calls a method of a kind of path.
func EventOf(k, method string) string { return events[kind(k)][method] }

// Asked is readAsked of a door, with its result in parts.
func Asked(c Compat, q url.Values) (n int, last string, ok bool) {
	ask, err := (&Server{compat: c}).readAsked(q)
	return ask.n, ask.last, err == nil
}

// Place is place of a door.
func Place(c Compat, entry string) string { return (&Server{compat: c}).place(entry) }

// ReadPlace is readPlace of a door.
func ReadPlace(c Compat, last string) (entry string, ok bool) {
	entry, err := (&Server{compat: c}).readPlace(url.Values{"last": {last}})
	return entry, err == nil
}

// Reference is reference, with its result in parts.
func Reference(ref string) (tag, digest string, ok bool) {
	r, err := target{ref: ref}.reference()
	if !r.Tag.IsZero() {
		tag = r.Tag.String()
	}
	if !r.Digest.IsZero() {
		digest = r.Digest.String()
	}
	return tag, digest, err == nil
}

// Names is names.
func Names(headers []string, d digest.Digest, weak bool) bool { return names(headers, d, weak) }
