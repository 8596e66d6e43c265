package scan_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
)

// TestCompare: the order of findings says all that tells two of them apart, and the
// worst come first.
func TestCompare(t *testing.T) {
	of := func(p scan.Package) scan.Finding {
		return scan.Finding{Severity: scan.Low, Name: "b", ID: "b", Package: p}
	}
	want := []scan.Finding{
		{Severity: scan.Critical, Name: "z"},
		{Severity: scan.High, Name: "a"},
		{Severity: scan.Medium},
		{Severity: scan.Low, Name: "a", ID: "z"},
		{Severity: scan.Low, Name: "b", ID: "a"},
		of(scan.Package{Ecosystem: "Go"}),
		of(scan.Package{Ecosystem: "npm", Name: "a", Version: "2"}),
		of(scan.Package{Ecosystem: "npm", Name: "b", Version: "1", Path: "z"}),
		of(scan.Package{Ecosystem: "npm", Name: "b", Version: "2", Path: "a"}),
		of(scan.Package{Ecosystem: "npm", Name: "b", Version: "2", Path: "b"}),
		{Severity: scan.Informational},
		{Severity: scan.Undefined},
		{Severity: "UNHEARD_OF"},
	}
	got := slices.Clone(want)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, scan.Finding.Compare)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(digest.Digest{})); diff != "" {
		t.Errorf("in order (-want +got):\n%s", diff)
	}
	for i := range want {
		for j := range want {
			if c := want[i].Compare(want[j]); (c == 0) != (i == j) {
				t.Errorf("%+v and %+v compare as %d", want[i], want[j], c)
			}
		}
	}
}

func TestCount(t *testing.T) {
	got := scan.Count([]scan.Finding{{Severity: scan.High}, {Severity: scan.Low}, {Severity: scan.High}})
	if diff := cmp.Diff(map[scan.Severity]int{scan.High: 2, scan.Low: 1}, got); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
