package lifecycle

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// object is a JSON object as it was written. A name stands in it once.
type object struct {
	names  []string
	values map[string]any
}

// maxDepth is more than any policy needs.
const maxDepth = 16

var errText = errors.New("not a JSON object")

// readObject reads a text into a tree of *object, []any, string, json.Number,
// bool and nil. Doubled names and anything behind the object are errors: what two
// readers could read differently is no policy.
func readObject(text string) (*object, error) {
	if !utf8.ValidString(text) {
		return nil, errText
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errText
	}
	o, ok := v.(*object)
	if !ok {
		return nil, errText
	}
	return o, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	open, nested := t.(json.Delim)
	switch {
	case !nested:
		return t, nil
	case depth == maxDepth:
		return nil, errText
	case open == '{':
		return readMembers(d, depth+1)
	}
	list := []any{}
	for d.More() {
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err = d.Token()
	return list, err
}

func readMembers(d *json.Decoder, depth int) (*object, error) {
	o := &object{values: map[string]any{}}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := t.(string) // the decoder takes nothing else
		if _, twice := o.values[name]; twice {
			return nil, errText
		}
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		o.names = append(o.names, name)
		o.values[name] = v
	}
	_, err := d.Token()
	return o, err
}

// Compact is a policy's text as ECR keeps it: without white space outside of
// strings, names in their order. The text is one that Parse took; any other comes
// back as it is.
func Compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text
	}
	return b.String()
}
