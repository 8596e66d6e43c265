package policy

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// Text is the policy as ECR shows it: names in their order, an object's members
// each in a line with two spaces for each level, spaces around colons, arrays in
// one line but for the objects in them (ECR reference, policies.md section 2).
func (d *Document) Text() string {
	var b strings.Builder
	render(&b, d.root, 0)
	return b.String()
}

func render(b *strings.Builder, v any, level int) {
	switch v := v.(type) {
	case *jsondoc.Object:
		renderObject(b, v, level)
	case []any:
		b.WriteString("[ ")
		for i, v := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			render(b, v, level)
		}
		if len(v) > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(']')
	default:
		b.WriteString(plain(v))
	}
}

func renderObject(b *strings.Builder, o *jsondoc.Object, level int) {
	b.WriteString("{")
	for i, name := range o.Names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n" + strings.Repeat("  ", level+1) + plain(name) + " : ")
		render(b, o.Values[name], level+1)
	}
	if len(o.Names) > 0 {
		b.WriteString("\n" + strings.Repeat("  ", level))
	} else {
		b.WriteByte(' ')
	}
	b.WriteByte('}')
}

// plain is the JSON of what is no object and no array, without the escapes that
// are for HTML.
func plain(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what came from JSON always has a form
	return strings.TrimSuffix(b.String(), "\n")
}
