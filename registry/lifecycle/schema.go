package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/jsondoc"
)

// invalid is a text that is JSON and no policy.
func invalid(format string, args ...any) *Error {
	return &Error{Reason: "Lifecycle policy validation failure: " + fmt.Sprintf(format, args...)}
}

// unclosed is invalid where ECR forgets a quote.
func unclosed(format string, args ...any) *Error {
	e := invalid(format, args...)
	e.Unclosed = true
	return e
}

// unmapped is a text that cannot be made a policy at all.
var unmapped = &Error{Reason: "Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy."}

// reader checks a tree against the schema. It keeps the first finding, and gives
// zero values from then on.
type reader struct{ err *Error }

func (r *reader) fail(e *Error) {
	if r.err == nil {
		r.err = e
	}
}

// is says whether a value has a type.
func (r *reader) is(v any, want string) bool {
	got := jsondoc.TypeName(v)
	if got != want {
		r.fail(invalid("instance type (%s) does not match any allowed primitive type (allowed: [%q])", got, want))
	}
	return got == want && r.err == nil
}

// object is a value that must be an object with all required names and none but
// those and the optional ones.
func (r *reader) object(v any, required, optional []string) *jsondoc.Object {
	if !r.is(v, "object") {
		return &jsondoc.Object{}
	}
	o := v.(*jsondoc.Object)
	var missing, extra []string
	for _, name := range required {
		if _, ok := o.Values[name]; !ok {
			missing = append(missing, name)
		}
	}
	for name := range maps.Keys(o.Values) {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			extra = append(extra, name)
		}
	}
	switch {
	case missing != nil:
		r.fail(invalid("object has missing required properties ([%s])", quoted(missing)))
	case extra != nil:
		r.fail(invalid("object instance has properties which are not allowed by the schema: ([%s])", quoted(extra)))
	}
	if r.err != nil {
		return &jsondoc.Object{}
	}
	return o
}

// quoted lists names in order.
func quoted(names []string) string {
	slices.Sort(names)
	for i, name := range names {
		text, _ := json.Marshal(name) // a string always has a form
		names[i] = string(text)
	}
	return strings.Join(names, ", ")
}

// text is a member that is a string, "" if it is not there.
func (r *reader) text(o *jsondoc.Object, name string) string {
	if !o.Has(name) || !r.is(o.Values[name], "string") {
		return ""
	}
	return o.Values[name].(string)
}

// choice is a member that is one of some words, "" if it is not there.
func (r *reader) choice(o *jsondoc.Object, name string, words ...string) string {
	s := r.text(o, name)
	if o.Has(name) && r.err == nil && !slices.Contains(words, s) {
		r.fail(invalid("instance value (%s) not found in enum :(possible values: [%s])", s, quoted(words)))
	}
	return s
}

// count is a member that is a whole number of at least 1.
func (r *reader) count(o *jsondoc.Object, name string) int {
	if !r.is(o.Values[name], "integer") {
		return 0
	}
	text := o.Values[name].(json.Number).String()
	n, err := strconv.ParseInt(text, 10, 32) // as many as ECR can map
	switch {
	case strings.HasPrefix(text, "-") || err == nil && n < 1:
		r.fail(unclosed("numeric instance is lower than the required minimum (minimum: 1, found: %s)", text))
	case err != nil:
		r.fail(unmapped)
	}
	return int(n)
}

// list is a member that is an array of at least one and at most limit elements.
func (r *reader) list(o *jsondoc.Object, name string, limit int) []any {
	if !r.is(o.Values[name], "array") {
		return nil
	}
	list := o.Values[name].([]any)
	switch {
	case len(list) > limit:
		r.fail(invalid("array is too long: must have at most %d elements but instance has %d elements", limit, len(list)))
	case len(list) == 0:
		r.fail(invalid("array is too short: must have at least 1 elements but instance has 0 elements"))
	}
	return list
}

// maxWords bounds the lists of patterns and prefixes. ECR's bound is not known;
// the text's own is near.
const maxWords = 10_000

// words is a member that is an array of strings, nil if it is not there.
func (r *reader) words(o *jsondoc.Object, name string) (all []string) {
	if !o.Has(name) {
		return nil
	}
	for _, v := range r.list(o, name, maxWords) {
		if !r.is(v, "string") {
			return nil
		}
		if v.(string) == "" { // it would take every tag
			r.fail(invalid(`string "" is too short (length: 0, required minimum: 1)`))
		}
		all = append(all, v.(string))
	}
	return all
}
