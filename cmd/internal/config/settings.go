package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Setting describes one setting to those who offer it to people.
type Setting struct {
	Key     string // as in YAML, such as "limits.layer"
	Default string
	Help    string
	Type    string // "string", "bool", "duration", "size", "amount", "int", "list" (of words) or "entries" (a list of mappings)
	restart bool
	outside bool
	zero    bool
	needed  string
	oneof   []string
	field   []int // index of the field
}

// isList says that only a file can hold the setting.
func (s Setting) isList() bool { return s.Type == "list" || s.Type == entriesType }

// Flag is the setting's flag without the dashes, "" for a list.
func (s Setting) Flag() string {
	if s.isList() {
		return ""
	}
	return strings.ReplaceAll(s.Key, ".", "-")
}

// Env is the setting's environment variable, also for a list, which cannot be
// set by it.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.Key))
}

// Settings are all settings, in the order of the table.
func Settings() []Setting { return slices.Clone(settings()) }

// settings are read once, for each of the program's commands asks before any runs.
var settings = sync.OnceValue(func() []Setting { return walk(reflect.TypeFor[Config](), "", nil) })

func walk(t reflect.Type, prefix string, at []int) []Setting {
	var all []Setting
	for f := range t.Fields() {
		key, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		field := append(slices.Clone(at), f.Index...)
		if f.Type.Kind() == reflect.Struct {
			all = append(all, walk(f.Type, prefix+key+".", field)...)
			continue
		}
		all = append(all, describe(f, prefix+key, field))
	}
	return all
}

func describe(f reflect.StructField, key string, field []int) Setting {
	s := Setting{
		Key: key, Default: f.Tag.Get("default"), Help: f.Tag.Get("help"), Type: typeName(f.Type),
		restart: f.Tag.Get("restart") != "", outside: f.Tag.Get("from") == "outside", field: field,
		zero: f.Tag.Get("zero") != "", needed: f.Tag.Get("needed"),
	}
	if list := f.Tag.Get("oneof"); list != "" {
		s.oneof = strings.Split(list, ",")
	}
	return s
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[Size]():
		return "size"
	case reflect.TypeFor[Amount]():
		return "amount"
	case reflect.TypeFor[[]string]():
		return "list"
	}
	if t.Kind() == reflect.Slice {
		return entriesType
	}
	return t.Kind().String()
}

// set parses text into the setting's field of a struct.
func (s Setting) set(into reflect.Value, text string) error {
	v, err := s.parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Key, err)
	}
	into.FieldByIndex(s.field).Set(reflect.ValueOf(v))
	return nil
}

func (s Setting) value(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(s.field)
}

// find returns the setting of a key.
func find(all []Setting, key string) (Setting, bool) {
	i := slices.IndexFunc(all, func(s Setting) bool { return s.Key == key })
	if i < 0 {
		return Setting{}, false
	}
	return all[i], true
}
