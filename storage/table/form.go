package table

import (
	"encoding"
	"encoding/json"
	"strconv"
	"time"
)

// Formed is a row, by its pointer, that says its form, and so is written and read
// without reflection: for rows that nearly every request reads or writes. What is
// written is what package json writes, byte for byte.
type Formed interface {
	// Form goes through the members in the order in which the structure has them.
	Form(*Form)
}

// Form writes a row, or reads one. Where it meets what it does not know, such as a
// text with escapes or members in another order, it leaves the row to package json.
type Form struct {
	b       []byte
	at      int  // what is read so far
	reading bool // else it writes
	more    bool // a member was written, or read, in this object
	unknown bool
}

// write is the row's JSON; false says that this is package json's to do.
func (f *Form) write(row Formed) bool {
	f.b = make([]byte, 1, 256)
	f.b[0] = '{'
	row.Form(f)
	f.b = append(f.b, '}')
	return !f.unknown
}

// read fills a row from its JSON; false says that this is package json's to do.
func (f *Form) read(row Formed) bool {
	f.reading = true
	f.expect('{')
	row.Form(f)
	f.expect('}')
	return !f.unknown && f.at == len(f.b)
}

// expect reads one character.
func (f *Form) expect(c byte) {
	if f.at >= len(f.b) || f.b[f.at] != c {
		f.unknown = true
		return
	}
	f.at++
}

// member begins a member that is to be written unless it is absent, and says whether
// it is there.
func (f *Form) member(name string, absent bool) bool {
	if f.unknown || !f.reading && absent {
		return false
	}
	if f.reading {
		return f.enter(name)
	}
	if f.more {
		f.b = append(f.b, ',')
	}
	f.more = true
	f.b = append(append(append(f.b, '"'), name...), '"', ':')
	return true
}

// enter says whether the next member is that of the name, and goes to its value.
func (f *Form) enter(name string) bool {
	at := f.at
	if f.more {
		if at >= len(f.b) || f.b[at] != ',' {
			return false
		}
		at++
	}
	end := at + len(name) + len(`"":`)
	if end > len(f.b) || f.b[at] != '"' || string(f.b[at+1:end-2]) != name || f.b[end-2] != '"' || f.b[end-1] != ':' {
		return false
	}
	f.more, f.at = true, end
	return true
}

// text reads a JSON string without escapes.
func (f *Form) text() []byte {
	f.expect('"')
	for i := f.at; i < len(f.b); i++ {
		switch c := f.b[i]; {
		case c == '"':
			text := f.b[f.at:i]
			f.at = i + 1
			return text
		case !isPlain(c):
			f.unknown = true
			return nil
		}
	}
	f.unknown = true
	return nil
}

// isPlain says that package json writes a character as it is.
func isPlain(c byte) bool {
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&'
}

func (f *Form) appendText(text string) {
	for i := range len(text) {
		if !isPlain(text[i]) {
			f.unknown = true
			return
		}
	}
	f.b = append(append(append(f.b, '"'), text...), '"')
}

// Text is a member that is a string.
func Text[T ~string](f *Form, name string, value *T) {
	if f.member(name, false) {
		textValue(f, value)
	}
}

// OptionalText is a string with omitempty.
func OptionalText[T ~string](f *Form, name string, value *T) {
	if f.member(name, *value == "") {
		textValue(f, value)
	}
}

func textValue[T ~string](f *Form, value *T) {
	if f.reading {
		*value = T(f.text())
	} else {
		f.appendText(string(*value))
	}
}

// Number is a member that is an integer.
func Number[T ~int | ~int64 | ~uint64](f *Form, name string, value *T) {
	if f.member(name, false) {
		numberValue(f, value)
	}
}

// OptionalNumber is an integer with omitempty.
func OptionalNumber[T ~int | ~int64 | ~uint64](f *Form, name string, value *T) {
	if f.member(name, *value == 0) {
		numberValue(f, value)
	}
}

// maxDigits is how many digits every integer of 63 bits has room for.
const maxDigits = 18

func numberValue[T ~int | ~int64 | ~uint64](f *Form, value *T) {
	if !f.reading {
		if *value < 0 || uint64(*value) > 1<<62 {
			f.unknown = true
			return
		}
		f.b = strconv.AppendUint(f.b, uint64(*value), 10)
		return
	}
	from, n := f.at, T(0)
	for ; f.at < len(f.b) && f.b[f.at] >= '0' && f.b[f.at] <= '9'; f.at++ {
		n = n*10 + T(f.b[f.at]-'0')
	}
	digits := f.at - from
	if digits == 0 || digits > maxDigits || digits > 1 && f.b[from] == '0' {
		f.unknown = true
	}
	*value = n
}

// OptionalTruth is a boolean with omitempty.
func (f *Form) OptionalTruth(name string, value *bool) {
	if !f.member(name, !*value) {
		return
	}
	const yes = "true"
	switch end := f.at + len(yes); {
	case !f.reading:
		f.b = append(f.b, yes...)
	case end <= len(f.b) && string(f.b[f.at:end]) == yes:
		*value, f.at = true, end
	default:
		f.unknown = true
	}
}

// Time is a member that is a time.
func (f *Form) Time(name string, value *time.Time) {
	if f.member(name, false) {
		f.timeValue(value)
	}
}

// OptionalTime is a time with omitzero.
func (f *Form) OptionalTime(name string, value *time.Time) {
	if f.member(name, value.IsZero()) {
		f.timeValue(value)
	}
}

func (f *Form) timeValue(value *time.Time) {
	if f.reading {
		f.unknown = value.UnmarshalText(f.text()) != nil || f.unknown
		return
	}
	f.b = append(f.b, '"')
	b, err := value.AppendText(f.b)
	f.b, f.unknown = append(b, '"'), f.unknown || err != nil
}

// Texter is what a member is that has a text of its own.
type Texter interface {
	encoding.TextMarshaler
	IsZero() bool
}

// OptionalTexter is a member of such a type with omitzero.
func OptionalTexter[T Texter, P interface {
	*T
	encoding.TextUnmarshaler
}](f *Form, name string, value P) {
	if !f.member(name, (*value).IsZero()) {
		return
	}
	if f.reading {
		f.unknown = value.UnmarshalText(f.text()) != nil || f.unknown
		return
	}
	text, err := (*value).MarshalText()
	f.appendText(string(text))
	f.unknown = f.unknown || err != nil
}

// OptionalObject is a member that is a structure, with omitzero.
func (f *Form) OptionalObject(name string, zero bool, value Formed) {
	if !f.member(name, zero) {
		return
	}
	f.more = false
	if f.reading {
		f.expect('{')
		value.Form(f)
		f.expect('}')
	} else {
		f.b = append(f.b, '{')
		value.Form(f)
		f.b = append(f.b, '}')
	}
	f.more = true
}

// Rare is a member with omitempty that is hardly ever there, and then is package
// json's to write and to read.
func (f *Form) Rare(name string, absent bool) {
	if f.member(name, absent) {
		f.unknown = true
	}
}

func encode[Row any](row Row) ([]byte, error) {
	switch r := any(&row).(type) {
	case Formed:
		var f Form
		if f.write(r) {
			return f.b, nil
		}
	case encoding.BinaryMarshaler:
		return r.MarshalBinary()
	}
	return json.Marshal(row)
}

func read[Row any](value []byte, row *Row) error {
	switch r := any(row).(type) {
	case Formed:
		f := Form{b: value}
		if f.read(r) {
			return nil
		}
		*row = *new(Row)
	case encoding.BinaryUnmarshaler:
		return r.UnmarshalBinary(value)
	}
	return json.Unmarshal(value, row)
}
