package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// An account that has no registry policy lets nothing of others in.
func TestReplicationIsDenied(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, west, abroad)))
	img := addImage(t, s, n, "1", "one")
	bringAll(t, s)
	sameStates(t, "states", states(t, s, n, tagged(t, "1")), map[registry.ID]string{west: "COMPLETE", abroad: "FAILEDAccessDenied"})
	if names := repositoryNames(t, s, abroad); names != nil {
		t.Errorf("the other account has the repositories %q", names)
	}
	list := replicationEvents(t, s)
	failed := list[len(list)-1]
	var why registry.ReplicationDetail
	must(t, json.Unmarshal(failed.Detail, &why))
	if failed.Kind != registry.ReplicationFailed || failed.Repository != n || failed.Digest != img.Digest || failed.Tag != tag(t, "1") ||
		why.Result != "FAILED" || why.DestinationAccount != abroad.Account || why.FailureCode != registry.FailedByPolicy || why.FailureReason == "" {
		t.Errorf("the last event is %+v with %s", failed, failed.Detail)
	}
}

// The policy of the destination says what comes in, at the time when it comes.
func TestReplicationByPolicy(t *testing.T) {
	const all = "arn:aws:ecr:us-east-1:111111111111:repository/*"
	statement := func(effect, principal, actions, resource string) string {
		return fmt.Sprintf(`{"Sid": "x", "Effect": %q, "Principal": %s, "Action": [%s], "Resource": %q}`, effect, principal, actions, resource)
	}
	under := func(statement, account string) string {
		return strings.TrimSuffix(statement, "}") + `, "Condition": {"StringEquals": {"aws:PrincipalAccount": "` + account + `"}}}`
	}
	const root, ours, both = `{"AWS": "arn:aws:iam::000000000000:root"}`, `{"AWS": "000000000000"}`, `"ecr:ReplicateImage", "ecr:CreateRepository"`
	tests := []struct {
		what       string
		to         registry.ID
		statements []string
		there      bool // the repository is
		want       string
	}{
		{"both actions", abroad, []string{statement("Allow", root, both, all)}, false, "COMPLETE"},
		{"an account id and a pattern of actions", abroad, []string{statement("Allow", ours, `"ecr:*"`, all)}, false, "COMPLETE"},
		{"everybody", abroad, []string{statement("Allow", `"*"`, both, "*")}, false, "COMPLETE"},
		{"no right to create", abroad, []string{statement("Allow", root, `"ecr:ReplicateImage"`, all)}, false, "FAILEDAccessDenied"},
		{"no need to create", abroad, []string{statement("Allow", root, `"ecr:ReplicateImage"`, all)}, true, "COMPLETE"},
		{"a right to create alone", abroad, []string{statement("Allow", root, `"ecr:CreateRepository"`, all)}, true, "FAILEDAccessDenied"},
		{"another repository", abroad, []string{statement("Allow", root, both, strings.Replace(all, "*", "team/other", 1))}, false, "FAILEDAccessDenied"},
		{"the one repository", abroad, []string{statement("Allow", root, both, strings.Replace(all, "*", "team/app", 1))}, false, "COMPLETE"},
		{"another account", abroad, []string{statement("Allow", `{"AWS": "222222222222"}`, both, all)}, false, "FAILEDAccessDenied"},
		{"everybody of the account", abroad, []string{under(statement("Allow", `"*"`, both, "*"), "000000000000")}, false, "COMPLETE"},
		{"everybody of another account", abroad, []string{under(statement("Allow", `"*"`, both, "*"), "222222222222")}, false, "FAILEDAccessDenied"},
		{"a denial", abroad, []string{statement("Allow", root, both, all), statement("Deny", `"*"`, `"ecr:ReplicateImage"`, all)}, true, "FAILEDAccessDenied"},
		{"the own account", west, []string{statement("Allow", `{"AWS": "222222222222"}`, both, "*")}, false, "COMPLETE"},
		{"the own account, denied", west, []string{statement("Deny", root, `"ecr:CreateRepository"`, "*")}, false, "FAILEDAccessDenied"},
	}
	for _, tt := range tests {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		if tt.there {
			_, err := s.CreateRepository(alice(t), nameIn(t, tt.to, "team/app"), registry.Settings{})
			must(t, err)
		}
		must(t, s.PutReplication(alice(t), here, bringing(nil, tt.to)))
		addImage(t, s, n, "1", "one") // pushed before the policy is there
		_, err := s.PutRegistryPolicy(alice(t), tt.to, `{"Version": "2012-10-17", "Statement": [`+strings.Join(tt.statements, ",")+`]}`)
		must(t, err)
		bringAll(t, s)
		sameStates(t, tt.what, states(t, s, n, tagged(t, "1")), map[registry.ID]string{tt.to: tt.want})
	}
}

// What failed is tried again with the next push of the image, be it of something
// new or not, as far as the tags still name it.
func TestReplicationIsTriedAgain(t *testing.T) {
	s := open(t, registry.Options{})
	n, there := create(t, s, "team/app"), nameIn(t, abroad, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing(nil, abroad)))
	one := addImage(t, s, n, "1", "one")
	body := manifestOf(t, s, n, one.Digest)
	put(t, s, n, "latest", body)
	two := addImage(t, s, n, "2", "two")
	push := func(what, tag string, body []byte, want string) {
		t.Helper()
		img := put(t, s, n, tag, body)
		bringAll(t, s)
		sameStates(t, what, states(t, s, n, registry.Ref{Digest: img.Digest}), map[registry.ID]string{abroad: want})
	}
	push("at first", "", body, "FAILEDAccessDenied")
	put(t, s, n, "latest", manifestOf(t, s, n, two.Digest))
	push("once more", "1", body, "FAILEDAccessDenied")
	_, err := s.PutRegistryPolicy(alice(t), abroad, `{"Version":"2012-10-17","Statement":[{"Sid":"in","Effect":"Allow",
		"Principal":{"AWS":"000000000000"},"Action":"ecr:*","Resource":"*"}]}`)
	must(t, err)
	push("allowed, nothing new", "1", body, "COMPLETE")
	push("allowed, a tag more", "3", manifestOf(t, s, n, two.Digest), "COMPLETE")
	sameImage(t, s, there, one, "one", "1")
	sameImage(t, s, there, two, "two", "2", "3", "latest")
	before := len(readEvents(t, s, 1000))
	push("nothing left to do", "1", body, "COMPLETE")
	if after := len(readEvents(t, s, 1000)); after != before {
		t.Errorf("a push of what is there and replicated made %d events", after-before)
	}
}

func TestReplicationMeetsLimits(t *testing.T) {
	tests := []struct {
		limits registry.Limits
		code   string
	}{
		{registry.Limits{Images: 1}, "LimitExceeded"},
		{registry.Limits{Tags: 1}, "COMPLETE"},
		{registry.Limits{Repositories: 1}, "LimitExceeded"},
	}
	for _, tt := range tests {
		s := open(t, registry.Options{Limits: tt.limits})
		n := create(t, s, "team/app")
		_, err := s.CreateRepository(alice(t), nameIn(t, west, "first"), registry.Settings{})
		must(t, err)
		if tt.limits.Images > 0 {
			there := nameIn(t, west, "team/app")
			_, err := s.CreateRepository(alice(t), there, registry.Settings{})
			must(t, err)
			addImage(t, s, there, "first", "first")
		}
		must(t, s.PutReplication(alice(t), here, bringing(nil, west)))
		addImage(t, s, n, "1", "one")
		bringAll(t, s)
		want := "FAILED" + tt.code
		if tt.code == "COMPLETE" {
			want = tt.code
		}
		sameStates(t, fmt.Sprintf("%+v", tt.limits), states(t, s, n, tagged(t, "1")), map[registry.ID]string{west: want})
	}
}
