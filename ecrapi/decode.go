package ecrapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// readJSON reads a request into in, a pointer to one of package shape's
// structures. An empty body is an empty object.
func readJSON(body *credentials.Body, in any) error {
	b, err := io.ReadAll(body.Reader())
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	return unmarshal(b, in)
}

// unmarshal is json.Unmarshal as the protocol has it: names of members are
// exact, unknown ones are ignored, null is as good as absent, and what is not
// UTF-8 is refused rather than mended, since manifests are kept byte for byte.
func unmarshal(b []byte, in any) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0:
		return nil
	case b[0] != '{':
		return serialization("The body of the request is not a JSON object")
	case !utf8.Valid(b):
		return serialization("The body of the request is not UTF-8")
	}
	return fill(reflect.ValueOf(in).Elem(), b, "")
}

// fill sets v to what raw says, which is JSON unless it is the whole request;
// at is where in the request that is.
func fill(v reflect.Value, raw []byte, at string) error {
	if string(raw) == "null" {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if err := fill(p.Elem(), raw, at); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case reflect.Struct:
		return fillStruct(v, raw, at)
	case reflect.Slice:
		return fillList(v, raw, at)
	}
	return fillScalar(v, raw, at)
}

// blobType is decoded by whoever reads a request that has one.
var blobType = reflect.TypeFor[shape.Blob]()

func fillStruct(v reflect.Value, raw []byte, at string) error {
	if v.Type() == blobType {
		var s string
		return fillScalar(reflect.ValueOf(&s).Elem(), raw, at)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		if at == "" {
			return serialization("The body of the request is not JSON, or nested too deep")
		}
		return mistyped(at, "an object")
	}
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if m, ok := members[name]; ok {
			if err := fill(v.Field(i), m, member(at, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func fillList(v reflect.Value, raw []byte, at string) error {
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return mistyped(at, "a list")
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, e := range list {
		at := element(at, i)
		if string(e) == "null" {
			return invalid(at, "Member must not be null")
		}
		if err := fill(v.Index(i), e, at); err != nil {
			return err
		}
	}
	return nil
}

// scalars say what a JSON value should have been.
var scalars = map[reflect.Kind]string{reflect.String: "a string", reflect.Int64: "a whole number", reflect.Bool: "true or false"}

func fillScalar(v reflect.Value, raw []byte, at string) error {
	if v.Kind() == reflect.String && hasLoneSurrogate(raw) {
		return serialization("The string at '%s' has half a surrogate pair", at)
	}
	err := json.Unmarshal(raw, v.Addr().Interface())
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return mistyped(at, scalars[v.Kind()])
	}
	return err
}

func mistyped(at, want string) error {
	return serialization("The value at '%s' is not %s", at, want)
}

// member and element address values as ECR's messages do: 'tags.2.member.key'
// (ECR reference, operations.md section 1).
func member(at, name string) string {
	name = strings.ToLower(name[:1]) + name[1:]
	if at == "" {
		return name
	}
	return at + "." + name
}

func element(at string, i int) string {
	return at + "." + strconv.Itoa(i+1) + ".member"
}

// hasLoneSurrogate says whether a JSON string escapes one half of a surrogate
// pair alone. Package json would put another character in its place.
func hasLoneSurrogate(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 || len(raw) < i+6 { // the closing quote is no part of an escape
			return false
		}
		raw = raw[i:]
		if !isSurrogate(raw) {
			raw = raw[2:]
			continue
		}
		pair := len(raw) >= 12 && isSurrogate(raw[6:]) && isHigh(raw) && !isHigh(raw[6:])
		if !pair {
			return true
		}
		raw = raw[12:]
	}
}

// isSurrogate says whether six characters of a JSON string escape a code from
// \ud800 to \udfff, and isHigh whether such a one is below \udc00.
func isSurrogate(s []byte) bool {
	return s[0] == '\\' && s[1] == 'u' && s[2]|0x20 == 'd' && s[3] >= '8'
}

func isHigh(s []byte) bool { return s[3] < 'A' || s[3]|0x20 < 'c' }
