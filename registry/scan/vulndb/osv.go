package vulndb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// osvRecord is what is read of a record in OSV's form
// (https://ossf.github.io/osv-schema/).
type osvRecord struct {
	ID         string         `json:"id"`
	Modified   time.Time      `json:"modified"`
	Published  time.Time      `json:"published"`
	Withdrawn  string         `json:"withdrawn"`
	Aliases    []string       `json:"aliases"`
	Upstream   []string       `json:"upstream"`
	Related    []string       `json:"related"`
	Summary    string         `json:"summary"`
	Details    string         `json:"details"`
	Severity   []osvSeverity  `json:"severity"`
	Affected   []osvAffected  `json:"affected"`
	References []osvReference `json:"references"`
	Database   osvSpecific    `json:"database_specific"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvReference struct {
	URL string `json:"url"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity  []osvSeverity `json:"severity"`
	Ranges    []osvRange    `json:"ranges"`
	Versions  []string      `json:"versions"`
	Ecosystem osvSpecific   `json:"ecosystem_specific"`
	Database  osvSpecific   `json:"database_specific"`
}

type osvRange struct {
	Type   string  `json:"type"`
	Events []event `json:"events"`
}

// osvSpecific is what databases and ecosystems add, of which the words for severity are
// read. Its form is each one's own, so what has another one is as if it were not there.
type osvSpecific struct {
	Severity, Urgency, UbuntuPriority, Informational string
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *osvSpecific) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return nil
	}
	for name, into := range map[string]*string{
		"severity": &s.Severity, "urgency": &s.Urgency, "ubuntu_priority": &s.UbuntuPriority, "informational": &s.Informational,
	} {
		if json.Unmarshal(fields[name], into) != nil {
			*into = ""
		}
	}
	return nil
}

// Bounds of what is kept of a record, which is written by others.
const (
	maxID          = 128
	maxName        = 512
	maxVersion     = 512
	maxIDs         = 200
	maxTitle       = 300
	maxDescription = 2000
	maxReferences  = 12
	maxURL         = 500
	maxWord        = 40
	maxVector      = 200
)

// maxObjects bounds the objects of a record: a short one that has many would take much
// memory.
const maxObjects = 300_000

var errTooMany = fmt.Errorf("it has more than %d objects", maxObjects)

var errNoID = errors.New("it has no id that can be used")

// parseRecord reads a record.
func parseRecord(data []byte) (*osvRecord, error) {
	if bytes.Count(data, []byte("{")) > maxObjects {
		return nil, errTooMany
	}
	var r osvRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, reasonOf(err)
	}
	if !isWord(r.ID, maxID) {
		return nil, errNoID
	}
	return &r, nil
}

// reasonOf is an error of encoding/json without what it would quote of its input.
func reasonOf(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("its field %.60q is a %.20s", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		return fmt.Errorf("it is no JSON from byte %d on", syntax.Offset)
	}
	return errors.New("it has a value of a wrong form")
}

// isWord says whether a text is short, and of characters that can be seen.
func isWord(s string, most int) bool {
	return s != "" && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// isName says whether a text can be the name of a package or an ecosystem, which may
// have spaces.
func isName(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// cut is the beginning of a text, of at most so many bytes of whole characters.
func cut(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	end := most - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
