package vulndb

import (
	"cmp"
	"slices"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/seed-78150930/berth/registry/scan"
)

// words are those that advisories use for a severity, in lower case.
var words = map[string]scan.Severity{
	"critical": scan.Critical,
	"high":     scan.High, "important": scan.High,
	"medium": scan.Medium, "moderate": scan.Medium,
	"low":         scan.Low,
	"unimportant": scan.Informational, // Debian's urgency
	"negligible":  scan.Informational, // Ubuntu's priority
	"none":        scan.Informational, "informational": scan.Informational, "info": scan.Informational,
	// What RustSec tells of without calling it a vulnerability.
	"unmaintained": scan.Informational, "notice": scan.Informational,
}

// severityOf is the severity that a word stands for. Words such as Debian's "not yet
// assigned" and "end-of-life" stand for none.
func severityOf(word string) (scan.Severity, bool) {
	s, ok := words[strings.ToLower(strings.TrimRight(word, "*"))] // Debian once marked an urgency that it had guessed so
	return s, ok
}

// wordOf is the first word for a severity that stands for one: of an entry of the list that
// is no score, such as Ubuntu's, or of what a database or ecosystem adds.
func wordOf(list []osvSeverity, more ...osvSpecific) string {
	var said []string
	for _, s := range list {
		if !strings.HasPrefix(s.Type, "CVSS") {
			said = append(said, s.Score)
		}
	}
	for _, s := range more {
		said = append(said, s.Urgency, s.UbuntuPriority, s.Severity, s.Informational)
	}
	for _, word := range said {
		if _, ok := severityOf(word); ok && len(word) <= maxWord {
			return word
		}
	}
	return ""
}

// ofScore is what a score stands for: by the scales of CVSS 3 and 4, and for CVSS 2,
// which has none, by that of the NVD.
func ofScore(s scan.Score) scan.Severity {
	two := strings.HasPrefix(s.Version, "2")
	switch {
	case s.Base >= 9 && !two:
		return scan.Critical
	case s.Base >= 7:
		return scan.High
	case s.Base >= 4:
		return scan.Medium
	case s.Base > 0:
		return scan.Low
	}
	return scan.Informational
}

// scoresOf are the scores of a list that can be read, the newest version of CVSS first.
func scoresOf(list []osvSeverity) (out []scan.Score) {
	for _, s := range list {
		if strings.HasPrefix(s.Type, "CVSS") && len(s.Score) <= maxVector {
			if score, ok := scoreOf(s.Score); ok {
				out = append(out, score)
			}
		}
	}
	return orderScores(out)
}

func orderScores(list []scan.Score) []scan.Score {
	slices.SortFunc(list, func(a, b scan.Score) int {
		return cmp.Or(cmp.Compare(b.Version, a.Version), cmp.Compare(b.Base, a.Base), cmp.Compare(a.Vector, b.Vector))
	})
	return slices.Compact(list)
}

// scoreOf reads a vector.
func scoreOf(vector string) (s scan.Score, ok bool) {
	// The library is held to vectors that are well made; others may surprise it.
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	s.Vector = vector
	var err error
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		s.Version = "4.0"
		var v *gocvss40.CVSS40
		if v, err = gocvss40.ParseVector(vector); err == nil {
			s.Base = v.Score()
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		s.Version = "3.1"
		var v *gocvss31.CVSS31
		if v, err = gocvss31.ParseVector(vector); err == nil {
			s.Base = v.BaseScore()
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		s.Version = "3.0"
		var v *gocvss30.CVSS30
		if v, err = gocvss30.ParseVector(vector); err == nil {
			s.Base = v.BaseScore()
		}
	default:
		s.Version = "2.0"
		var v *gocvss20.CVSS20
		if v, err = gocvss20.ParseVector(vector); err == nil {
			s.Base = v.BaseScore()
		}
	}
	return s, err == nil
}
