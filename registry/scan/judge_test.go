package scan_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed-78150930/berth/registry/scan"
)

// TestJudge: a scan is finished only if nothing stood in its way, and under Basic
// every other end is FAILED.
func TestJudge(t *testing.T) {
	problem := func(kind scan.ProblemKind) scan.Problem { return *scan.NewProblem(kind, "no %s", kind) }
	unsupported := "UnsupportedImageError: The operating system and/or package manager are not supported."
	tests := []struct {
		problems []scan.Problem
		enhanced scan.Status
		text     string
	}{
		{[]scan.Problem{problem(scan.UnknownSystem)}, scan.Unsupported, unsupported},
		{[]scan.Problem{problem(scan.NoDatabase)}, scan.FindingsUnavailable, "no no-database"},
		{[]scan.Problem{problem(scan.NoData)}, scan.FindingsUnavailable, "no no-data"},
		{[]scan.Problem{problem(scan.OverLimit)}, scan.Failed, "no over-limit"},
		{[]scan.Problem{problem(scan.Damaged)}, scan.Failed, "no damaged"},
		{[]scan.Problem{problem(scan.NotHere)}, scan.Failed, "no not-here"},
		{[]scan.Problem{problem(scan.Unreadable)}, scan.Failed, "no unreadable"},
		{[]scan.Problem{problem(scan.Incomparable)}, scan.Failed, "no incomparable"},
		// What says most of the image goes first.
		{[]scan.Problem{problem(scan.Incomparable), problem(scan.UnknownSystem), problem(scan.Damaged)}, scan.Failed, "no damaged (and 2 more)"},
	}
	for _, tt := range tests {
		for _, kind := range []scan.Type{scan.Basic, scan.Enhanced} {
			want := scan.Failed
			if kind == scan.Enhanced {
				want = tt.enhanced
			}
			// Findings beside a problem make nothing finished.
			got := scan.Judge(kind, scan.Report{Findings: []scan.Finding{{}}, Problems: tt.problems}, nil)
			if got.Status != want || got.Text != tt.text || got.Finished {
				t.Errorf("%s with %v: %+v, want %s with %q", kind, tt.problems, got, want, tt.text)
			}
			if len(tt.problems) > 1 {
				continue
			}
			if by := scan.Judge(kind, scan.Report{}, fmt.Errorf("scan: %w", &tt.problems[0])); by.Status != want || by.Text != tt.text || by.Finished {
				t.Errorf("%s with the error %v: %+v, want %s with %q", kind, tt.problems, by, want, tt.text)
			}
		}
	}
	for kind, want := range map[scan.Type]scan.Status{scan.Basic: scan.Complete, scan.Enhanced: scan.Active} {
		if got := scan.Judge(kind, scan.Report{}, nil); got.Status != want || !got.Finished {
			t.Errorf("%s with nothing in the way: %+v, want %s", kind, got, want)
		}
	}
}

// TestJudgeKeepsSecrets: what went wrong on the server is not told.
func TestJudgeKeepsSecrets(t *testing.T) {
	for text, err := range map[string]error{
		"The scan failed on the server's side":       errors.New("open /var/lib/berth/tmp/x: no space left"),
		"The scanner died with this image each time": fmt.Errorf("%w: killed, /var/lib/berth", scan.ErrDied),
	} {
		if got := scan.Judge(scan.Enhanced, scan.Report{}, err); got.Status != scan.Failed || got.Text != text || got.Finished {
			t.Errorf("%v: %+v, want %q", err, got, text)
		}
	}
}

// TestJudgeOurs: an image is not to blame for what the server lacks, or fails at.
func TestJudgeOurs(t *testing.T) {
	for kind, want := range map[scan.ProblemKind]bool{
		scan.NoDatabase: true, scan.NoData: true, scan.UnknownSystem: false, scan.OverLimit: false, scan.Damaged: false, scan.NotHere: false,
		scan.Unreadable: false, scan.Incomparable: false,
	} {
		p := scan.NewProblem(kind, "it is so")
		if got := scan.Judge(scan.Basic, scan.Report{}, fmt.Errorf("scan: %w", p)); got.Ours != want {
			t.Errorf("the error %s: %+v", kind, got)
		}
		if got := scan.Judge(scan.Enhanced, scan.Report{Problems: []scan.Problem{*p}}, nil); got.Ours != want {
			t.Errorf("a report with %s: %+v", kind, got)
		}
	}
	for _, err := range []error{scan.ErrDied, errors.New("no memory")} {
		if got := scan.Judge(scan.Basic, scan.Report{}, err); !got.Ours {
			t.Errorf("%v: %+v", err, got)
		}
	}
	if got := scan.Judge(scan.Basic, scan.Report{}, nil); got.Ours {
		t.Errorf("a scan that went well: %+v", got)
	}
}
