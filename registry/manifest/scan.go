package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits of a document beside its size, which is the caller's to limit.
const (
	// maxDepth is how deep arrays and objects may lie in each other. A platform
	// of a descriptor lies four deep; the rest is for annotations of the future.
	maxDepth = 32
	// maxElements is how long an array may be. A descriptor takes some 110
	// bytes at the least, so 40,000 of them fill 4 MiB, the largest manifest
	// (ECR reference, errors-and-limits.md, section 8). Longer arrays of
	// smaller things would only cost memory when decoded.
	maxElements = 40_000
)

// place is what an object or array is part of, which says what names it knows.
type place int

const (
	elsewhere      place = iota // annotations, platforms, members of strangers
	document                    // the whole
	descriptor                  // one of the objects that refer to content
	descriptorList              // an array of them
)

// knownNames are the names that must not be written in another case, because
// encoding/json, and others, would read them as the known ones.
var knownNames = map[place][]string{
	document: {
		"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs",
		"manifests", "subject", "annotations", "fsLayers",
	},
	descriptor: {
		"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType",
	},
}

// members are the known names at the top of a document.
type members map[string]bool

// scan passes a JSON object only if every reader of JSON reads it alike: no
// name twice in an object, known names in their own case, no number out of
// range. It returns which known names there are, and the header.
func scan(object []byte) (members, header, error) {
	s := scanner{body: object, has: members{}}
	for s.at < len(object) {
		if err := s.step(); err != nil {
			return nil, header{}, err
		}
	}
	return s.has, s.header, nil
}

// scanner walks over a document that is known to be good JSON, so it need only
// tell apart what it looks for.
type scanner struct {
	body  []byte
	at    int
	open  []frame  // the objects and arrays around at, outermost first
	names [][]byte // names of the open objects, those of the innermost last
	has   members

	header header
	value  *[]byte // the member of header whose value is being read, nil for none
	from   int     // where it begins, or white space and the colon before it
}

// frame is an open object or array.
type frame struct {
	place    place
	object   bool
	nameNext bool   // the next string is a member's name
	member   string // in the document and descriptors: the name whose value is being read
	first    int    // in scanner.names: the object's first name
	commas   int
}

// isData says that the value being read is a descriptor's embedded data.
func (f *frame) isData() bool { return f.place == descriptor && f.member == "data" }

func (s *scanner) step() error {
	switch c := s.body[s.at]; {
	case c == '"':
		return s.str()
	case c == '{' || c == '[':
		return s.enter(c == '{')
	case c == '}' || c == ']':
		return s.leave()
	case c == ',':
		return s.comma()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	s.at++ // white space, a colon, a letter of true, false or null
	return nil
}

func (s *scanner) top() *frame { return &s.open[len(s.open)-1] }

func (s *scanner) enter(object bool) error {
	if len(s.open) == maxDepth {
		return fmt.Errorf("%w: nested more than %d deep", ErrNotJSON, maxDepth)
	}
	if len(s.open) > 0 && s.top().isData() { // encoding/json would take an array of numbers
		return fmt.Errorf("%w: data: not a string", ErrInvalid)
	}
	f := frame{place: s.placeWithin(object), object: object, nameNext: object, first: len(s.names)}
	s.open = append(s.open, f)
	s.at++
	return nil
}

// placeWithin is the place of an object or array that begins here.
func (s *scanner) placeWithin(object bool) place {
	if len(s.open) == 0 {
		return document
	}
	switch f := s.top(); {
	case f.place == descriptorList && object:
		return descriptor
	case f.place != document:
		return elsewhere
	case object && (f.member == "config" || f.member == "subject"):
		return descriptor
	case !object && (f.member == "layers" || f.member == "blobs" || f.member == "manifests"):
		return descriptorList
	}
	return elsewhere
}

func (s *scanner) comma() error {
	f := s.top()
	s.endValue()
	f.nameNext = f.object
	f.commas++
	s.at++
	if !f.object && f.commas == maxElements {
		return fmt.Errorf("%w: an array of more than %d elements", ErrInvalid, maxElements)
	}
	return nil
}

// leave closes an object or array, and looks for names that an object has twice.
func (s *scanner) leave() error {
	s.endValue()
	names := s.names[s.top().first:]
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return fmt.Errorf("%w: the name %.100q stands twice in an object", ErrInvalid, names[i])
		}
	}
	s.names = s.names[:s.top().first]
	s.open = s.open[:len(s.open)-1]
	s.at++
	return nil
}

// beginValue notes that the value of a member of the document comes next.
func (s *scanner) beginValue(member string) {
	switch {
	case member == "schemaVersion":
		s.value = &s.header.schemaVersion
	case member == "mediaType":
		s.value = &s.header.ownType
	case strings.EqualFold(member, "signatures"): // as encoding/json reads it
		s.value = &s.header.signatures
	}
	s.from = s.at
}

// endValue takes the value that ends here, if it is one of the header.
func (s *scanner) endValue() {
	if s.value != nil && len(s.open) == 1 {
		*s.value = bytes.Trim(s.body[s.from:s.at], ": \t\r\n")
		s.value = nil
	}
}

func (s *scanner) str() error {
	start := s.at
	for s.at++; s.body[s.at] != '"'; s.at++ {
		if s.body[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	if f := s.top(); f.nameNext {
		f.nameNext = false
		return s.name(f, s.body[start:s.at])
	} else if f.isData() {
		return unbroken(s.body[start:s.at])
	}
	return nil
}

// unbroken refuses a line break in embedded data: RFC 4648, section 3.3, wants
// none, but encoding/base64 passes over it and other readers do not.
func unbroken(quoted []byte) error {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return nil // JSON has line breaks as escapes alone
	}
	var plain string
	if err := json.Unmarshal(quoted, &plain); err != nil {
		return fmt.Errorf("%w: %w", ErrNotJSON, err)
	}
	if strings.ContainsAny(plain, "\r\n") {
		return fmt.Errorf("%w: data: a line break in base64", ErrInvalid)
	}
	return nil
}

// name takes a member's name, given with its quotes.
func (s *scanner) name(f *frame, quoted []byte) error {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if err := json.Unmarshal(quoted, &plain); err != nil {
			return fmt.Errorf("%w: %w", ErrNotJSON, err)
		}
		name = []byte(plain)
	}
	s.names = append(s.names, name)
	f.member = ""
	if f.place != document && f.place != descriptor {
		return nil
	}
	known, err := f.place.known(name)
	if err != nil {
		return err
	}
	if f.member = known; known == "" {
		f.member = string(name)
	}
	if f.place == document {
		if known != "" {
			s.has[known] = true
		}
		s.beginValue(f.member)
	}
	return nil
}

// known is the known name that a name is, "" if it is none.
func (p place) known(name []byte) (string, error) {
	for _, known := range knownNames[p] {
		if string(name) == known {
			return known, nil
		}
	}
	for _, known := range knownNames[p] {
		if bytes.EqualFold(name, []byte(known)) {
			return "", fmt.Errorf("%w: the name %q must be written %q", ErrInvalid, name, known)
		}
	}
	return "", nil
}

// fewDigits are less than a number has that is out of range without an exponent.
const fewDigits = 300

// number refuses what a float64 does not hold: readers make of it what they
// like.
func (s *scanner) number() error {
	start := s.at
	for s.at++; s.at < len(s.body) && isNumeric(s.body[s.at]); {
		s.at++
	}
	if text := s.body[start:s.at]; len(text) < fewDigits && bytes.IndexByte(text, 'e') < 0 && bytes.IndexByte(text, 'E') < 0 {
		return nil // no exponent: far from what a float64 does not hold
	}
	if _, err := strconv.ParseFloat(string(s.body[start:s.at]), 64); err != nil {
		return fmt.Errorf("%w: the number %.20s… is out of range", ErrInvalid, s.body[start:s.at])
	}
	return nil
}

func isNumeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}
