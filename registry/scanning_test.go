package registry_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/scan"
)

// onPush are basic scans on push by filters.
func onPush(filters ...string) scan.Settings {
	return scan.Settings{Rules: []scan.Rule{{Frequency: scan.OnPush, Filters: filters}}}
}

// TestScanFilters: what is set is applied to the names of repositories; package scan
// tests how.
func TestScanFilters(t *testing.T) {
	s := open(t, registry.Options{})
	create(t, s, "prod/app")
	createWith(t, s, "other", registry.Settings{ScanOnPush: true})
	_, err := s.PutScanning(alice(t), here, onPush("nobody", "prod*"))
	must(t, err)
	for path, want := range map[string]scan.Applied{
		"prod/app": {Frequency: scan.OnPush, Filters: []string{"prod*"}}, "other": {Frequency: scan.OnPush},
	} {
		got, err := s.RepositoryScanning(alice(t), name(t, path))
		must(t, err)
		if diff := cmp.Diff(want, got.Applied); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	_, err = s.RepositoryScanning(alice(t), name(t, "absent"))
	wantCode(t, "absent", err, registry.RepositoryNotFound)
}

func TestScanningRefused(t *testing.T) {
	s := open(t, registry.Options{})
	tests := []struct {
		c    scan.Settings
		code registry.Code
		msg  string
	}{
		{scan.Settings{Type: "NONE"}, registry.SettingInvalid, "Member must satisfy enum value set: [BASIC, ENHANCED]"},
		{scan.Settings{Rules: []scan.Rule{{Frequency: "DAILY"}}}, registry.ConfigurationInvalid,
			"Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType BASIC: DAILY'"},
		{onPush("Prod"), registry.SettingInvalid, `"Prod" is not a filter of at most 255 characters`},
		{onPush(""), registry.SettingInvalid, `"" is not a filter of at most 255 characters`},
		{onPush(strings.Repeat("a", 256)), registry.SettingInvalid, `"` + strings.Repeat("a", 256) + `" is not a filter of at most 255 characters`},
		{onPush(slices.Repeat([]string{"a"}, 101)...), registry.SettingInvalid, "Member must have length less than or equal to 100"},
	}
	for _, tt := range tests {
		_, err := s.PutScanning(alice(t), here, tt.c)
		if e := wantCode(t, fmt.Sprintf("%.100v", tt.c), err, tt.code); e.Msg != tt.msg {
			t.Errorf("%.100v is refused with %q, want %q", tt.c, e.Msg, tt.msg)
		}
	}
	got, err := s.Scanning(alice(t), here)
	must(t, err)
	if diff := cmp.Diff(scan.Settings{Type: scan.Basic}, got); diff != "" {
		t.Errorf("after refusals (-want +got):\n%s", diff)
	}
	_, err = s.PutScanning(alice(t), here, onPush(slices.Repeat([]string{strings.Repeat("a", 255)}, 100)...))
	must(t, err)
}

// TestFrequencyChanges: a hundred repositories to an event, those alone whose
// frequency changed, of the one registry alone.
func TestFrequencyChanges(t *testing.T) {
	s := open(t, registry.Options{})
	elsewhere := nameIn(t, registry.ID{Account: here.Account, Region: "eu-west-1"}, "app/there")
	_, err := s.CreateRepository(alice(t), elsewhere, registry.Settings{})
	must(t, err)
	var want []registry.FrequencyChange
	for i := range 205 {
		n := create(t, s, fmt.Sprintf("app/%03d", i)).String()
		want = append(want, registry.FrequencyChange{Repository: n, Frequency: scan.OnPush, Previous: scan.ByHand})
	}
	create(t, s, "other")
	createWith(t, s, "app/flag", registry.Settings{ScanOnPush: true})
	events := readEvents(t, s, 1000)
	before := len(events)
	for range 2 { // the second time nothing changes
		_, err = s.PutScanning(alice(t), here, onPush("app/*"))
		must(t, err)
	}
	var got []registry.FrequencyChange
	var kinds []registry.EventKind
	for _, e := range readEvents(t, s, 1000)[before:] {
		kinds = append(kinds, e.Kind)
		if e.Repository.ID() != here || !e.Repository.IsZero() {
			t.Errorf("an event of %v %q", e.Repository.ID(), e.Repository)
		}
		var d registry.ScanningDetail
		if e.Kind == registry.ScanningChanged {
			must(t, json.Unmarshal(e.Detail, &d))
			if n := len(d.Repositories); n == 0 || n > 100 || d.Type != scan.Basic {
				t.Errorf("an event tells of %d repositories of type %q", n, d.Type)
			}
		}
		got = append(got, d.Repositories...)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	wantKinds := []registry.EventKind{registry.RegistryChanged, registry.ScanningChanged, registry.ScanningChanged, registry.ScanningChanged, registry.RegistryChanged}
	if diff := cmp.Diff(wantKinds, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
