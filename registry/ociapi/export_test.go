package ociapi

import (
	"net/url"

	"github.com/seed-78150930/berth/registry"
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
