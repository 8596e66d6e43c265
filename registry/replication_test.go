package registry_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/seed-78150930/berth/registry"
)

// Other registries than here: of the same account, and of another one.
var (
	west   = registry.ID{Account: here.Account, Region: "us-west-2"}
	abroad = registry.ID{Account: "111111111111", Region: here.Region}
)

// bringing is a configuration of one rule.
func bringing(prefixes []string, to ...registry.ID) registry.Replication {
	return registry.Replication{Rules: []registry.ReplicationRule{{Destinations: to, Prefixes: prefixes}}}
}

func TestReplicationIsKept(t *testing.T) {
	s := open(t, registry.Options{})
	several := registry.Replication{Rules: []registry.ReplicationRule{
		{Destinations: []registry.ID{west, abroad, west}},
		{Destinations: []registry.ID{}, Prefixes: []string{"team/", "team/a", "te"}},
		{Destinations: []registry.ID{abroad}, Prefixes: []string{"zz"}},
	}}
	for _, c := range []registry.Replication{several, bringing(nil, abroad), {}, {}, several} {
		must(t, s.PutReplication(alice(t), here, c))
		got, err := s.Replication(alice(t), here)
		must(t, err)
		if diff := cmp.Diff(c, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("configuration (-put +got):\n%s", diff)
		}
	}
	if got, err := s.Replication(alice(t), west); err != nil || got.Rules != nil {
		t.Errorf("another registry's configuration is %+v, %v", got, err)
	}
	changes := 0
	for _, e := range readEvents(t, s, 100) {
		if e.Kind == registry.RegistryChanged && e.Repository.ID() == here && string(e.Detail) == `{"What":"replication"}` {
			changes++
		}
	}
	if changes != 4 { // to take away what is not there changes nothing
		t.Errorf("%d events of changes, want 4", changes)
	}
}

func TestReplicationRefused(t *testing.T) {
	s := open(t, registry.Options{Regions: []string{"us-east-1", "us-west-2", "cn-north-1"}})
	must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
	many := make([]registry.ID, 26)
	for i := range many {
		many[i] = registry.ID{Account: fmt.Sprintf("1111111111%02d", i), Region: here.Region}
	}
	tests := []struct {
		what, at, reason string
		c                registry.Replication
	}{
		{"to itself", "replicationConfiguration", "Replication destination cannot be the same as the source registry", bringing(nil, west, here)},
		{"to a region that there is not", "replicationConfiguration", "Invalid region 'eu-west-1'", bringing(nil, registry.ID{Account: here.Account, Region: "eu-west-1"})},
		{"to another partition", "replicationConfiguration", "Invalid region 'cn-north-1'", bringing(nil, registry.ID{Account: here.Account, Region: "cn-north-1"})},
		{"eleven rules", "replicationConfiguration.rules", "Member must have length less than or equal to 10",
			registry.Replication{Rules: make([]registry.ReplicationRule, 11)}},
		{"101 filters", "replicationConfiguration.rules.1.member.repositoryFilters", "Member must have length less than or equal to 100",
			bringing(slices.Repeat([]string{"team"}, 101), west)},
		{"a filter that begins no name", "replicationConfiguration.rules.1.member.repositoryFilters",
			`"/team" is not the beginning of a name: 2 to 256 characters`, bringing([]string{"/team"}, west)},
		{"26 destinations", "replicationConfiguration", "The number of unique replication destinations must be less than or equal to 25",
			registry.Replication{Rules: []registry.ReplicationRule{{Destinations: many[:20]}, {Destinations: many[6:]}}}},
	}
	for _, tt := range tests {
		e := wantCode(t, tt.what, s.PutReplication(alice(t), here, tt.c), registry.SettingInvalid)
		if e.Field != tt.at || e.Msg != tt.reason {
			t.Errorf("%s: refused at %q with %q,\nwant %q, %q", tt.what, e.Field, e.Msg, tt.at, tt.reason)
		}
	}
	full := registry.Replication{Rules: slices.Repeat([]registry.ReplicationRule{
		{Destinations: many[:25], Prefixes: slices.Repeat([]string{"team"}, 100)}}, 10)}
	must(t, s.PutReplication(alice(t), here, full))
	if got, err := s.Replication(alice(t), here); err != nil || !cmp.Equal(got, full) {
		t.Errorf("a configuration at all limits is kept as %+v, %v", got, err)
	}
}
