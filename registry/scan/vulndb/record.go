package vulndb

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// record is what a database keeps of an advisory, beside what packages it affects. Its
// names are short for there are many.
type record struct {
	ID          string       `json:"i"`
	Aliases     []string     `json:"a,omitempty"`
	Upstream    []string     `json:"u,omitempty"`
	Related     []string     `json:"r,omitempty"`
	Title       string       `json:"t,omitempty"`
	Description string       `json:"d,omitempty"`
	Word        string       `json:"w,omitempty"` // the advisory's for its severity
	Scores      []scan.Score `json:"s,omitempty"`
	References  []string     `json:"l,omitempty"`
	Published   time.Time    `json:"p,omitzero"`
	Modified    time.Time    `json:"m,omitzero"`
}

// affected is what an advisory says of one package.
type affected struct {
	Record   ref          `json:"r"`
	Ranges   [][]event    `json:"e,omitempty"`
	Versions []string     `json:"v,omitempty"`
	Word     string       `json:"w,omitempty"` // the distribution's for the severity
	Scores   []scan.Score `json:"s,omitempty"` // where they are others than the record's
}

// ref is where a record lies: in which block, and at which place there.
type ref struct {
	Block uint32 `json:"b"`
	Place int    `json:"p"`
}

// event is a version at which something changes. One of the fields is set.
type event struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

// distil is what is kept of a record.
func distil(r *osvRecord) record {
	out := record{
		ID: r.ID, Aliases: ids(r.Aliases), Upstream: ids(r.Upstream), Related: ids(r.Related),
		Title: cut(strings.TrimSpace(r.Summary), maxTitle), Description: cut(strings.TrimSpace(r.Details), maxDescription),
		Word: wordOf(r.Severity, r.Database), Scores: scoresOf(r.Severity),
		Published: r.Published.UTC(), Modified: r.Modified.UTC(),
	}
	for _, link := range r.References {
		if len(out.References) < maxReferences && isWord(link.URL, maxURL) && !slices.Contains(out.References, link.URL) {
			out.References = append(out.References, link.URL)
		}
	}
	return out
}

// ids are those of a list that can be some, in order, each once.
func ids(list []string) (out []string) {
	for _, id := range list {
		if isWord(id, maxID) && len(out) < maxIDs {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Reasons why it cannot be told which versions are affected.
var (
	errNoVersions = errors.New("it says of no version whether it is affected")
	errBadVersion = errors.New("it has a version that is none")
	errBadPackage = errors.New("it affects a package without a name")
)

// affectedOf is what is kept of one of the packages that a record affects.
func affectedOf(a *osvAffected) (out affected, err error) {
	out = affected{Word: wordOf(a.Severity, a.Ecosystem, a.Database), Scores: scoresOf(a.Severity)}
	for _, v := range a.Versions {
		if isVersion(v) { // no package has one that is none
			out.Versions = append(out.Versions, v)
		}
	}
	for _, r := range a.Ranges {
		if r.Type != "ECOSYSTEM" && r.Type != "SEMVER" || len(r.Events) == 0 {
			continue
		}
		var events []event
		for _, e := range r.Events {
			single := e.split()
			if len(single) == 0 || slices.ContainsFunc(single, func(e event) bool { return !isVersion(e.version()) }) {
				return out, errBadVersion
			}
			events = append(events, single...)
		}
		out.Ranges = append(out.Ranges, events)
	}
	if len(out.Ranges) == 0 && len(out.Versions) == 0 {
		return out, errNoVersions
	}
	return out, nil
}

func isVersion(s string) bool { return isName(s) && len(s) <= maxVersion }

// version is that of an event of which one field is set.
func (e event) version() string { return cmp.Or(e.Introduced, e.Fixed, e.LastAffected, e.Limit) }

// split makes events of which one field is set of one as older records have them, which
// say in one when something begins and when it ends.
func (e event) split() (list []event) {
	for _, one := range []event{{Introduced: e.Introduced}, {Fixed: e.Fixed}, {LastAffected: e.LastAffected}, {Limit: e.Limit}} {
		if one != (event{}) {
			list = append(list, one)
		}
	}
	return list
}
