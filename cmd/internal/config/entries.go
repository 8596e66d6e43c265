package config

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// entriesType is the Type of settings that are lists of mappings. Their element
// is a struct with the tags of Config.
const entriesType = "entries"

// entries reads a setting of that type.
func (f *yamlFile) entries(s Setting, n *yaml.Node) {
	list := f.into.FieldByIndex(s.field)
	if n.Kind != yaml.SequenceNode {
		f.complain(f.at(n), fmt.Errorf("%s: a list is asked for, such as [{%s}]", s.Key, example(list.Type().Elem())))
		return
	}
	all := reflect.MakeSlice(list.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		name := fmt.Sprintf("%s[%d]", s.Key, i)
		all = reflect.Append(all, f.oneEntry(name, item, list.Type().Elem()))
		f.config.origins[name] = f.at(item)
	}
	list.Set(all)
	f.config.origins[s.Key] = f.at(n)
}

// example is the members that an entry needs.
func example(t reflect.Type) string {
	for _, s := range walk(t, "", nil) {
		if s.needed != "" && s.isList() {
			return s.Key + ": " + s.needed
		}
		if s.needed != "" {
			return fmt.Sprintf("%s: %q", s.Key, s.needed)
		}
	}
	return ""
}

// oneEntry reads an entry with the loader for the members of its type.
func (f *yamlFile) oneEntry(name string, n *yaml.Node, t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	entry := &yamlFile{name: f.name, seen: map[string]int{}, loader: &loader{
		config: f.config, into: v, settings: walk(t, name+".", nil),
	}}
	for _, s := range entry.settings {
		if s.Default != "" {
			entry.set(s, s.Default, "")
		}
	}
	entry.mapping(n, name+".")
	for _, s := range entry.settings {
		if s.needed != "" && v.FieldByIndex(s.field).IsZero() && len(entry.wrong) == 0 {
			entry.complain(f.at(n), fmt.Errorf("%s is missing; did you mean %q?", s.Key, s.Key[len(name)+1:]+": "+s.needed))
		}
	}
	f.wrong = append(f.wrong, entry.wrong...)
	return v
}
