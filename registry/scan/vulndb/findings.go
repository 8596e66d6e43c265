package vulndb

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// languages are the ecosystems that are not distributions.
var languages = []string{
	"Bioconductor", "ConanCenter", "CRAN", "crates.io", "GHC", "GitHub Actions", "Go", "Hackage", "Hex", "Julia", "Maven", "npm",
	"NuGet", "Packagist", "Pub", "PyPI", "RubyGems", "SwiftURL",
}

// Ranks of advisories, that first which leads.
const (
	ownOfCVE  = iota // a distribution's, of one CVE
	ownNotice        // another one of a distribution
	ofLanguage
	others // GitHub's, and the CVE's own
)

var cveID = regexp.MustCompile(`^(?:[A-Z]+-)?(CVE-[0-9]{4}-[0-9]{4,19})$`)

// cveOf is the CVE that an id is of, "" if it is of none. Distributions put their name
// before it: "DEBIAN-CVE-2024-5535".
func cveOf(id string) string {
	if m := cveID.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return ""
}

func rankOf(ecosystem, id string) int {
	language := slices.Contains(languages, family(ecosystem))
	switch {
	case !language && cveOf(id) != "":
		return ownOfCVE
	case !language:
		return ownNotice
	case strings.HasPrefix(id, "GHSA-") || strings.HasPrefix(id, "CVE-"):
		return others
	}
	return ofLanguage
}

// names are the ids by which a hit is known. There are several lists where it is of
// several vulnerabilities.
func (h *hit) names() [][]string {
	r := &h.record
	same := slices.Concat([]string{r.ID}, r.Aliases)
	own, other := cves(same), cves(r.Upstream)
	if h.rank == ownNotice {
		// Those of distributions once listed what they fix as aliases, and some do as
		// related.
		own, other = nil, cves(slices.Concat(r.Upstream, r.Aliases))
		if len(other) == 0 {
			other = cves(r.Related)
		}
	}
	switch {
	case len(own) > 0 || len(other) == 0:
		return [][]string{slices.Concat(same, own)}
	case len(other) == 1:
		return [][]string{slices.Concat(same, other)}
	}
	var list [][]string
	for _, id := range other {
		list = append(list, []string{id})
	}
	return list
}

// cves are the CVEs of a list of ids, in order, each once.
func cves(list []string) (out []string) {
	for _, id := range list {
		if id = cveOf(id); id != "" {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// vulnerability is what several hits may be of.
type vulnerability struct {
	names map[string]bool
	hits  []*hit
}

// gather puts hits together that are of one vulnerability.
func gather(hits []hit) (list []*vulnerability) {
	byName := map[string]*vulnerability{}
	for i := range hits {
		for _, names := range hits[i].names() {
			v := &vulnerability{map[string]bool{}, []*hit{&hits[i]}}
			for _, name := range names {
				v.names[name] = true
				if known := byName[name]; known != nil && known != v {
					v = known.join(v, byName)
				}
			}
			for name := range v.names {
				byName[name] = v
			}
			list = append(list, v)
		}
	}
	// Those that were joined stand there several times, or have become empty.
	seen := map[*vulnerability]bool{}
	return slices.DeleteFunc(list, func(v *vulnerability) bool {
		gone := len(v.hits) == 0 || seen[v]
		seen[v] = true
		return gone
	})
}

// join puts another vulnerability into one.
func (v *vulnerability) join(w *vulnerability, byName map[string]*vulnerability) *vulnerability {
	for name := range w.names {
		v.names[name] = true
		byName[name] = v
	}
	v.hits = append(v.hits, w.hits...)
	w.hits = nil
	return v
}

// findingsOf are the findings of the advisories that affect a package, which is to be
// put in.
func findingsOf(ecosystem string, hits []hit) (list []scan.Finding) {
	for _, v := range gather(hits) {
		list = append(list, v.finding(ecosystem))
	}
	return list
}

// finding makes one of all that is said of a vulnerability.
func (v *vulnerability) finding(ecosystem string) scan.Finding {
	slices.SortStableFunc(v.hits, func(a, b *hit) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.record.ID, b.record.ID))
	})
	v.hits = slices.CompactFunc(v.hits, func(a, b *hit) bool { return a.record.ID == b.record.ID })
	lead := v.hits[0]
	f := scan.Finding{ID: lead.record.ID, Name: v.name(lead.record.ID), Severity: scan.Undefined}
	for _, h := range v.hits {
		r := &h.record
		f.Title, f.Description = cmp.Or(f.Title, r.Title), cmp.Or(f.Description, r.Description)
		f.FixedIn, f.VendorSeverity = cmp.Or(f.FixedIn, h.fixedIn), cmp.Or(f.VendorSeverity, h.severity)
		f.Scores = append(append(f.Scores, h.entry.Scores...), r.Scores...)
		for _, link := range r.References {
			if len(f.References) < maxReferences && !slices.Contains(f.References, link) {
				f.References = append(f.References, link)
			}
		}
		f.Published, f.Modified = earlier(f.Published, r.Published), later(f.Modified, r.Modified)
		v.names[r.ID] = true
	}
	f.Scores = orderScores(f.Scores)
	if s, ok := severityOf(f.VendorSeverity); ok {
		f.Severity = s
	} else if len(f.Scores) > 0 {
		f.Severity = ofScore(f.Scores[0])
	}
	f.Related = v.related(f)
	f.Source, f.URI = origin(ecosystem, f.ID)
	return f
}

// name is that of the CVE, the first if there are several, or else the advisory's.
func (v *vulnerability) name(id string) string {
	if list := cves(slices.Collect(maps.Keys(v.names))); len(list) > 0 {
		return list[0]
	}
	return id
}

// related are the other ids of a finding.
func (v *vulnerability) related(f scan.Finding) (list []string) {
	for _, id := range slices.Sorted(maps.Keys(v.names)) {
		if id != f.ID && id != f.Name {
			list = append(list, id)
		}
	}
	return list
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
