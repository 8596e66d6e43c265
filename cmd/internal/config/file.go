package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// maxFile is more than any configuration needs.
const maxFile = 1 << 20

// file reads the settings of a YAML file.
func (l *loader) file(name string) {
	f := &yamlFile{loader: l, name: name, seen: map[string]int{}}
	root, err := f.read()
	if err != nil {
		l.wrong = append(l.wrong, err)
		return
	}
	if root != nil && f.isPlain(root) {
		f.mapping(root, "")
	}
}

// peek reads the settings that the loader still has, and complains of none.
func (l *loader) peek(name string) error {
	f := &yamlFile{loader: &loader{config: l.config, into: l.into, settings: l.settings}, name: name, seen: map[string]int{}}
	root, err := f.read()
	if err == nil && root != nil && f.isPlain(root) {
		f.mapping(root, "")
	}
	return err
}

// yamlFile is a configuration file as it is read. It is taken node by node:
// what a value is for decides what it may be, not what it looks like, so that
// the account 000000000000 is no number.
type yamlFile struct {
	*loader
	name string
	seen map[string]int // key -> line
}

func (f *yamlFile) at(n *yaml.Node) origin {
	return origin(fmt.Sprintf("%s:%d:%d", f.name, n.Line, n.Column))
}

// read parses the file into nodes; nil stands for a file without any.
func (f *yamlFile) read() (*yaml.Node, error) {
	data, err := readFile(f.name)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, f.syntax(err)
	}
	if err := loader.Load(&second); err == nil {
		return nil, f.at(&second).wrap(errors.New("a second document; a configuration is one"))
	} else if !errors.Is(err, io.EOF) {
		return nil, f.syntax(err)
	}
	return content(&doc), nil
}

// content is what a document holds, nil if that is nothing.
func content(doc *yaml.Node) *yaml.Node {
	if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
		doc = doc.Content[0]
	}
	if doc.Kind == yaml.ScalarNode && doc.ShortTag() == "!!null" {
		return nil
	}
	return doc
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %s", name, Size(maxFile))
	}
	return data, err
}

// syntax words what the parser found.
func (f *yamlFile) syntax(err error) error {
	var found *yaml.LoadError
	if !errors.As(err, &found) {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	mark := found.Mark
	return fmt.Errorf("%s:%d:%d: not YAML: %s", f.name, mark.Line, mark.Column, found.Message)
}

// isPlain complains of what YAML offers and a configuration has no use for:
// anchors and aliases, by which a small file can stand for a huge one, and
// tags.
func (f *yamlFile) isPlain(n *yaml.Node) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		f.complain(f.at(n), fmt.Errorf("an alias (*%.60s); write the value itself", n.Value))
		return false
	case n.Anchor != "":
		f.complain(f.at(n), fmt.Errorf("an anchor (&%.60s); a configuration has none", n.Anchor))
		return false
	case n.Style&yaml.TaggedStyle != 0:
		f.complain(f.at(n), fmt.Errorf("a tag (%.60s); a configuration has none", n.Tag))
		return false
	}
	for _, child := range n.Content {
		if !f.isPlain(child) {
			return false
		}
	}
	return true
}

// mapping takes the settings below prefix, which is "" or ends with a dot.
func (f *yamlFile) mapping(n *yaml.Node, prefix string) {
	if n.Kind != yaml.MappingNode {
		f.complain(f.at(n), fmt.Errorf("%s is no mapping of keys to values, such as \"listen: 127.0.0.1:5000\"", groupName(prefix)))
		return
	}
	for pair := range slices.Chunk(n.Content, 2) {
		f.entry(pair[0], pair[1], prefix)
	}
}

func groupName(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return strings.TrimSuffix(prefix, ".")
}

func (f *yamlFile) entry(key, value *yaml.Node, prefix string) {
	full := prefix + key.Value
	if first, twice := f.seen[full]; twice {
		f.complain(f.at(key), fmt.Errorf("%s is set twice, first in line %d", full, first))
		return
	}
	f.seen[full] = key.Line
	s, ok := find(f.settings, full)
	switch {
	case key.Kind == yaml.ScalarNode && f.isGroup(full):
		f.mapping(value, full+".")
	case key.Kind != yaml.ScalarNode || !ok:
		f.complain(f.at(key), fmt.Errorf("unknown key %.80q%s", full, mean(f.keyMeant(full))))
	case s.outside:
		f.complain(f.at(key), fmt.Errorf("%s cannot be set in a file, only by --%s and %s", full, s.Flag(), s.Env()))
	case s.Type == "list":
		f.list(s, value)
	case s.Type == entriesType:
		f.entries(s, value)
	default:
		f.scalar(s, value)
	}
}

func (f *yamlFile) isGroup(key string) bool {
	return slices.ContainsFunc(f.settings, func(s Setting) bool { return strings.HasPrefix(s.Key, key+".") })
}

// keyMeant is the nearest key that a file may hold, groups among them.
func (f *yamlFile) keyMeant(key string) string {
	var keys []string
	for _, s := range f.settings {
		if s.outside {
			continue
		}
		keys = append(keys, s.Key)
		if group, _, ok := strings.Cut(s.Key, "."); ok {
			keys = append(keys, group)
		}
	}
	return nearest(key, keys)
}

func (f *yamlFile) scalar(s Setting, n *yaml.Node) {
	switch {
	case n.Kind != yaml.ScalarNode:
		f.complain(f.at(n), fmt.Errorf("%s: one value is asked for, a %s", s.Key, s.Type))
	case n.ShortTag() == "!!null":
		f.complain(f.at(n), fmt.Errorf("%s: no value; leave the line out to have the default, %q", s.Key, s.Default))
	default:
		f.set(s, n.Value, f.at(n))
	}
}

func (f *yamlFile) list(s Setting, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		f.complain(f.at(n), fmt.Errorf("%s: a list is asked for, such as [one, two]", s.Key))
		return
	}
	var all []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
			f.complain(f.at(item), fmt.Errorf("%s: each entry of the list is one word", s.Key))
			return
		}
		all = append(all, item.Value)
	}
	f.into.FieldByIndex(s.field).Set(reflect.ValueOf(all))
	f.config.origins[s.Key] = f.at(n)
}
