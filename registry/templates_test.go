package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
)

func template(t testing.TB, s *registry.Service, tpl registry.Template) registry.Template {
	t.Helper()
	made, err := s.CreateTemplate(alice(t), here, tpl)
	must(t, err)
	return made
}

func TestTemplates(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{Now: func() time.Time { return at }})
	want := registry.Template{
		Prefix: "team/", Description: "all teams", AppliedFor: []registry.Cause{registry.ForPush, registry.ForReplication},
		CustomRole: "arn:aws:iam::000000000000:role/ecr", CreatedAt: at, UpdatedAt: at,
		Settings: registry.Settings{
			TagRule:      registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"dev-*"}},
			Encryption:   registry.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/k"},
			ResourceTags: map[string]string{"owner": "us"},
		},
	}
	given := want
	given.CreatedAt, given.UpdatedAt = time.Time{}, time.Time{}
	if diff := cmp.Diff(want, template(t, s, given)); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	_, err := s.CreateTemplate(alice(t), here, registry.Template{Prefix: "team"})
	wantCode(t, "the same prefix without its slash", err, registry.TemplateExists)

	at = at.Add(time.Hour)
	got, err := s.UpdateTemplate(alice(t), here, "team", registry.TemplateChange{ResourceTags: map[string]string{"owner": "them"}})
	must(t, err)
	want.ResourceTags, want.UpdatedAt = map[string]string{"owner": "them"}, at
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with other tags (-want +got):\n%s", diff)
	}
	got, err = s.UpdateTemplate(alice(t), here, "team", registry.TemplateChange{
		Description: new(""), AppliedFor: []registry.Cause{registry.ForPullThrough}, Mutability: new(registry.Mutable),
		Encryption: &registry.Encryption{Type: "AES256"}, CustomRole: new(""),
	})
	must(t, err)
	want.Description, want.AppliedFor, want.CustomRole = "", []registry.Cause{registry.ForPullThrough}, ""
	want.TagRule, want.Encryption = registry.TagRule{Mutability: registry.Mutable}, registry.Encryption{Type: "AES256"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	found, err := s.Template(alice(t), here, "team")
	must(t, err)
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	gone, err := s.DeleteTemplate(alice(t), here, "team/")
	must(t, err)
	if diff := cmp.Diff(want, gone); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	for what, err := range map[string]error{
		"find": second(s.Template(alice(t), here, "team")), "delete": second(s.DeleteTemplate(alice(t), here, "team")),
		"update": second(s.UpdateTemplate(alice(t), here, "team", registry.TemplateChange{})),
	} {
		wantCode(t, what, err, registry.TemplateNotFound)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTemplatesRefused(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Templates: 1, ResourceTags: 1}})
	for _, tt := range []struct {
		what string
		tpl  registry.Template
		code registry.Code
	}{
		{"no prefix", registry.Template{}, registry.SettingInvalid},
		{"capitals", registry.Template{Prefix: "Team"}, registry.SettingInvalid},
		{"two slashes", registry.Template{Prefix: "team//"}, registry.SettingInvalid},
		{"a zero byte", registry.Template{Prefix: "team\x00"}, registry.SettingInvalid},
		{"a cause that is none", registry.Template{Prefix: "team", AppliedFor: []registry.Cause{"PULL"}}, registry.SettingInvalid},
		{"exclusions of nothing", registry.Template{Prefix: "team", Settings: registry.Settings{
			TagRule: registry.TagRule{Mutability: registry.Mutable, Exclusions: []string{"a"}}}}, registry.SettingInvalid},
		{"reserved tags", registry.Template{Prefix: "team", Settings: registry.Settings{ResourceTags: map[string]string{"aws:a": ""}}}, registry.ResourceTagInvalid},
		{"many tags", registry.Template{Prefix: "team", Settings: registry.Settings{ResourceTags: map[string]string{"a": "", "b": ""}}}, registry.TooManyResourceTags},
	} {
		_, err := s.CreateTemplate(alice(t), here, tt.tpl)
		wantCode(t, tt.what, err, tt.code)
	}
	template(t, s, registry.Template{Prefix: "team"})
	_, err := s.CreateTemplate(alice(t), here, registry.Template{Prefix: "other"})
	wantCode(t, "one more than the limit", err, registry.TooManyTemplates)
	_, err = s.UpdateTemplate(alice(t), here, "team", registry.TemplateChange{Exclusions: []string{"a"}})
	wantCode(t, "exclusions without their setting", err, registry.SettingInvalid)
}

func TestTemplatesArePaged(t *testing.T) {
	s := open(t, registry.Options{})
	var want []string
	for _, prefix := range []string{"b", "a/b/", "a", "ROOT", "a-b"} {
		template(t, s, registry.Template{Prefix: prefix})
		want = append(want, prefix)
	}
	slices.Sort(want)
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		for after, more := "", true; more; {
			page, next, err := s.Templates(alice(t), here, after, limit)
			must(t, err)
			for _, tpl := range page {
				got = append(got, tpl.Prefix)
			}
			after, more = got[len(got)-1], next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
}

// TestPushMakesByTemplate plays which template a name is made by.
func TestPushMakesByTemplate(t *testing.T) {
	all := []registry.Cause{registry.ForPush, registry.ForReplication}
	tests := []struct{ name, want string }{ // want is the tag of the template
		{"team/app", "team"}, {"team/deep/app", "deep"}, {"team/deep/er/app", "deep"}, {"teams/app", "root"}, {"team", "root"},
		{"mirror/app", "root"}, // whose own template is for pull-through alone
	}
	for _, mode := range []registry.CreationMode{registry.CreateByTemplate, registry.CreateAlways, registry.CreateNever} {
		s := open(t, registry.Options{CreateOnPush: mode})
		push := func(path string) error {
			_, err := s.StartUpload(alice(t), name(t, path), registry.NewUpload{MayCreate: true})
			return err
		}
		if err := push("no/template"); mode == registry.CreateAlways {
			must(t, err)
		} else {
			wantCode(t, "push without a template", err, registry.RepositoryNotFound)
		}
		for prefix, causes := range map[string][]registry.Cause{"team": all, "team/deep/": all, "ROOT": all, "mirror": {registry.ForPullThrough}} {
			template(t, s, registry.Template{Prefix: prefix, AppliedFor: causes, Settings: registry.Settings{
				TagRule: registry.TagRule{Mutability: registry.Immutable}, Encryption: registry.Encryption{Type: "KMS"},
				ResourceTags: map[string]string{"by": map[string]string{"team": "team", "team/deep/": "deep", "ROOT": "root", "mirror": "mirror"}[prefix]},
			}})
		}
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, %s", mode, tt.name), func(t *testing.T) {
				err := push(tt.name)
				if mode == registry.CreateNever {
					wantCode(t, "push", err, registry.RepositoryNotFound)
					return
				}
				must(t, err)
				repo, err := s.Repository(alice(t), name(t, tt.name))
				must(t, err)
				if repo.ResourceTags["by"] != tt.want || repo.TagRule.Mutability != registry.Immutable || repo.Encryption.Type != "KMS" {
					t.Errorf("made %+v, want that of %s", repo.Settings, tt.want)
				}
			})
		}
	}
}

func TestRepositoriesAreLimited(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Repositories: 2}, CreateOnPush: registry.CreateAlways})
	create(t, s, "one")
	create(t, s, "two")
	_, err := s.CreateRepository(alice(t), name(t, "three"), registry.Settings{})
	wantCode(t, "a third", err, registry.TooManyRepositories)
	_, err = s.StartUpload(alice(t), name(t, "three"), registry.NewUpload{MayCreate: true})
	wantCode(t, "a third by a push", err, registry.TooManyRepositories)
	_, err = s.DeleteRepository(alice(t), name(t, "one"), false)
	must(t, err)
	create(t, s, "three")
}
