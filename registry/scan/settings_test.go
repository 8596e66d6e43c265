package scan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
)

func rule(f scan.Frequency, filters ...string) scan.Rule {
	return scan.Rule{Frequency: f, Filters: filters}
}

// TestFilters is the table of the ECR reference, policies.md section 6.
func TestFilters(t *testing.T) {
	names := []string{"prod", "repo-prod", "prod-repo", "repo-prod-repo", "prodrepo"}
	for filter, want := range map[string]string{
		"prod": "yyyyy", "*prod": "yynnn", "prod*": "ynyny", "*prod*": "yyyyy", "prod*repo": "nnyny", "*": "yyyyy", "none": "nnnnn", "pro*od": "nnnnn",
	} {
		got := ""
		for _, name := range names {
			switch applied := scan.Applies(scan.Settings{Type: scan.Basic, Rules: []scan.Rule{rule(scan.OnPush, "nobody", filter)}}, false, name); {
			case applied.Frequency == scan.OnPush && slices.Equal(applied.Filters, []string{filter}):
				got += "y"
			case applied.Frequency == scan.ByHand && applied.Filters == nil:
				got += "n"
			default:
				t.Errorf("%s by %q: %+v", name, filter, applied)
			}
		}
		if got != want {
			t.Errorf("filter %q matches %s of %v, want %s", filter, got, names, want)
		}
	}
}

// Of two rules that match one goes first, and a repository's flag counts where none does.
func TestApplies(t *testing.T) {
	tests := []struct {
		what     string
		settings scan.Settings
		flagged  bool
		want     scan.Applied
	}{
		{"nothing is set", scan.Settings{Type: scan.Basic}, false, scan.Applied{Frequency: scan.ByHand}},
		{"the flag", scan.Settings{Type: scan.Basic}, true, scan.Applied{Frequency: scan.OnPush}},
		{"the flag where another rule matches", scan.Settings{Type: scan.Basic, Rules: []scan.Rule{rule(scan.ByHand, "app")}}, true,
			scan.Applied{Frequency: scan.ByHand, Filters: []string{"app"}}},
		{"on push before by hand", scan.Settings{Type: scan.Basic, Rules: []scan.Rule{rule(scan.ByHand, "app"), rule(scan.OnPush, "a*", "team", "*x")}}, false,
			scan.Applied{Frequency: scan.OnPush, Filters: []string{"team"}}},
		{"continuously before on push", scan.Settings{Type: scan.Enhanced, Rules: []scan.Rule{rule(scan.OnPush, "*"), rule(scan.Continuously, "team/*", "app")}}, false,
			scan.Applied{Frequency: scan.Continuously, Filters: []string{"team/*", "app"}}},
		{"on push beside enhanced scans", scan.Settings{Type: scan.Enhanced, Rules: []scan.Rule{rule(scan.OnPush, "*"), rule(scan.Continuously, "none")}}, false,
			scan.Applied{Frequency: scan.OnPush, Filters: []string{"*"}}},
		{"the flag beside enhanced scans", scan.Settings{Type: scan.Enhanced}, true, scan.Applied{Frequency: scan.ByHand}},
		{"a rule of the other type", scan.Settings{Type: scan.Basic, Rules: []scan.Rule{rule(scan.Continuously, "*")}}, false, scan.Applied{Frequency: scan.ByHand}},
		{"a rule without filters", scan.Settings{Type: scan.Basic, Rules: []scan.Rule{rule(scan.OnPush)}}, false, scan.Applied{Frequency: scan.ByHand}},
		{"no type", scan.Settings{Rules: []scan.Rule{rule(scan.OnPush, "*")}}, true, scan.Applied{Frequency: scan.ByHand}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, scan.Applies(tt.settings, tt.flagged, "team/app")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

func TestFrequencies(t *testing.T) {
	for kind, want := range map[scan.Type][]scan.Frequency{
		scan.Basic: {scan.OnPush, scan.ByHand}, scan.Enhanced: {scan.Continuously, scan.OnPush}, "NONE": nil,
	} {
		for _, f := range []scan.Frequency{scan.OnPush, scan.Continuously, scan.ByHand, "DAILY"} {
			if got := kind.Allows(f); got != slices.Contains(want, f) {
				t.Errorf("%s allows %s: %v", kind, f, got)
			}
		}
	}
}
