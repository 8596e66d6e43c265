package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// outline tells a model in lines, one for each thing that it says, so that two of
// them can be held against each other.
func (m *model) outline() []string {
	var lines []string
	for name, op := range m.Operations {
		lines = append(lines, "operation "+name)
		for _, e := range op.Errors {
			lines = append(lines, fmt.Sprintf("operation %s may fail with %s", name, e))
		}
	}
	for name, e := range m.Exceptions {
		lines = append(lines, fmt.Sprintf("exception %s has status %d", name, e.HTTPStatus))
	}
	for _, s := range m.Shapes {
		lines = append(lines, s.outline()...)
	}
	slices.Sort(lines)
	return lines
}

func (s *shape) outline() (lines []string) {
	about := fmt.Sprintf("shape %s is a %s", s.Name, s.Type)
	if s.Of != "" {
		about += " of " + s.Of
	}
	if s.Key != "" {
		about += " from " + s.Key + " to " + s.Value
	}
	lines = append(lines, about)
	if s.Min != nil {
		lines = append(lines, fmt.Sprintf("shape %s is at least %d", s.Name, *s.Min))
	}
	if s.Max != nil {
		lines = append(lines, fmt.Sprintf("shape %s is at most %d", s.Name, *s.Max))
	}
	if s.Pattern != "" {
		lines = append(lines, fmt.Sprintf("shape %s matches %s", s.Name, s.Pattern))
	}
	for _, v := range s.Enum {
		lines = append(lines, fmt.Sprintf("shape %s may be %s", s.Name, v))
	}
	for _, mem := range s.Members {
		line := fmt.Sprintf("shape %s has %s, a %s", s.Name, mem.Name, mem.Shape)
		if mem.Required {
			line += ", required"
		}
		lines = append(lines, line)
	}
	return lines
}

// changes are the lines that one outline has and the other has not, with a sign in
// front, in order of the lines.
func changes(before, after []string) []string {
	sign := map[string]string{}
	for _, line := range before {
		sign[line] = "-"
	}
	for _, line := range after {
		if sign[line] == "-" {
			delete(sign, line)
			continue
		}
		sign[line] = "+"
	}
	var list []string
	for _, line := range slices.Sorted(maps.Keys(sign)) {
		list = append(list, sign[line]+" "+line)
	}
	return list
}

func splitLines(text []byte) []string {
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}
