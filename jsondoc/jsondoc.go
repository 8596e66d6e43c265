// Package jsondoc reads JSON documents that say what is to be done, such as
// policies: strictly, since what two readers could read differently must not be
// kept, and with the names of objects in their order, since they are shown again.
package jsondoc

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// Object is a JSON object as it was written. Each name stands in it once.
type Object struct {
	Names  []string
	Values map[string]any
}

// Has says whether an object has a member.
func (o *Object) Has(name string) bool {
	_, ok := o.Values[name]
	return ok
}

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 16

// ErrDocument says that a text is no document: bad syntax or UTF-8, a doubled
// name, something behind the value, too deep.
var ErrDocument = errors.New("not a JSON document")

// Read reads a text as a tree of *Object, []any, string, json.Number, bool and
// nil. The error is ErrDocument.
func Read(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, ErrDocument
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := read(d, 0)
	if err != nil {
		return nil, ErrDocument
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, ErrDocument
	}
	return v, nil
}

func read(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, nested := t.(json.Delim)
	switch {
	case !nested:
		return t, nil
	case depth == MaxDepth:
		return nil, ErrDocument
	case open == '{':
		return readMembers(d, depth+1)
	}
	list := []any{}
	for d.More() {
		v, err := read(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = d.Token()
	return list, err
}

func readMembers(d *json.Decoder, depth int) (*Object, error) {
	o := &Object{Values: map[string]any{}}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // the decoder takes nothing else
		if o.Has(name) {
			return nil, ErrDocument
		}
		v, err := read(d, depth)
		if err != nil {
			return nil, err
		}
		o.Names = append(o.Names, name)
		o.Values[name] = v
	}
	_, err := d.Token()
	return o, err
}

// TypeName is the name of a value's JSON type: object, array, string, boolean,
// null, integer, or number for one with a fraction or an exponent.
func TypeName(v any) string {
	switch v := v.(type) {
	case *Object:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return "number"
		}
		return "integer"
	}
	return "null"
}
