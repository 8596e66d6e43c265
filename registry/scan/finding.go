package scan

import (
	"cmp"
	"time"
)

// Severity is how bad a finding is.
type Severity string

// The severities, as ECR names them.
const (
	Critical      Severity = "CRITICAL"
	High          Severity = "HIGH"
	Medium        Severity = "MEDIUM"
	Low           Severity = "LOW"
	Informational Severity = "INFORMATIONAL"
	Undefined     Severity = "UNDEFINED"
)

// Severities are all of them, the worst first and Undefined last.
func Severities() []Severity {
	return []Severity{Critical, High, Medium, Low, Informational, Undefined}
}

func (s Severity) rank() int {
	for i, one := range Severities() {
		if s == one {
			return i
		}
	}
	return len(Severities())
}

// Finding is a vulnerability that a package of an image has.
type Finding struct {
	ID string // of the advisory, such as "DSA-5417-1" or "GHSA-…"
	// Name is the CVE's id if there is one, else the advisory's.
	Name        string
	Title       string `json:",omitempty"`
	Description string `json:",omitempty"`
	URI         string `json:",omitempty"` // where to read of it
	// Severity is by the distribution's word, then the advisory's, then the score.
	Severity Severity
	// VendorSeverity is the word that was given, as it was; "" if none was.
	VendorSeverity string   `json:",omitempty"`
	Scores         []Score  `json:",omitempty"` // the newest version of CVSS first
	Package        Package  // that has it
	FixedIn        string   `json:",omitempty"` // the lowest version without it, "" if there is none
	Related        []string `json:",omitempty"` // other ids of it, in order
	References     []string `json:",omitempty"` // URLs
	// Source is who keeps the record, such as "Debian" or "GitHub".
	Source              string    `json:",omitempty"`
	Published, Modified time.Time `json:",omitzero"`
}

// Score is a CVSS score.
type Score struct {
	Version string  // of CVSS, such as "3.1"
	Vector  string  // such as "CVSS:3.1/AV:N/…"
	Base    float64 // 0.0 to 10.0
}

// Compare orders findings: the worst severity first, then by name, advisory, ecosystem,
// package, version and path.
func (f Finding) Compare(g Finding) int {
	p, q := f.Package, g.Package
	return cmp.Or(
		cmp.Compare(f.Severity.rank(), g.Severity.rank()), cmp.Compare(f.Name, g.Name), cmp.Compare(f.ID, g.ID),
		cmp.Compare(p.Ecosystem, q.Ecosystem), cmp.Compare(p.Name, q.Name), cmp.Compare(p.Version, q.Version), cmp.Compare(p.Path, q.Path),
	)
}

// Count counts findings by severity. Severities without any are left out.
func Count(list []Finding) map[Severity]int {
	counts := map[Severity]int{}
	for _, f := range list {
		counts[f.Severity]++
	}
	return counts
}
