package registry_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

// preview reads a preview whole, in pages.
func preview(t testing.TB, s *registry.Service, n registry.Name, filter registry.PreviewFilter, limit int) (p registry.LifecyclePreview) {
	t.Helper()
	for after, more := "", true; more; more = after != "" {
		page, next, err := s.LifecyclePreview(alice(t), n, filter, after, limit)
		must(t, err)
		if len(page.Results) > limit {
			t.Errorf("a page of %d, at most %d were wanted", len(page.Results), limit)
		}
		page.Results = append(p.Results, page.Results...)
		p, after = page, next
	}
	return p
}

// resultNames are results as the names of images say them.
func resultNames(p registry.LifecyclePreview, all map[string]registry.Image) (names []string) {
	by := map[digest.Digest]string{}
	for key, img := range all {
		by[img.Digest] = key
	}
	for _, r := range p.Results {
		names = append(names, fmt.Sprintf("%s %s by %d", by[r.Digest], strings.ToLower(string(r.Action)), r.Rule))
	}
	return names
}

func TestLifecyclePreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{EventRetention: 1000 * day})
		n := create(t, s, "team/app")
		all := history(t, s, n)
		before := left(t, s, n, all)
		_, err := s.StartLifecyclePreview(alice(t), n, "")
		wantCode(t, "without a policy", err, registry.LifecyclePolicyNotFound)
		p, err := s.StartLifecyclePreview(alice(t), n, threeRules)
		must(t, err)
		for _, p := range []registry.LifecyclePreview{p, preview(t, s, n, registry.PreviewFilter{}, 10)} {
			if diff := cmp.Diff(registry.LifecyclePreview{Text: threeRules, State: registry.PreviewInProgress}, p); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
		}
		select {
		case <-s.PreviewsWanted():
		default:
			t.Error("nobody is woken")
		}
		_, err = s.StartLifecyclePreview(alice(t), n, threeRules)
		wantCode(t, "one more", err, registry.LifecyclePreviewInProgress)
		must(t, s.RunPreviews(alice(t)))
		if diff := cmp.Diff(before, left(t, s, n, all)); diff != "" {
			t.Errorf("a preview changes images (-want +got):\n%s", diff)
		}
		want := []string{"b old prod expire by 1", "a old beta transition by 5", "f untagged expire by 7", "e signature expire by 1"}
		for _, limit := range []int{1, 3, 4, 100} {
			p = preview(t, s, n, registry.PreviewFilter{}, limit)
			if diff := cmp.Diff(want, resultNames(p, all)); diff != "" || p.State != registry.PreviewComplete || p.Expiring != 3 || p.Archiving != 1 {
				t.Errorf("%s, %d and %d, by pages of %d (-want +got):\n%s", p.State, p.Expiring, p.Archiving, limit, diff)
			}
		}
		if r := p.Results[0]; !slices.Equal(r.Tags, []string{"prod-1"}) || !r.PushedAt.Equal(all["b old prod"].PushedAt) || r.Archived || r.Reason == "" {
			t.Errorf("result %+v", r)
		}
		done, failed := audits(t, s, registry.LifecyclePreviewed, all)
		if diff := cmp.Diff(want, done); diff != "" || failed != nil {
			t.Errorf("recorded, and %q (-want +got):\n%s", failed, diff)
		}
		checkPreviewFilters(t, s, n, all)
	})
}

func checkPreviewFilters(t *testing.T, s *registry.Service, n registry.Name, all map[string]registry.Image) {
	t.Helper()
	d := func(key string) digest.Digest { return all[key].Digest }
	tests := []struct {
		what   string
		filter registry.PreviewFilter
		want   []string
	}{
		{"tagged", registry.PreviewFilter{Tags: registry.TaggedOnly}, []string{"b old prod", "a old beta"}},
		{"untagged", registry.PreviewFilter{Tags: registry.UntaggedOnly}, []string{"f untagged", "e signature"}},
		{"any", registry.PreviewFilter{Tags: registry.AnyImage}, []string{"b old prod", "a old beta", "f untagged", "e signature"}},
		{"by tag and digest, one twice", registry.PreviewFilter{Images: []registry.Ref{
			{Digest: d("f untagged")}, tagged(t, "prod-1"), {Digest: d("b old prod")}, {Tag: tag(t, "beta-1"), Digest: d("a old beta")},
		}}, []string{"b old prod", "a old beta", "f untagged"}},
		{"one that stays, one that is not there, a tag of another", registry.PreviewFilter{Images: []registry.Ref{
			{Digest: d("g beta")}, tagged(t, "none"), {Tag: tag(t, "beta-1"), Digest: d("b old prod")}, {Tag: tag(t, "prod-2"), Digest: d("b old prod")},
		}}, nil},
		{"none", registry.PreviewFilter{Images: []registry.Ref{}}, nil},
		{"both", registry.PreviewFilter{Tags: registry.UntaggedOnly, Images: []registry.Ref{tagged(t, "prod-1"), {Digest: d("f untagged")}}}, []string{"f untagged"}},
	}
	for _, tt := range tests {
		p := preview(t, s, n, tt.filter, 10)
		var got []string
		for _, name := range resultNames(p, all) {
			short, _, _ := strings.Cut(strings.ReplaceAll(name, "transition", "expire"), " expire")
			got = append(got, short)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || p.Expiring != 3 || p.Archiving != 1 {
			t.Errorf("%s, of %d and %d (-want +got):\n%s", tt.what, p.Expiring, p.Archiving, diff)
		}
	}
	for _, after := range []string{"x", "x 00000001", "\x00"} {
		_, _, err := s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, after, 10)
		wantCode(t, "place "+after, err, registry.PageInvalid)
	}
}

// TestPreviewOfTheOwnPolicy: without a text it is the repository's own, and its
// version is recorded.
func TestPreviewOfTheOwnPolicy(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	own, err := s.PutLifecyclePolicy(alice(t), n, keepOne)
	must(t, err)
	p, err := s.StartLifecyclePreview(alice(t), n, "")
	must(t, err)
	must(t, s.RunPreviews(alice(t)))
	got := preview(t, s, n, registry.PreviewFilter{}, 10)
	if p.Text != own.Text || got.Text != own.Text || got.State != registry.PreviewComplete || got.Results != nil {
		t.Errorf("started %+v, got %+v", p, got)
	}
}

// TestPreviewsExpire: results are kept for a day, or until another one is started.
func TestPreviewsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		addImage(t, s, n, "1", "one")
		time.Sleep(time.Minute)
		addImage(t, s, n, "2", "two")
		due := func(want bool) {
			t.Helper()
			if got, err := s.PreviewsDue(alice(t)); got != want || err != nil {
				t.Errorf("due: %v, %v; want %v", got, err, want)
			}
		}
		start := func(text string) {
			t.Helper()
			due(false)
			_, err := s.StartLifecyclePreview(alice(t), n, text)
			must(t, err)
			due(true)
			must(t, s.RunPreviews(alice(t)))
			must(t, s.RunPreviews(alice(t))) // clears what is old
			due(false)
		}
		start(keepOne)
		_, next, err := s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, "", 1)
		if err != nil || next != "" {
			t.Errorf("a page behind the last: %q, %v", next, err)
		}
		start(keepTwo)
		if p := preview(t, s, n, registry.PreviewFilter{}, 10); p.Expiring != 0 || p.Results != nil || p.Text != keepTwo {
			t.Errorf("replaced: %+v", p)
		}
		start(keepOne)
		time.Sleep(day - time.Second)
		if p := preview(t, s, n, registry.PreviewFilter{}, 10); p.State != registry.PreviewComplete || p.Expiring != 1 || len(p.Results) != 1 {
			t.Errorf("after almost a day: %+v", p)
		}
		time.Sleep(time.Second)
		expired := registry.LifecyclePreview{Text: keepOne, State: registry.PreviewExpired}
		for range 2 {
			if diff := cmp.Diff(expired, preview(t, s, n, registry.PreviewFilter{}, 10)); diff != "" {
				t.Errorf("after a day (-want +got):\n%s", diff)
			}
			must(t, s.RunPreviews(alice(t)))
		}
		start(keepOne)
	})
}

// TestAPlaceOfAnEarlierPreview: its pages do not go on in another one.
func TestAPlaceOfAnEarlierPreview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		history(t, s, n)
		next := ""
		for range 2 {
			_, err := s.StartLifecyclePreview(alice(t), n, threeRules)
			must(t, err)
			must(t, s.RunPreviews(alice(t)))
			if next != "" {
				_, _, err = s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, next, 1)
				wantCode(t, "a place of the first", err, registry.PageInvalid)
			}
			_, next, err = s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, "", 1)
			must(t, err)
		}
	})
}

// TestPreviewsSurviveAKill: one that was broken off is made anew, or gone on
// with, and each image recorded once.
func TestPreviewsSurviveAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
		s := open(t, o)
		repo := create(t, s, "team/app")
		all := map[string]registry.Image{}
		config := addConfig(t, s, repo)
		for i := range 210 { // more than are written in a transaction
			key := fmt.Sprintf("%03d", i)
			all[key] = put(t, s, repo, "t"+key, imageOf(t, v1.Manifest{Config: config, Annotations: map[string]string{"n": key}}))
			time.Sleep(time.Second)
		}
		_, err := s.StartLifecyclePreview(alice(t), repo, keepOne)
		must(t, err)
		killed := 0
		for previewKilledAfter(t, o, repo, all, killed) {
			killed++
		}
		if killed < 5 {
			t.Errorf("killed at %d places only", killed)
		}
	})
}

// previewKilledAfter makes a preview of a copy of the rows, is killed after n
// transactions, if there are so many, goes on, and looks at what came of it.
func previewKilledAfter(t *testing.T, o registry.Options, repo registry.Name, all map[string]registry.Image, n int) (died bool) {
	t.Helper()
	index := &mortal{Index: copyOf(t, o.Index), left: -1}
	o.Index = index
	s := openUnchecked(t, o)
	index.left = n
	err := s.RunPreviews(alice(t))
	index.left = -1
	if died = errors.Is(err, errDead); !died {
		must(t, err)
	} else {
		s = openUnchecked(t, o)
		checkRows(t, s)
		must(t, s.RunPreviews(alice(t)))
		must(t, s.RunPreviews(alice(t)))
	}
	checkRows(t, s)
	p := preview(t, s, repo, registry.PreviewFilter{}, 100)
	if p.State != registry.PreviewComplete || p.Expiring != 209 || len(p.Results) != 209 || p.Results[0].Tags[0] != "t000" {
		t.Errorf("killed after %d transactions: %s with %d of %d results", n, p.State, len(p.Results), p.Expiring)
	}
	if done, _ := audits(t, s, registry.LifecyclePreviewed, all); len(done) != 209 || len(slices.Compact(slices.Sorted(slices.Values(done)))) != 209 {
		t.Errorf("killed after %d transactions: %d records", n, len(done))
	}
	named := preview(t, s, repo, registry.PreviewFilter{Images: []registry.Ref{tagged(t, "t205"), {Digest: all["007"].Digest}}}, 100)
	if len(named.Results) != 2 {
		t.Errorf("killed after %d transactions: %d results by name", n, len(named.Results))
	}
	return died
}

// TestTwoMakeAPreview: a process that lost its lease and goes on beside another
// one spoils nothing, however far that one came.
func TestTwoMakeAPreview(t *testing.T) {
	for at := range 3 {
		for far := range 4 {
			synctest.Test(t, func(t *testing.T) {
				index := &meddling{Index: memory.NewIndex()}
				s := open(t, registry.Options{Index: index})
				repo := create(t, s, "team/app")
				all := history(t, s, repo)
				_, err := s.StartLifecyclePreview(alice(t), repo, threeRules)
				must(t, err)
				index.beforeUpdate(at, func() {
					dying := &mortal{Index: index.Index, left: -1}
					other, err := registry.New(alice(t), registry.Options{Index: dying, Blobs: memory.NewBlobs()})
					must(t, err)
					dying.left = far
					if err := other.RunPreviews(alice(t)); err != nil && !errors.Is(err, errDead) {
						t.Errorf("the other one: %v", err)
					}
					dying.left = -1
				})
				must(t, s.RunPreviews(alice(t)))
				index.before = nil
				checkRows(t, s)
				must(t, s.RunPreviews(alice(t)))
				if p := preview(t, s, repo, registry.PreviewFilter{}, 10); p.State != registry.PreviewComplete || len(p.Results) != 4 {
					t.Errorf("preview %+v", p)
				}
				if done, _ := audits(t, s, registry.LifecyclePreviewed, all); len(done) != 4 {
					t.Errorf("recorded %q", done)
				}
			})
		}
	}
}

// TestPreviewsThatFail: a text that the server does not take any more makes none.
func TestPreviewsThatFail(t *testing.T) {
	s := open(t, registry.Options{LifecycleExtensions: true})
	n := create(t, s, "team/app")
	own := `{"rules": [` + rule(1, "any", "", moreThan(1), expire) + `], "berth": {"ageFrom": "tag"}}`
	_, err := s.StartLifecyclePreview(alice(t), n, own)
	must(t, err)
	s.Configure(registry.Options{})
	must(t, s.RunPreviews(alice(t)))
	if diff := cmp.Diff(registry.LifecyclePreview{Text: own, State: registry.PreviewFailed}, preview(t, s, n, registry.PreviewFilter{}, 10)); diff != "" {
		t.Errorf("preview (-want +got):\n%s", diff)
	}
	s.Configure(registry.Options{LifecycleExtensions: true})
	_, err = s.StartLifecyclePreview(alice(t), n, own)
	must(t, err)
	must(t, s.RunPreviews(alice(t)))
	if p := preview(t, s, n, registry.PreviewFilter{}, 10); p.State != registry.PreviewComplete {
		t.Errorf("another one: %+v", p)
	}
}

// TestPreviewsOfDeletedRepositories leave no rows.
func TestPreviewsOfDeletedRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{})
		for _, made := range []bool{false, true} {
			n := create(t, s, "team/app")
			history(t, s, n)
			_, err := s.PutLifecyclePolicy(alice(t), n, threeRules)
			must(t, err)
			_, err = s.StartLifecyclePreview(alice(t), n, "")
			must(t, err)
			if made {
				must(t, s.RunPreviews(alice(t)))
			}
			_, err = s.DeleteRepository(alice(t), n, true)
			must(t, err)
			must(t, s.RunPreviews(alice(t)))
			must(t, registry.Tidy(alice(t), s))
			due, err := s.PreviewsDue(alice(t))
			if due || err != nil {
				t.Errorf("due to a deleted repository: %v, %v", due, err)
			}
			create(t, s, "team/app")
			_, _, err = s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, "", 1)
			wantCode(t, "a new repository of the name", err, registry.LifecyclePreviewNotFound)
			_, err = s.DeleteRepository(alice(t), n, true)
			must(t, err)
			must(t, registry.Tidy(alice(t), s))
		}
	})
}
