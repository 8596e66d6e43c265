package main

import (
	"bytes"
	"embed"
	"fmt"
	"go/format"
	"strconv"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var templates embed.FS

// generate returns the files of package shape by name.
func generate(source []byte) (map[string][]byte, error) {
	m, err := parse(source)
	if err != nil {
		return nil, err
	}
	t, err := template.New("").Funcs(m.funcs()).ParseFS(templates, "*.tmpl")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, page := range m.pages() {
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, page.template, page.data); err != nil {
			return nil, err
		}
		if files[name], err = format.Source(b.Bytes()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
}

type page struct {
	template string
	data     any
}

func (m *model) pages() map[string]page {
	inputs, outputs := map[string]bool{}, map[string]bool{}
	for _, op := range m.Operations {
		inputs[op.Input], outputs[op.Output] = true, true
	}
	structures := func(keep func(string) bool) []*shape {
		return m.shapes(func(s *shape) bool { return s.Type == "structure" && keep(s.Name) })
	}
	return map[string]page{
		"requests.go":    {"structures.tmpl", structures(func(n string) bool { return inputs[n] })},
		"responses.go":   {"structures.tmpl", structures(func(n string) bool { return outputs[n] })},
		"members.go":     {"structures.tmpl", structures(func(n string) bool { return !inputs[n] && !outputs[n] })},
		"enums.go":       {"enums.tmpl", m.shapes(func(s *shape) bool { return len(s.Enum) > 0 })},
		"constraints.go": {"constraints.tmpl", m.shapes(func(s *shape) bool { return s.input })},
		"operations.go":  {"operations.tmpl", m.Operations},
		"exceptions.go":  {"exceptions.tmpl", m.Exceptions},
	}
}

func (m *model) funcs() template.FuncMap {
	return template.FuncMap{
		"field":   fieldName,
		"value":   valueName,
		"type":    func(mem member, in *shape) string { return m.goType(m.Shapes[mem.Shape], in.input) },
		"tag":     func(mem member) string { return "`json:\"" + mem.Name + ",omitzero\"`" },
		"purpose": m.purpose,
		"traits":  m.traits,
	}
}

// purpose completes the doc comment of a structure.
func (m *model) purpose(s *shape) string {
	for name, op := range m.Operations {
		switch s.Name {
		case op.Input:
			return "is the input of " + name
		case op.Output:
			return "is the output of " + name
		}
	}
	return "is a structure of the model"
}

// traits are the fields of a shape in a table of constraints.
func (m *model) traits(s *shape) string {
	fields := []string{fmt.Sprintf("Name: %q, Type: %s", s.Name, typeName(s.Type))}
	if s.Min != nil {
		fields = append(fields, fmt.Sprintf("Min: new(int64(%d))", *s.Min))
	}
	if s.Max != nil {
		fields = append(fields, fmt.Sprintf("Max: new(int64(%d))", *s.Max))
	}
	if s.Pattern != "" {
		fields = append(fields, "Pattern: "+quote(s.Pattern))
	}
	if len(s.Enum) > 0 {
		fields = append(fields, fmt.Sprintf("Enum: %#v", s.Enum))
	}
	if s.Type == "list" {
		fields = append(fields, "Element: &shape"+s.Of)
	}
	return strings.Join(fields, ", ")
}

func quote(s string) string {
	if strconv.CanBackquote(s) {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}
