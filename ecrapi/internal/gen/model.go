package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// model is the file, as far as it is used.
type model struct {
	Operations map[string]operation
	Exceptions map[string]exception
	Shapes     map[string]*shape
}

type operation struct {
	Input, Output string
	Errors        []string
}

type exception struct {
	HTTPStatus int `json:"httpStatus"`
}

// shape is a type of the model. Of are the elements of a list, Key and Value
// those of a map.
type shape struct {
	Name    string
	Type    string
	Min     *int64
	Max     *int64
	Pattern string
	Enum    []string
	Members members
	Of      string
	Key     string
	Value   string

	input bool // part of a request
}

// member is a member of a structure. Of its shape's traits, which the file
// repeats here, it has its own only in Required.
type member struct {
	Name     string
	Shape    string
	Required bool
	Type     string
	Min      *int64
	Max      *int64
	Pattern  string
	Enum     []string
}

// members keeps the order of the file, which is that in which violations are
// reported.
type members []member

func (ms *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil { // the opening brace
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		m := member{Name: name.(string)}
		if err := d.Decode(&m); err != nil {
			return err
		}
		*ms = append(*ms, m)
	}
	return nil
}

func parse(b []byte) (*model, error) {
	var m model
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, err
	}
	for name, s := range m.Shapes {
		s.Name = name
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	for _, op := range m.Operations {
		m.markInput(op.Input)
	}
	return &m, nil
}

// check refuses a model whose shapes name others that are missing, or whose
// members say anything else than their shapes do.
func (m *model) check() error {
	for _, s := range m.Shapes {
		for _, name := range []string{s.Of, s.Key, s.Value} {
			if name != "" && m.Shapes[name] == nil {
				return fmt.Errorf("shape %s: no shape %q", s.Name, name)
			}
		}
		for _, mem := range s.Members {
			of := m.Shapes[mem.Shape]
			if of == nil {
				return fmt.Errorf("member %s.%s: no shape %q", s.Name, mem.Name, mem.Shape)
			}
			here := shape{Type: mem.Type, Min: mem.Min, Max: mem.Max, Pattern: mem.Pattern, Enum: mem.Enum}
			there := shape{Type: of.Type, Min: of.Min, Max: of.Max, Pattern: of.Pattern, Enum: of.Enum}
			if !reflect.DeepEqual(here, there) {
				return fmt.Errorf("member %s.%s differs from its shape %s", s.Name, mem.Name, mem.Shape)
			}
		}
	}
	return nil
}

func (m *model) markInput(name string) {
	s := m.Shapes[name]
	if s == nil || s.input {
		return
	}
	s.input = true
	for _, mem := range s.Members {
		m.markInput(mem.Shape)
	}
	m.markInput(s.Of)
	m.markInput(s.Key)
	m.markInput(s.Value)
}

// shapes are those that keep says, in order of name.
func (m *model) shapes(keep func(*shape) bool) []*shape {
	var list []*shape
	for _, name := range slices.Sorted(maps.Keys(m.Shapes)) {
		if s := m.Shapes[name]; keep(s) {
			list = append(list, s)
		}
	}
	return list
}
