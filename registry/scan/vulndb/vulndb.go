// Package vulndb has the vulnerability database: it compiles the records of OSV, as
// an operator supplies them, into one file, and says which packages of an image are
// affected by any of them.
//
// # What is matched
//
// A package is looked up by its ecosystem, with the release where there are releases
// ("Debian:12", "Ubuntu:22.04:LTS", "Alpine:v3.20"), and by its name, both as OSV spells
// them. A record is in force if its list of versions has the package's, or if one of
// its ranges does, whose events are evaluated in the order of their versions. Ranges of
// commits are not looked at, nor is a record that was withdrawn. Versions are compared
// by the rules of the ecosystem. One that no rule can compare, of the package or of the
// record, is a [scan.Problem]: it is never taken for "not affected". A release of which
// the database has nothing is one too.
//
// # What a finding is
//
// People ask about CVEs, not about who wrote an advisory of them, so a finding is one
// vulnerability of one package, whatever number of records tell of it. Records are of one
// vulnerability where they name the same CVE, or one names the other as its alias: the
// record of a distribution about a CVE and its notice that fixes the CVE, GitHub's
// advisory and that of Go. An advisory about several CVEs, such as DSA-5417-1, is a
// finding for each. Of several records that one leads which speaks most precisely of what
// is installed: the distribution's own of the one CVE, then its notices, then the
// database of a language, then GitHub's and all others. The leading record gives the
// finding its ID; what it leaves open, the title, the severity, the version with the fix,
// is the next one's, and the ids of all are in Related. No record hides another: if only
// one of two says that a package is affected, that is a finding.
//
// # The severity
//
// The distribution's word comes first: Debian's urgency, of which "unimportant" is
// Informational, and Ubuntu's priority, of which "negligible" is. Then comes the advisory's
// word, then the newest score by CVSS. Alpine gives no word. Without any it is Undefined.
package vulndb

import (
	"errors"
	"time"
)

// Errors of a file that is no database that can be used.
var (
	// ErrIncomplete says that a file was not written to its end.
	ErrIncomplete = errors.New("vulndb: the vulnerability database is not complete")
	// ErrForeign says that a file is something else.
	ErrForeign = errors.New("vulndb: the file is no vulnerability database")
	// ErrFormat says that a file is of an older or a newer version of this program.
	ErrFormat = errors.New("vulndb: the vulnerability database is of another format")
	// ErrDamaged says that a file was complete once and is not as it was written.
	ErrDamaged = errors.New("vulndb: the vulnerability database is damaged")
)

// Info is what a database says of itself.
type Info struct {
	// Compiled is when, and AsOf how old the records are: the time of the oldest zip.
	Compiled, AsOf time.Time
	// Newest is the date of the newest record.
	Newest time.Time
	// Records are those that are matched, Withdrawn those that are not for they were
	// taken back.
	Records, Withdrawn int
	// Unreadable counts what is no record of OSV or could not be read, and Samples names
	// some of that.
	Unreadable int
	Samples    []Sample    `json:",omitempty"`
	Ecosystems []Ecosystem // in order of name
	// Sum tells one database from another.
	Sum string `json:",omitempty"`
}

// Sample is a record that could not be read.
type Sample struct {
	Zip, Name string
	Reason    string
}

// Ecosystem is one of which a database has records: with the release, where there are
// releases.
type Ecosystem struct {
	Name    string
	Records int
}

// has says whether there is any record of an ecosystem.
func (i Info) has(ecosystem string) bool {
	for _, e := range i.Ecosystems {
		if e.Name == ecosystem {
			return e.Records > 0
		}
	}
	return false
}
