package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
)

// Hidden stands where a secret was. It is CloudTrail's own word for that.
const Hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// Fields are the members of an object in order, for doors whose requests have no
// type of their own. A Value is what [Call.Parameters] may be; "" and nil are
// left out.
type Fields []Field

// Field is a member of Fields.
type Field struct {
	Name  string
	Value any
}

// rule is how a member is written.
type rule int

const (
	plain   rule = iota // as it is, up to longestText
	hidden              // Hidden in its place
	dropped             // not at all: bytes of layers
	long                // as it is, up to longestPolicy
	hashed              // its digest and size: manifests
)

// rules are those of members that are not plain, by their names in lower case,
// whatever object they are in.
var rules = map[string]rule{
	"authorizationtoken": hidden,
	"downloadurl":        hidden, // its signature opens the layer to anyone
	"password":           hidden,
	"secret":             hidden,
	"secretaccesskey":    hidden,
	"secretkey":          hidden,
	"secretstring":       hidden,
	"sessiontoken":       hidden,
	"token":              hidden,
	"accesstoken":        hidden,
	"refreshtoken":       hidden,
	"tokencode":          hidden,
	"webidentitytoken":   hidden,
	"samlassertion":      hidden,

	"layerpartblob": dropped,
	"imagemanifest": hashed,

	"policytext":          long,
	"lifecyclepolicytext": long,
	"policy":              long,
}

// How much of a value comes into a record, in bytes.
const (
	longestText   = 1 << 10
	longestPolicy = 4 << 10
	// longestValues bounds parameters, and answers too: what comes behind it in
	// them is left out.
	longestValues = 4 << 10
	deepest       = 8
)

// values writes parameters and answers.
type values struct {
	b     []byte
	limit int  // length of b at which no more is begun
	cut   bool // something was left out
}

// appendValues adds v as JSON, null where there is nothing, and says whether
// something of it was left out for its length.
func appendValues(dst []byte, v any) ([]byte, bool) {
	w := values{b: dst, limit: len(dst) + longestValues}
	start := len(dst)
	if !w.field(v, plain, 0) {
		w.b = append(w.b[:start], "null"...)
	}
	return w.b, w.cut
}

// append adds the parameters as Fields of the same members would be.
func (p *Pull) append(dst []byte) (_ []byte, clipped bool) {
	o := newObject(dst)
	write := func(o *object, name, value string) {
		clipped = clipped || len(value) > longestText
		o.text(name, value, longestText)
	}
	write(&o, "registryId", p.RegistryID)
	write(&o, "repositoryName", p.RepositoryName)
	switch {
	case p.ImageTag != "" || p.ImageDigest != "":
		o.name("imageIds")
		image := newObject(append(o.b, '['))
		write(&image, "imageTag", p.ImageTag)
		write(&image, "imageDigest", p.ImageDigest)
		o.b = append(image.b, '}', ']')
	case p.LayerDigest != "":
		write(&o, "layerDigest", p.LayerDigest)
	case p.SoughtLayer != "":
		clipped = clipped || len(p.SoughtLayer) > longestText
		o.name("layerDigests")
		o.b = append(appendText(append(o.b, '['), p.SoughtLayer, longestText), ']')
	}
	return append(o.b, '}'), clipped
}

// field writes a value, without reflection where it is of a type that nearly every
// record has.
func (w *values) field(value any, r rule, depth int) bool {
	if r != plain || len(w.b) >= w.limit || depth > deepest {
		return w.any(reflect.ValueOf(value), r, depth)
	}
	switch v := value.(type) {
	case string:
		return w.text(v, r)
	case Fields:
		return v != nil && w.fields(v, depth)
	case []Fields:
		return v != nil && list(w, v, func(f Fields) bool { return w.field(f, r, depth+1) })
	case []string:
		return v != nil && list(w, v, func(s string) bool { return w.field(s, r, depth+1) })
	}
	return w.any(reflect.ValueOf(value), r, depth)
}

// list writes the elements of a list that write writes.
func list[T any](w *values, all []T, write func(T) bool) bool {
	w.b = append(w.b, '[')
	comma := false
	for _, one := range all {
		comma = w.element(comma, func() bool { return write(one) }) || comma
	}
	w.b = append(w.b, ']')
	return true
}

// any writes a value. It writes nothing and says so where there is none.
func (w *values) any(v reflect.Value, r rule, depth int) bool {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return false
		}
		v = v.Elem()
	}
	if !v.IsValid() || r == dropped || r == hidden && v.IsZero() {
		return false
	}
	if len(w.b) >= w.limit || depth > deepest {
		w.cut = true
		return false
	}
	if r == hidden {
		w.b = appendText(w.b, Hidden, len(Hidden))
		return true
	}
	return w.kind(v, r, depth)
}

func (w *values) kind(v reflect.Value, r rule, depth int) bool {
	switch v.Kind() {
	case reflect.String:
		return w.text(v.String(), r)
	case reflect.Bool:
		w.b = strconv.AppendBool(w.b, v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		w.b = strconv.AppendInt(w.b, v.Int(), 10)
	case reflect.Slice:
		return w.slice(v, r, depth)
	case reflect.Struct:
		return w.structure(v, depth)
	default:
		return false // of no type of a request
	}
	return true
}

func (w *values) text(s string, r rule) bool {
	switch {
	case s == "":
		return false
	case r == hashed:
		digest := sha256.Sum256([]byte(s))
		w.b = append(w.b, `{"digest":"sha256:`...)
		w.b = hex.AppendEncode(w.b, digest[:])
		w.b = append(w.b, `","size":`...)
		w.b = strconv.AppendInt(w.b, int64(len(s)), 10)
		w.b = append(w.b, '}')
		return true
	}
	most := longestText
	if r == long {
		most = longestPolicy
	}
	w.cut = w.cut || len(s) > most
	w.b = appendText(w.b, s, most)
	return true
}

var fieldType = reflect.TypeFor[Field]()

func (w *values) slice(v reflect.Value, r rule, depth int) bool {
	if v.IsNil() {
		return false
	}
	if v.Type().Elem() == fieldType {
		return w.fields(v.Convert(reflect.TypeFor[Fields]()).Interface().(Fields), depth)
	}
	w.b = append(w.b, '[')
	comma := false
	for i := range v.Len() {
		comma = w.element(comma, func() bool { return w.any(v.Index(i), r, depth+1) }) || comma
	}
	w.b = append(w.b, ']')
	return true
}

// element writes something behind a comma, or neither.
func (w *values) element(comma bool, write func() bool) (written bool) {
	start := len(w.b)
	if comma {
		w.b = append(w.b, ',')
	}
	if !write() {
		w.b = w.b[:start]
		return false
	}
	return true
}

func (w *values) member(name string, v reflect.Value, comma bool, depth int) (written bool) {
	return w.element(comma, func() bool {
		w.name(name)
		return w.any(v, ruleOf(name), depth+1)
	})
}

func (w *values) name(name string) {
	w.b = appendText(w.b, name, longestText)
	w.b = append(w.b, ':')
}

// ruleOf finds the rule of a member whatever the case of its name.
func ruleOf(name string) rule {
	var lower [32]byte // longer than any in the table
	if len(name) > len(lower) {
		return plain
	}
	for i := range len(name) {
		lower[i] = name[i]
		if 'A' <= name[i] && name[i] <= 'Z' {
			lower[i] |= 0x20
		}
	}
	return rules[string(lower[:len(name)])]
}

func (w *values) fields(list Fields, depth int) bool {
	w.b = append(w.b, '{')
	comma := false
	for _, f := range list {
		comma = w.element(comma, func() bool {
			w.name(f.Name)
			return w.field(f.Value, ruleOf(f.Name), depth+1)
		}) || comma
	}
	w.b = append(w.b, '}')
	return true
}

// structure writes what the json tags of a type name. What has its own form in
// JSON, such as a time, is written in it.
func (w *values) structure(v reflect.Value, depth int) bool {
	if m, ok := v.Interface().(json.Marshaler); ok {
		text, err := m.MarshalJSON()
		w.b = append(w.b, text...)
		return err == nil && len(text) > 0 && !v.IsZero()
	}
	w.b = append(w.b, '{')
	comma := false
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			comma = w.member(name, v.Field(i), comma, depth) || comma
		}
	}
	w.b = append(w.b, '}')
	return true
}
