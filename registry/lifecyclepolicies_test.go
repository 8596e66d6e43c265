package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

// rule writes a rule of a lifecycle policy. More are members of the rule's
// selection, "" for none.
func rule(priority int, status, more, count, action string) string {
	return fmt.Sprintf(`{"rulePriority": %d, "selection": {"tagStatus": %q, %s %s}, "action": {%s}}`, priority, status, more, count, action)
}

const (
	expire  = `"type": "expire"`
	archive = `"type": "transition", "targetStorageClass": "archive"`
)

func moreThan(n int) string {
	return fmt.Sprintf(`"countType": "imageCountMoreThan", "countNumber": %d`, n)
}

func sincePushed(days int) string { return since("Pushed", days) }

func since(what string, days int) string {
	return fmt.Sprintf(`"countType": "sinceImage%s", "countUnit": "days", "countNumber": %d`, what, days)
}

func rules(list ...string) string { return `{"rules": [` + strings.Join(list, ", ") + `]}` }

// keepOne keeps the youngest image, keepTwo the two youngest.
var (
	keepOne = rules(rule(1, "any", "", moreThan(1), expire))
	keepTwo = rules(rule(1, "any", "", moreThan(2), expire))
)

func TestLifecyclePolicy(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	other := rules(rule(9, "untagged", "", sincePushed(3), expire))
	_, err := s.LifecyclePolicy(alice(t), n)
	wantCode(t, "none", err, registry.LifecyclePolicyNotFound)
	_, err = s.DeleteLifecyclePolicy(alice(t), n)
	wantCode(t, "delete none", err, registry.LifecyclePolicyNotFound)
	steps := []struct {
		what    string
		do      func() (registry.LifecyclePolicy, error)
		text    string
		version int
	}{
		{"put", func() (registry.LifecyclePolicy, error) { return s.PutLifecyclePolicy(alice(t), n, keepOne) }, keepOne, 1},
		{"read", func() (registry.LifecyclePolicy, error) { return s.LifecyclePolicy(alice(t), n) }, keepOne, 1},
		{"replace", func() (registry.LifecyclePolicy, error) { return s.PutLifecyclePolicy(alice(t), n, other) }, other, 2},
		{"delete", func() (registry.LifecyclePolicy, error) { return s.DeleteLifecyclePolicy(alice(t), n) }, other, 2},
		{"put again", func() (registry.LifecyclePolicy, error) { return s.PutLifecyclePolicy(alice(t), n, keepOne) }, keepOne, 3},
	}
	for _, step := range steps {
		got, err := step.do()
		must(t, err)
		if diff := cmp.Diff(registry.LifecyclePolicy{Text: lifecycle.Compact(step.text), Version: step.version}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
		checkRows(t, s)
	}
	page, err := s.Events(alice(t), 0, 100)
	must(t, err)
	for _, e := range page[1:] {
		if e.Kind != registry.RepositoryChanged || e.Actor != arn("alice") || e.Repository != n {
			t.Errorf("event %+v", e)
		}
	}
	if len(page) != 5 {
		t.Errorf("%d events, want that of the repository and four", len(page))
	}
}

func TestLifecyclePolicyRefused(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{LifecycleText: 400, LifecycleRules: 2}})
	n, absent := create(t, s, "team/app"), name(t, "team/absent")
	_, err := s.PutLifecyclePolicy(alice(t), absent, "no policy")
	wantCode(t, "put", err, registry.RepositoryNotFound)
	_, err = s.LifecyclePolicy(alice(t), absent)
	wantCode(t, "read", err, registry.RepositoryNotFound)
	_, err = s.DeleteLifecyclePolicy(alice(t), absent)
	wantCode(t, "delete", err, registry.RepositoryNotFound)
	_, err = s.StartLifecyclePreview(alice(t), absent, keepOne)
	wantCode(t, "start a preview", err, registry.RepositoryNotFound)
	_, _, err = s.LifecyclePreview(alice(t), absent, registry.PreviewFilter{}, "", 1)
	wantCode(t, "read a preview", err, registry.RepositoryNotFound)
	_, err = s.LifecycleFacts(alice(t), absent)
	wantCode(t, "facts", err, registry.RepositoryNotFound)
	bad := map[string]string{
		"no policy":                        "'Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy.'",
		keepOne + strings.Repeat(" ", 400): "'Member must have length less than or equal to 400'",
		rules():                            "'Lifecycle policy validation failure: array is too short: must have at least 1 elements but instance has 0 elements'",
	}
	for text, reason := range bad {
		_, err := s.PutLifecyclePolicy(alice(t), n, text)
		if e := wantCode(t, text, err, registry.LifecyclePolicyInvalid); e.Msg != reason {
			t.Errorf("put %.50s: %s, want %s", text, e.Msg, reason)
		}
		_, err = s.StartLifecyclePreview(alice(t), n, text)
		wantCode(t, "preview of "+text, err, registry.LifecyclePolicyInvalid)
	}
	_, err = s.LifecyclePolicy(alice(t), n)
	wantCode(t, "nothing was put", err, registry.LifecyclePolicyNotFound)
	_, _, err = s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, "", 1)
	wantCode(t, "nothing was previewed", err, registry.LifecyclePreviewNotFound)
}

// TestLifecyclePolicyOfATemplate: a repository made by a template has its policy.
func TestLifecyclePolicyOfATemplate(t *testing.T) {
	at := time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{CreateOnPush: registry.CreateByTemplate, Now: func() time.Time { return at }})
	_, err := s.CreateTemplate(alice(t), here, registry.Template{
		Prefix: "team", AppliedFor: []registry.Cause{registry.ForPush}, Settings: registry.Settings{Lifecycle: keepOne},
	})
	must(t, err)
	_, err = s.StartUpload(alice(t), name(t, "team/app"), registry.NewUpload{MayCreate: true})
	must(t, err)
	got, err := s.LifecyclePolicy(alice(t), name(t, "team/app"))
	must(t, err)
	if diff := cmp.Diff(registry.LifecyclePolicy{Text: lifecycle.Compact(keepOne), Version: 1}, got); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	due := func(want bool) {
		t.Helper()
		if got, err := s.LifecycleDue(alice(t)); got != want || err != nil {
			t.Errorf("due at %v: %v, %v", at, got, err)
		}
	}
	due(false)
	at = at.Add(time.Hour)
	due(true)
	must(t, s.RunLifecycle(alice(t)))
	due(false)
}
