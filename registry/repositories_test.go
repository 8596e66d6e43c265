package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestCreateRepository(t *testing.T) {
	at := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, registry.Options{Now: func() time.Time { return at }})
	set := registry.Settings{
		TagRule:      registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: []string{"dev-*"}},
		ScanOnPush:   true,
		Encryption:   registry.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/1"},
		ResourceTags: map[string]string{"team": "blue", "empty": ""},
	}
	whole := registry.Repository{Name: name(t, "team/whole"), CreatedAt: at, Settings: set}
	plain := registry.Repository{Name: name(t, "team/plain"), CreatedAt: at, Settings: registry.Settings{
		TagRule:    registry.TagRule{Mutability: registry.Mutable},
		Encryption: registry.Encryption{Type: "AES256"},
	}}
	for _, tt := range []struct {
		set  registry.Settings
		want registry.Repository
	}{{set, whole}, {registry.Settings{}, plain}} {
		made, err := s.CreateRepository(alice(t), tt.want.Name, tt.set)
		must(t, err)
		read, err := s.Repository(alice(t), tt.want.Name)
		must(t, err)
		for _, got := range []registry.Repository{made, read} {
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(registry.Name{})); diff != "" {
				t.Errorf("repository (-want +got):\n%s", diff)
			}
		}
	}
}

func TestRepositoryExists(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{ScanOnPush: true})
	_, err := s.CreateRepository(alice(t), n, registry.Settings{})
	if e := wantCode(t, "create again", err, registry.RepositoryExists); e.Name != n {
		t.Errorf("the refusal names %q, want %q", e.Name, n)
	}
	repo, err := s.Repository(alice(t), n)
	must(t, err)
	if !repo.ScanOnPush {
		t.Error("the refused creation changed the repository")
	}
}

func TestRegistriesAreApart(t *testing.T) {
	s := open(t, registry.Options{})
	create(t, s, "team/app")
	ids := []registry.ID{{Account: "000000000000", Region: "us-east-2"}, {Account: "000000000001", Region: "us-east-1"}}
	for _, id := range ids {
		n := nameIn(t, id, "team/app")
		_, err := s.Repository(alice(t), n)
		wantCode(t, "find in "+id.Region, err, registry.RepositoryNotFound)
		page, more, err := s.Repositories(alice(t), id, "", 10, registry.Sight{})
		if err != nil || len(page) > 0 || more {
			t.Errorf("registry %v lists %v, %v, %v; want nothing", id, page, more, err)
		}
		_, err = s.CreateRepository(alice(t), n, registry.Settings{})
		must(t, err)
	}
}

// missing are the calls that all say RepositoryNotFound when there is none.
func missing(t *testing.T, s *registry.Service, n registry.Name) map[string]error {
	ctx, d, ref := alice(t), sha256Of(nil), registry.Ref{Tag: tag(t, "1")}
	calls := map[string]error{}
	_, calls["Repository"] = s.Repository(ctx, n)
	_, calls["DeleteRepository"] = s.DeleteRepository(ctx, n, true)
	_, calls["SetTagRule"] = s.SetTagRule(ctx, n, registry.TagRule{})
	_, calls["SetScanOnPush"] = s.SetScanOnPush(ctx, n, true)
	calls["TagRepository"] = s.TagRepository(ctx, n, nil)
	calls["UntagRepository"] = s.UntagRepository(ctx, n, nil)
	_, calls["PutImage"] = s.PutImage(ctx, n, registry.Push{Body: indexOf(t)})
	_, calls["PutImage, bad"] = s.PutImage(ctx, n, registry.Push{Body: []byte("{")})
	_, calls["Image"] = s.Image(ctx, n, ref)
	_, calls["DescribeImage"] = s.DescribeImage(ctx, n, ref)
	_, _, calls["Manifest"] = s.Manifest(ctx, n, ref)
	_, _, calls["Images"] = s.Images(ctx, n, registry.ImageFilter{}, "", 1)
	_, _, calls["ImageIDs"] = s.ImageIDs(ctx, n, registry.ImageFilter{}, "", 1)
	_, _, calls["Tags"] = s.Tags(ctx, n, "", 1)
	_, _, calls["Referrers"] = s.Referrers(ctx, n, d, registry.ReferrerFilter{}, "", 1)
	_, calls["DeleteImage"] = s.DeleteImage(ctx, n, ref, nil)
	_, calls["Untag"] = s.Untag(ctx, n, ref.Tag, registry.KeepImage, nil)
	_, calls["Layer"] = s.Layer(ctx, n, d)
	_, _, calls["OpenLayer"] = s.OpenLayer(ctx, n, d)
	calls["DeleteLayer"] = s.DeleteLayer(ctx, n, d)
	_, calls["StartUpload"] = s.StartUpload(ctx, n, registry.NewUpload{})
	_, calls["Upload"] = s.Upload(ctx, n, "x")
	_, calls["AppendUpload"] = s.AppendUpload(ctx, n, "x", stream(""))
	_, calls["FinishUpload"] = s.FinishUpload(ctx, n, "x", registry.Finish{})
	calls["CancelUpload"] = s.CancelUpload(ctx, n, "x")
	return calls
}

func TestMissingRepository(t *testing.T) {
	s := open(t, registry.Options{})
	create(t, s, "team/app")
	for what, err := range missing(t, s, name(t, "team/ap")) {
		if registry.CodeOf(err) != registry.RepositoryNotFound {
			t.Errorf("%s: %v, want that the repository is not found", what, err)
		}
	}
}

// listNames reads the list of repositories in pages.
func listNames(t *testing.T, s *registry.Service, limit int) (names []string) {
	t.Helper()
	for after := ""; ; {
		page, more, err := s.Repositories(alice(t), here, after, limit, registry.Sight{})
		must(t, err)
		if len(page) > limit || more && len(page) < limit {
			t.Fatalf("page of %d holds %d, more is %v", limit, len(page), more)
		}
		for _, repo := range page {
			names = append(names, repo.Name.String())
		}
		if !more {
			return names
		}
		after = names[len(names)-1]
	}
}

func TestRepositoriesPaging(t *testing.T) {
	s := open(t, registry.Options{})
	want := []string{"ab", "ab-c", "ab.c", "ab/c", "ab/c/d", "ab0", "ab_c", "abc", "z9"} // byte order
	for _, i := range []int{5, 0, 8, 2, 7, 1, 4, 3, 6} {
		create(t, s, want[i])
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		if diff := cmp.Diff(want, listNames(t, s, limit)); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	page, more, err := s.Repositories(alice(t), here, "ab/zz", 2, registry.Sight{}) // names nothing itself
	if err != nil || !more || page[0].Name.String() != "ab0" {
		t.Errorf("after a name that is not there: %v, %v, %v", page, more, err)
	}
	_, _, err = s.Repositories(alice(t), here, "a\x00b", 2, registry.Sight{})
	wantCode(t, "after a zero byte", err, registry.PageInvalid)
}

func TestPrefixOfARepositoryFarAway(t *testing.T) {
	s := open(t, registry.Options{})
	create(t, s, "team")
	create(t, s, "team/app")
	const between = 2_500
	for i := range between {
		create(t, s, fmt.Sprintf("team-%04d", i)) // a dash stands before a slash
	}
	names := listNames(t, s, 1000)
	if len(names) != between+2 || names[0] != "team" || names[between+1] != "team/app" {
		t.Errorf("%d names, first %q, last %q", len(names), names[0], names[len(names)-1])
	}
}

func TestSettings(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{ResourceTags: map[string]string{"a": "1", "b": "2"}})
	rule := registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: []string{"v*"}}
	_, err := s.SetTagRule(alice(t), n, rule)
	must(t, err)
	_, err = s.SetScanOnPush(alice(t), n, true)
	must(t, err)
	must(t, s.TagRepository(alice(t), n, map[string]string{"b": "3", "c": "4"}))
	must(t, s.UntagRepository(alice(t), n, []string{"a", "never"}))
	got, err := s.Repository(alice(t), n)
	must(t, err)
	want := registry.Settings{
		TagRule: rule, ScanOnPush: true, Encryption: registry.Encryption{Type: "AES256"},
		ResourceTags: map[string]string{"b": "3", "c": "4"},
	}
	if diff := cmp.Diff(want, got.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	repo, err := s.SetTagRule(alice(t), n, registry.TagRule{})
	if err != nil || repo.TagRule.Mutability != registry.Mutable || repo.TagRule.Exclusions != nil {
		t.Errorf("no rule: %+v, %v; want MUTABLE", repo.TagRule, err)
	}
}

func TestResourceTagChecks(t *testing.T) {
	tests := []struct {
		what string
		key  string
		val  string
		code registry.Code
	}{
		{"longest", strings.Repeat("k", 128), strings.Repeat("v", 256), ""},
		{"longest, of wide letters", strings.Repeat("\u00e9", 128), strings.Repeat("\u00e9", 256), ""},
		{"no value", "k", "", ""},
		{"aws within", "my-aws:k", "v", ""},
		{"no key", "", "v", registry.ResourceTagInvalid},
		{"key too long", strings.Repeat("k", 129), "v", registry.ResourceTagInvalid},
		{"value too long", "k", strings.Repeat("v", 257), registry.ResourceTagInvalid},
		{"reserved", "aws:k", "v", registry.ResourceTagInvalid},
		{"reserved, in capitals", "AWS:k", "v", registry.ResourceTagInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s := open(t, registry.Options{})
			n := create(t, s, "team/app")
			add := map[string]string{tt.key: tt.val}
			err := s.TagRepository(alice(t), n, add)
			_, createErr := s.CreateRepository(alice(t), name(t, "team/new"), registry.Settings{ResourceTags: add})
			if registry.CodeOf(err) != tt.code || registry.CodeOf(createErr) != tt.code {
				t.Fatalf("tag: %v; create: %v; want code %q", err, createErr, tt.code)
			}
			repo, err := s.Repository(alice(t), n)
			must(t, err)
			if got := repo.ResourceTags[tt.key]; tt.code == "" && got != tt.val || tt.code != "" && len(repo.ResourceTags) > 0 {
				t.Errorf("kept tags %v", repo.ResourceTags)
			}
		})
	}
}

func TestTooManyResourceTags(t *testing.T) {
	s := open(t, registry.Options{})
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint(i)] = "x"
	}
	_, err := s.CreateRepository(alice(t), name(t, "team/app"), registry.Settings{ResourceTags: many})
	if e := wantCode(t, "create with 51", err, registry.TooManyResourceTags); e.Limit != 50 {
		t.Errorf("the refusal speaks of %d, want 50", e.Limit)
	}
	delete(many, "50")
	n := createWith(t, s, "team/app", registry.Settings{ResourceTags: many})
	wantCode(t, "one more", s.TagRepository(alice(t), n, map[string]string{"new": "x"}), registry.TooManyResourceTags)
	must(t, s.TagRepository(alice(t), n, map[string]string{"7": "changed"}))
	must(t, s.UntagRepository(alice(t), n, []string{"0"}))
	must(t, s.TagRepository(alice(t), n, map[string]string{"new": "x"}))
	repo, err := s.Repository(alice(t), n)
	must(t, err)
	if len(repo.ResourceTags) != 50 || repo.ResourceTags["7"] != "changed" || repo.ResourceTags["new"] != "x" {
		t.Errorf("tags %v", slices.Sorted(maps.Keys(repo.ResourceTags)))
	}
}

func TestDeleteRepository(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "a layer alone does not count")
	img := addImage(t, s, n, "", "one")
	_, err := s.DeleteRepository(alice(t), n, false)
	wantCode(t, "delete with an untagged image", err, registry.RepositoryNotEmpty)
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
	must(t, err)
	gone, err := s.DeleteRepository(alice(t), n, false)
	if err != nil || gone.Name != n || gone.CreatedAt.IsZero() {
		t.Errorf("delete returned %+v, %v", gone, err)
	}
	_, err = s.DeleteRepository(alice(t), n, true)
	wantCode(t, "delete again", err, registry.RepositoryNotFound)
}

func TestNewRepositoryUnderAnOldName(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	l := addLayer(t, s, n, "loose")
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	create(t, s, "team/app")

	_, err = s.Image(alice(t), n, tagged(t, "1.0"))
	wantCode(t, "tag of the old one", err, registry.ImageNotFound)
	_, err = s.Image(alice(t), n, registry.Ref{Digest: img.Digest})
	wantCode(t, "digest of the old one", err, registry.ImageNotFound)
	_, err = s.Layer(alice(t), n, sha256Of([]byte("loose")))
	wantCode(t, "layer of the old one", err, registry.LayerNotFound)
	page, next, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10)
	if err != nil || len(page) > 0 || next != "" {
		t.Errorf("images of the new one: %v, %q, %v", page, next, err)
	}
	checkRows(t, s) // while the old one's rows are still there

	if again := addLayer(t, s, n, "loose"); again.Digest != l.Digest {
		t.Errorf("pushed again as %s", again.Digest)
	}
	must(t, registry.Tidy(t.Context(), s))
	if got := readLayer(t, s, n, sha256Of([]byte("loose"))); got != "loose" {
		t.Errorf("layer of the new one after clearing the old one: %q", got)
	}
	if got := blobCount(t, blobs); got != 1 {
		t.Errorf("the store keeps %d blobs, want the one in use", got)
	}
}

func TestClearingALargeRepository(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "", "one")
	_, body, err := s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
	for i := range 1200 { // more rows than go in one transaction
		put(t, s, n, fmt.Sprintf("t%d", i%900), append(body, strings.Repeat(" ", i)...))
	}
	_, err = s.DeleteRepository(alice(t), n, true)
	must(t, err)
	must(t, registry.Tidy(t.Context(), s))
	if got := blobCount(t, blobs); got != 0 {
		t.Errorf("the store keeps %d blobs, want none", got)
	}
}

func TestConfigure(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Tags: 7}})
	want := registry.Limits{
		Manifest: 4 << 20, Layer: 52_000 << 20, Layers: 10_000, Parts: 4200, SmallestPart: 5 << 20, LargestPart: 20_971_520, Tags: 7, Images: 100_000,
		Repositories: 100_000, ResourceTags: 50, Uploads: 10_000, RepositoryUploads: 10_000, LifecycleText: 30_720, LifecycleRules: 50,
		PullThroughRules: 50, Templates: 1_000, PullTimeExclusions: 100, ReplicationRules: 10, ReplicationFilters: 100,
		ReplicationDestinations: 25, SigningRules: 10, SigningFilters: 100,
	}
	if got := s.Limits(); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	s.Configure(registry.Options{Limits: registry.Limits{ResourceTags: 1}})
	want.Tags, want.ResourceTags = 0, 1
	if got := s.Limits(); got != want {
		t.Errorf("limits set anew %+v, want %+v", got, want)
	}
	two := registry.Settings{ResourceTags: map[string]string{"a": "", "b": ""}}
	_, err := s.CreateRepository(alice(t), name(t, "team/app"), two)
	wantCode(t, "two resource tags", err, registry.TooManyResourceTags)
}

func TestNewNeedsAStore(t *testing.T) {
	for _, o := range []registry.Options{{}, {Index: memory.NewIndex()}, {Blobs: memory.NewBlobs()}} {
		if _, err := registry.New(t.Context(), o); err == nil {
			t.Errorf("New(%+v) made a service", o)
		}
	}
}

func TestReady(t *testing.T) {
	index := memory.NewIndex()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: memory.NewBlobs()})
	must(t, err)
	must(t, s.Ready(t.Context()))
	must(t, index.Close())
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready without a store")
	}
}
