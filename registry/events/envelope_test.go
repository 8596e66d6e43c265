package events_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/events"
)

func name(t testing.TB, path string) registry.Name {
	t.Helper()
	id, err := registry.ParseID("000000000000", "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	n, err := registry.ParseName(id, path)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// samples has an event of each kind.
func samples(t testing.TB) map[registry.EventKind]registry.Event {
	t.Helper()
	at := time.Date(2026, 8, 1, 12, 0, 0, 123_456_789, time.UTC)
	tag, err := registry.ParseTag("1.0")
	if err != nil {
		t.Fatal(err)
	}
	const actor = "arn:aws:iam::000000000000:user/bob"
	all := map[registry.EventKind]registry.Event{}
	add := func(kind registry.EventKind, detail any, change func(*registry.Event)) {
		e := registry.Event{
			Sequence: uint64(len(all) + 1), At: at, Kind: kind, Repository: name(t, "team/app"), RepositoryID: "id",
			MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest.FromBytes(digest.SHA256, []byte("x")), Tag: tag, Actor: actor,
		}
		if detail != nil {
			e.Detail, err = json.Marshal(detail)
			if err != nil {
				t.Fatal(err)
			}
		}
		if change != nil {
			change(&e)
		}
		all[kind] = e
	}
	untagged := func(e *registry.Event) { e.Tag = registry.Tag{} }
	add(registry.RepositoryCreated, nil, nil)
	add(registry.RepositoryDeleted, nil, nil)
	add(registry.RepositoryChanged, nil, nil)
	add(registry.ImagePushed, nil, nil)
	add(registry.ImageDeleted, nil, untagged)
	add(registry.TagRemoved, nil, nil)
	add(registry.LayerDeleted, nil, nil)
	add(registry.StorageClassChanged, registry.StorageClassDetail{
		Target: registry.StandardClass, ArtifactMediaType: "application/vnd.oci.image.config.v1+json", LastActivatedAt: at}, nil)
	replicated := map[string]string{"source-account": "111111111111", "source-region": "eu-west-1", "result": "SUCCESS"}
	add(registry.ImageReplicated, replicated, nil)
	add(registry.ReplicationFailed, map[string]string{"source-account": "111111111111", "source-region": "eu-west-1", "destination-account": "000000000000",
		"destination-region": "us-east-1", "result": "FAILED", "failure-code": "AccessDenied", "failure-reason": "no policy allows it"}, nil)
	add(registry.ImagePulled, nil, nil)
	add(registry.AccessDenied, registry.DenialDetail{Action: "ecr:PutImage", Resource: "arn:aws:ecr:us-east-1:000000000000:repository/team/app", Reason: "no identity-based policy allows the ecr:PutImage action"},
		func(e *registry.Event) { e.Digest, e.Tag = digest.Digest{}, registry.Tag{} })
	add(registry.RegistryChanged, registry.RegistryDetail{What: "registry-policy"}, nil)
	add(registry.ScanningChanged, registry.ScanningDetail{Type: registry.EnhancedScans, Repositories: []registry.FrequencyChange{
		{Repository: "team/app", Frequency: registry.ScanContinuously, Previous: registry.ScanByHand}}}, nil)
	add(registry.LifecycleRun, map[string]string{"repositoryName": "team/app"}, nil)
	add(registry.LifecyclePreviewed, map[string]string{"repositoryName": "team/app"}, nil)
	return all
}

func TestEnvelopes(t *testing.T) {
	got := map[string]events.Envelope{}
	for kind, e := range samples(t) {
		env, err := events.Tell(e)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		got[string(kind)] = env
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/envelopes.json"
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)+"\n"); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
	told[events.ReferrerAction] = true
	for _, detailType := range events.DetailTypes() {
		listed[detailType] = true
	}
	if diff := cmp.Diff(listed, told); diff != "" {
		t.Errorf("detail-types (-listed +told):\n%s", diff)
	}
	for _, kind := range registry.EventKinds() {
		if _, ok := samples(t)[kind]; !ok {
			t.Errorf("no sample of %s", kind)
		}
	}
	if _, err := events.Tell(registry.Event{Kind: "unheard-of"}); err == nil {
		t.Error("an unknown kind is told")
	}
}

func TestReferrersAreTold(t *testing.T) {
	e := samples(t)[registry.StorageClassChanged]
	e.Detail = []byte(`{"Target":"ARCHIVE","Referrer":true}`)
	env, err := events.Tell(e)
	if err != nil || env.DetailType != events.ReferrerAction || env.Detail.TargetStorageClass != "ARCHIVE" {
		t.Errorf("told as %+v, %v", env, err)
	}
}
