package vulndb

import (
	"cmp"
	"context"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/registry/scan"
)

// Match looks for the packages of an inventory in the database. The findings stand in
// order, no two alike. What could not be compared, and the ecosystems of which the
// database has nothing, are problems; a finding is one all the same. An error means that
// nothing is known.
func (db *DB) Match(ctx context.Context, inv scan.Inventory) (findings []scan.Finding, problems []scan.Problem, err error) {
	err = guarded(func() error {
		return db.db.View(func(tx *bolt.Tx) error {
			m := &matcher{db: db, tx: tx, done: map[what][]scan.Finding{}}
			m.wanting(inv)
			for _, p := range inv.Packages {
				if err := ctx.Err(); err != nil {
					return err
				}
				list, err := m.find(p)
				if err != nil {
					return err
				}
				for _, f := range list {
					f.Package = p
					findings = append(findings, f)
				}
			}
			problems = m.problems
			return nil
		})
	})
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(findings, scan.Finding.Compare)
	return slices.CompactFunc(findings, func(a, b scan.Finding) bool { return a.Compare(b) == 0 }), problems, nil
}

// what is a package, wherever it lies.
type what struct{ ecosystem, name, version string }

// matcher looks for the packages of one inventory.
type matcher struct {
	db       *DB
	tx       *bolt.Tx
	done     map[what][]scan.Finding // without the package
	problems []scan.Problem
}

// wanting notes the ecosystems of which the database has nothing.
func (m *matcher) wanting(inv scan.Inventory) {
	var all []string
	if inv.System.Ecosystem != "" {
		all = append(all, inv.System.Ecosystem)
	}
	for _, p := range inv.Packages {
		all = append(all, p.Ecosystem)
	}
	slices.Sort(all)
	for _, e := range slices.Compact(all) {
		if !m.db.info.has(e) {
			m.problem(scan.NoData, "The vulnerability database has nothing of %s", shown(e))
		}
	}
}

func (m *matcher) problem(kind scan.ProblemKind, format string, args ...any) {
	m.problems = append(m.problems, *scan.NewProblem(kind, format, args...))
}

// shown is a text of an image or a record as people may see it.
func shown(s string) string {
	return cut(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, s), maxID)
}

// hit is an advisory that affects a package.
type hit struct {
	record   record
	entry    *affected // that which says so
	rank     int
	fixedIn  string
	severity string // the word for it
}

// find says what a package is affected by.
func (m *matcher) find(p scan.Package) ([]scan.Finding, error) {
	key := what{p.Ecosystem, normalise(p.Ecosystem, p.Name), p.Version}
	if list, ok := m.done[key]; ok {
		return list, nil
	}
	told, order, err := m.told(key)
	if err != nil {
		return nil, err
	}
	text := installed(key.ecosystem, key.name, key.version)
	v, unparsed := parseVersion(key.ecosystem, text)
	var hits []hit
	for _, at := range order {
		h, err := m.judge(key, text, v, unparsed, at, told[at])
		if err != nil {
			return nil, err
		}
		if h != nil {
			hits = append(hits, *h)
		}
	}
	list := findingsOf(key.ecosystem, hits)
	m.done[key] = list
	return list, nil
}

// told is what the database says of a package, by record, and the records in order.
func (m *matcher) told(key what) (map[ref][]*affected, []ref, error) {
	told := map[ref][]*affected{}
	var order []ref
	gather := func(a *affected) error {
		if told[a.Record] == nil {
			order = append(order, a.Record)
		}
		told[a.Record] = append(told[a.Record], a)
		return nil
	}
	err := m.db.affecting(m.tx, key.ecosystem, key.name, gather)
	// An advisory without a release is of all of them.
	if whole := family(key.ecosystem); err == nil && whole != key.ecosystem {
		err = m.db.affecting(m.tx, whole, key.name, gather)
	}
	slices.SortFunc(order, func(a, b ref) int { return cmp.Or(cmp.Compare(a.Block, b.Block), cmp.Compare(a.Place, b.Place)) })
	return told, order, err
}

// judge says whether an advisory affects a package; nil means that it does not.
func (m *matcher) judge(key what, text string, v version, unparsed error, at ref, list []*affected) (*hit, error) {
	var failed verdict
	for _, a := range list {
		out := a.judge(text, v, unparsed)
		if out.affected {
			return m.hit(key, v, unparsed, at, a, list)
		}
		if out.failed != nil && failed.failed == nil {
			failed = out
		}
	}
	if failed.failed == nil {
		return nil, nil
	}
	r, err := m.db.record(m.tx, at)
	if err != nil {
		return nil, err
	}
	if unparsed != nil {
		m.problem(scan.Incomparable, "The version %q of the package %s cannot be compared with those of %s", shown(text), shown(key.name), r.ID)
	} else {
		m.problem(scan.Incomparable, "The version %q of the package %s cannot be compared with %q, of %s", shown(text), shown(key.name), shown(failed.wrong), r.ID)
	}
	return nil, nil
}

func (m *matcher) hit(key what, v version, unparsed error, at ref, a *affected, list []*affected) (*hit, error) {
	r, err := m.db.record(m.tx, at)
	if err != nil {
		return nil, err
	}
	h := &hit{record: r, entry: a, rank: rankOf(key.ecosystem, r.ID), severity: cmp.Or(a.Word, r.Word)}
	if unparsed == nil {
		h.fixedIn = fixedIn(v, list)
	}
	return h, nil
}
