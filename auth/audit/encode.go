package audit

import (
	"strconv"
	"unicode/utf8"
)

// object is a JSON object that is being written.
type object struct {
	b     []byte
	empty bool // nothing is in it yet
}

func newObject(dst []byte) object { return object{append(dst, '{'), true} }

// name begins a member. Names are our own, and need no escapes.
func (o *object) name(name string) {
	if !o.empty {
		o.b = append(o.b, ',')
	}
	o.empty = false
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

// text adds a member, cut to most bytes; "" is left out.
func (o *object) text(name, value string, most int) {
	if value != "" {
		o.name(name)
		o.b = appendText(o.b, value, most)
	}
}

// own adds members of our own, as they stand in a record.
func (o *object) own(members string) {
	if !o.empty {
		o.b = append(o.b, ',')
	}
	o.empty = false
	o.b = append(o.b, members...)
}

func (o *object) number(name string, value int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, value, 10)
}

func (o *object) truth(name string, value bool) {
	o.name(name)
	o.b = strconv.AppendBool(o.b, value)
}

// within begins a member that is an object, which its close ends.
func (o *object) within(name string) object {
	o.name(name)
	return newObject(o.b)
}

// close ends an object that began in another, and goes on with that.
func (o *object) close(in object) { o.b = append(in.b, '}') }

// ordinary are the characters that stand in a string as they are.
var ordinary = ordinaryOnes()

func ordinaryOnes() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}

const hexDigits = "0123456789abcdef"

// appendText adds a JSON string of the first bytes of s, at most so many. What is
// not UTF-8 is shown as U+FFFD.
func appendText(dst []byte, s string, most int) []byte {
	s, cut := clip(s, most)
	dst = append(dst, '"')
	plain := 0
	for i := 0; i < len(s); {
		c := s[i]
		if ordinary[c] {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if c >= utf8.RuneSelf && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		dst = append(dst, s[plain:i]...)
		dst = appendEscaped(dst, c)
		i++
		plain = i
	}
	dst = append(dst, s[plain:]...)
	if cut {
		dst = append(dst, "…"...)
	}
	return append(dst, '"')
}

// appendEscaped adds a byte that stands in no string as it is.
func appendEscaped(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\t':
		return append(dst, '\\', 't')
	case c >= utf8.RuneSelf:
		return append(dst, "\uFFFD"...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

// clip cuts a text to at most so many bytes of whole characters.
func clip(s string, most int) (string, bool) {
	if len(s) <= most {
		return s, false
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most], true
}
