package events_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/registry/scan"
)

// samples has an event of each kind, under the kind's name, and of those that are
// told in another way too.
func samples(t testing.TB) map[string]registry.Event {
	t.Helper()
	at := time.Date(2026, 8, 1, 12, 0, 0, 123_456_789, time.UTC)
	tag, err := registry.ParseTag("1.0")
	must(t, err)
	all := map[string]registry.Event{}
	add := func(name string, kind registry.EventKind, detail any, change func(*registry.Event)) {
		e := registry.Event{
			Sequence: uint64(len(all) + 1), At: at, Kind: kind, Repository: repositoryName(t, "team/app"), RepositoryID: "id",
			MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest.FromBytes(digest.SHA256, []byte("x")), Tag: tag, Actor: "arn:aws:iam::000000000000:user/bob",
		}
		if detail != nil {
			e.Detail, err = json.Marshal(detail)
			must(t, err)
		}
		if change != nil {
			change(&e)
		}
		all[name] = e
	}
	is := func(kind registry.EventKind, detail any, change func(*registry.Event)) {
		add(string(kind), kind, detail, change)
	}
	untagged := func(e *registry.Event) { e.Tag = registry.Tag{} }
	ofRepository := func(e *registry.Event) { e.Digest, e.Tag = digest.Digest{}, registry.Tag{} }
	ofRegistry := func(e *registry.Event) {
		e.Digest, e.Tag, e.Repository, e.RepositoryID = digest.Digest{}, registry.Tag{}, here(t), ""
	}
	is(registry.RepositoryCreated, nil, ofRepository)
	is(registry.RepositoryDeleted, nil, ofRepository)
	is(registry.RepositoryChanged, nil, ofRepository)
	is(registry.ImagePushed, nil, nil)
	is(registry.ImageDeleted, nil, nil)
	add("image-deleted-untagged", registry.ImageDeleted, nil, untagged)
	is(registry.TagRemoved, nil, nil)
	is(registry.LayerDeleted, nil, nil)
	const config = "application/vnd.oci.image.config.v1+json"
	is(registry.StorageClassChanged, registry.StorageClassDetail{Target: registry.ArchiveClass, ArtifactMediaType: config}, nil)
	add("storage-class-changed-back", registry.StorageClassChanged, registry.StorageClassDetail{Target: registry.StandardClass, ArtifactMediaType: config, LastActivatedAt: at}, nil)
	add("storage-class-changed-referrer", registry.StorageClassChanged,
		registry.StorageClassDetail{Target: registry.StandardClass, ArtifactMediaType: "application/spdx+json", LastActivatedAt: at, Referrer: true}, untagged)
	is(registry.ImageReplicated, registry.ReplicationDetail{
		SourceAccount: "111111111111", SourceRegion: "eu-west-1", DestinationAccount: "000000000000", DestinationRegion: "us-east-1", Result: "SUCCESS"}, nil)
	is(registry.ReplicationFailed, registry.ReplicationDetail{
		SourceAccount: "000000000000", SourceRegion: "us-east-1", DestinationAccount: "111111111111", DestinationRegion: "eu-west-1", Result: "FAILED",
		FailureCode: "AccessDenied", FailureReason: "no policy allows it"}, nil)
	is(registry.ImagePulled, nil, nil)
	is(registry.AccessDenied, registry.DenialDetail{
		Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:000000000000:repository/team/app", Reason: "no identity-based policy allows the ecr:PutImage action"}, ofRegistry)
	add("access-denied-registry", registry.AccessDenied, registry.DenialDetail{Action: "ecr:PutRegistryPolicy", Resource: "*", Reason: "no identity-based policy allows the ecr:PutRegistryPolicy action"}, ofRegistry)
	add("access-denied-pattern", registry.AccessDenied, registry.DenialDetail{
		Action: "ecr:DescribeRepositories", Resource: "arn:aws:ecr:us-east-1:000000000000:repository/*", Reason: "no identity-based policy allows the ecr:DescribeRepositories action"}, ofRegistry)
	is(registry.RegistryChanged, registry.RegistryDetail{What: "registry-policy"}, ofRegistry)
	is(registry.ScanningChanged, registry.ScanningDetail{Type: scan.Enhanced, Repositories: []registry.FrequencyChange{
		{Repository: "team/app", Frequency: scan.Continuously, Previous: scan.ByHand}}}, ofRegistry)
	is(registry.ImageScanned, registry.ScanDetail{Status: "COMPLETE", Counts: map[string]int{"HIGH": 1, "LOW": 3}, Tags: []string{"1.0"}}, nil)
	add("image-scanned-clean", registry.ImageScanned, registry.ScanDetail{Status: "COMPLETE"}, untagged)
	is(registry.UpstreamAsked, registry.SyncDetail{Status: "SUCCESS", Prefix: "team", Upstream: "public.ecr.aws"}, nil)
	ran := registry.LifecycleDetail{
		RepositoryName: "team/app",
		Policy: registry.LifecyclePolicyDetail{Version: 3, ID: "5d0d3f6c", LastEvaluatedAt: at.Add(-time.Hour).UnixMilli(), Rules: []registry.LifecycleRuleDetail{{
			Priority: 1, Selection: registry.LifecycleSelectionDetail{TagStatus: "Untagged", Prefixes: []string{}, CountType: "Since image pushed", Number: 14}, Action: "expire",
		}}},
		Actions: []registry.LifecycleAction{{
			Image: registry.LifecycleImage{Digest: digest.FromBytes(digest.SHA256, []byte("x")), TagStatus: "Untagged", Tags: []string{}, PushedAt: at.AddDate(0, 0, -15).UnixMilli()},
			Rule:  1, Action: lifecycle.Expire, Reason: "pushed 15 days ago",
		}},
		Failures: []registry.LifecycleFailure{},
	}
	is(registry.LifecycleRun, ran, ofRepository)
	is(registry.LifecyclePreviewed, ran, ofRepository)
	is(registry.RepositoryRestored, nil, ofRepository)
	is(registry.ImageRestored, nil, nil)
	ofServer := func(e *registry.Event) {
		e.Tag, e.Repository, e.RepositoryID, e.Actor = registry.Tag{}, registry.Name{}, "", ""
	}
	ofManifest := func(e *registry.Event) { e.Tag = registry.Tag{} }
	is(registry.ContentDamaged, registry.DamageDetail{What: "layer", Size: 1, Reason: "the bytes are not there", Blob: "ef4fccdb"}, ofServer)
	add("content-damaged-manifest", registry.ContentDamaged, registry.DamageDetail{What: "manifest", Size: 1, Reason: "the bytes cannot be read"}, ofManifest)
	is(registry.ContentHealed, registry.DamageDetail{What: "layer", Size: 1, Reason: "the layer was pushed again"}, ofServer)
	is(registry.IndexRebuilt, registry.IndexRebuiltDetail{Reason: "boltindex: index file is damaged: page 17: it is another page", Update: 90112}, func(e *registry.Event) {
		ofServer(e)
		e.Digest, e.MediaType = digest.Digest{}, ""
	})
	return all
}

// shown is how a sample is told, for people.
func shown(t testing.TB, e registry.Event) string {
	t.Helper()
	env, err := events.Tell(e)
	must(t, err)
	return indented(t, env)
}

// shownAsCloudEvent is how a sample is told to a webhook of that format, for people.
func shownAsCloudEvent(t testing.TB, e registry.Event) string {
	t.Helper()
	env, err := events.Tell(e)
	must(t, err)
	text, err := json.Marshal(env)
	must(t, err)
	body, err := events.CloudEvent(text)
	must(t, err)
	return indented(t, json.RawMessage(body))
}

func indented(t testing.TB, v any) string {
	t.Helper()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	must(t, enc.Encode(v))
	return text.String()
}

// TestEnvelopes compares each sample with its golden file. With UPDATE set in the
// environment it writes the files anew.
func TestEnvelopes(t *testing.T) {
	for name, e := range samples(t) {
		golden, got := filepath.Join("testdata", name+".json"), shown(t, e)
		if os.Getenv("UPDATE") != "" {
			must(t, os.WriteFile(golden, []byte(got), 0o644))
		}
		want, err := os.ReadFile(golden)
		must(t, err)
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Each kind of the registry has a form, and the forms are those that are listed.
func TestEveryKindIsTold(t *testing.T) {
	told, listed := map[string]bool{}, map[string]bool{}
	for _, e := range samples(t) {
		env, err := events.Tell(e)
		if err != nil {
			t.Fatal(err)
		}
		told[env.DetailType] = true
	}
	for _, detailType := range events.DetailTypes() {
		listed[detailType] = true
	}
	if diff := cmp.Diff(listed, told); diff != "" {
		t.Errorf("detail-types (-listed +told):\n%s", diff)
	}
	for _, kind := range registry.EventKinds() {
		if _, ok := samples(t)[string(kind)]; !ok {
			t.Errorf("no sample of %s", kind)
		}
	}
	if _, err := events.Tell(registry.Event{Kind: "unheard-of"}); err == nil {
		t.Error("an unknown kind is told")
	}
}

// What is told twice has one id, and no two events have the same.
func TestIDs(t *testing.T) {
	seen := map[string]string{}
	for name, e := range samples(t) {
		first, err := events.Tell(e)
		must(t, err)
		again, err := events.Tell(e)
		must(t, err)
		if first.ID != again.ID || seen[first.ID] != "" {
			t.Errorf("%s is %s, then %s, and so is %q", name, first.ID, again.ID, seen[first.ID])
		}
		seen[first.ID] = name
	}
}

// A detail that cannot be read is no event.
func TestDamagedDetails(t *testing.T) {
	for name, e := range samples(t) {
		if e.Detail == nil || e.Kind == registry.LifecycleRun || e.Kind == registry.LifecyclePreviewed {
			continue // whose details are passed on as they are
		}
		e.Detail = []byte("{")
		if env, err := events.Tell(e); err == nil {
			t.Errorf("%s is told as %+v", name, env)
		}
	}
}
