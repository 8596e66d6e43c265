package vulndb

import (
	"slices"
	"strings"
)

// verdict is what an advisory comes to for a version.
type verdict struct {
	affected bool
	// wrong is a version that could not be compared, because of failed. Then it is not
	// known whether the version is affected, unless it is.
	wrong  string
	failed error
}

// judge says whether a version is affected. The version is as the package has it, and
// parsed if that could be done.
func (a *affected) judge(text string, v version, unparsed error) (out verdict) {
	if a.lists(text) {
		return verdict{affected: true}
	}
	if len(a.Ranges) == 0 {
		return a.judgeList(v, unparsed)
	}
	if unparsed != nil {
		// All versions from the first on may be the whole of a range.
		if slices.ContainsFunc(a.Ranges, always) {
			return verdict{affected: true}
		}
		return verdict{wrong: text, failed: unparsed}
	}
	for _, events := range a.Ranges {
		in, wrong, err := within(v, events)
		if in && err == nil {
			return verdict{affected: true}
		}
		if err != nil && out.failed == nil {
			out.wrong, out.failed = wrong, err
		}
	}
	return out
}

// lists says whether the list of versions has one, letter by letter.
func (a *affected) lists(text string) bool {
	bare := strings.TrimPrefix(text, "v")
	return slices.ContainsFunc(a.Versions, func(v string) bool { return v == text || strings.TrimPrefix(v, "v") == bare })
}

// judgeList looks for another spelling of a version in the list, which is all there is.
func (a *affected) judgeList(v version, unparsed error) verdict {
	if unparsed != nil {
		return verdict{} // it is in no list of versions by its letters, and has no other spelling
	}
	for _, text := range a.Versions {
		if w, err := parseVersion(v.ecosystem, text); err == nil {
			if order, err := v.compare(w); err == nil && order == 0 {
				return verdict{affected: true}
			}
		}
	}
	return verdict{}
}

// always says whether a range has every version there is.
func always(events []event) bool {
	return !slices.ContainsFunc(events, func(e event) bool { return e.Introduced != "0" && e.Limit != "*" })
}

// within says whether a version is in a range: whether the last thing that happened up
// to it is that the vulnerability was introduced (OSV's schema, "Evaluation"). Of two
// events at one version that one is the later which stands later in the record.
func within(v version, events []event) (in bool, wrong string, err error) {
	var last version
	var found, limited, below bool
	for _, e := range events {
		if e.Limit == "*" {
			limited, below = true, true
			continue
		}
		if e.Introduced == "0" {
			if !found {
				found, in = true, true
				last = version{}
			}
			continue
		}
		w, err := parseVersion(v.ecosystem, e.version())
		if err != nil {
			return false, e.version(), err
		}
		order, err := v.compare(w)
		if err != nil {
			return false, e.version(), err
		}
		if e.Limit != "" {
			limited, below = true, below || order < 0
			continue
		}
		if order < 0 || e.LastAffected != "" && order == 0 {
			continue // it happens above the version
		}
		if found && last.parsed != nil {
			if order, err = w.compare(last); err != nil {
				return false, e.version(), err
			}
			if order < 0 {
				continue
			}
		}
		found, last, in = true, w, e.Introduced != ""
	}
	return in && (!limited || below), "", nil
}

// fixedIn is the lowest version above one which is fixed, as these advisories of one
// package have it; "" if there is none.
func fixedIn(v version, list []*affected) (fixed string) {
	var best version
	for _, a := range list {
		for _, e := range slices.Concat(a.Ranges...) {
			if e.Fixed == "" || e.Fixed == fixed {
				continue
			}
			w, err := parseVersion(v.ecosystem, e.Fixed)
			if err != nil || !before(v, w) || best.parsed != nil && !before(w, best) || stillAffected(e.Fixed, w, list) {
				continue
			}
			best, fixed = w, e.Fixed
		}
	}
	return fixed
}

func before(v, w version) bool {
	order, err := v.compare(w)
	return err == nil && order < 0
}

// stillAffected says whether a version with one fix is affected by another range.
func stillAffected(text string, v version, list []*affected) bool {
	return slices.ContainsFunc(list, func(a *affected) bool { return a.judge(text, v, nil).affected })
}
