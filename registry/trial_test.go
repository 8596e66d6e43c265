package registry_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

// countPolicy leaves some of the images whose tags have a prefix.
func countPolicy(prefix string, n int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":3,"selection":{"tagStatus":"tagged","tagPrefixList":[%q],"countType":"imageCountMoreThan","countNumber":%d},"action":{"type":"expire"}}]}`, prefix, n)
}

// keepingPolicy is a policy with a rule of Berth's own, that keeps a tag.
func keepingPolicy(tag string) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}],"berth":{"keep":[{"tagPatternList":[%q]}]}}`, tag)
}

// trial is a trial's result by the tags of the images.
type trial struct {
	Images                 int
	Has                    bool
	Decisions, New, Spared []string
}

func tryOn(t testing.TB, s *registry.Service, n registry.Name, text string, names map[digest.Digest]string) trial {
	t.Helper()
	got, err := s.TryLifecycle(alice(t), n, text)
	must(t, err)
	named := func(list []lifecycle.Decision) (all []string) {
		for _, d := range list {
			what := names[d.Image.Digest]
			if d.Kept != "" {
				what += " kept"
			}
			all = append(all, what)
		}
		return all
	}
	return trial{got.Images, got.HasPolicy, named(got.Decisions), named(got.New), named(got.Spared)}
}

func TestTryLifecycle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{LifecycleExtensions: true, RestoreTime: time.Hour})
		n := create(t, s, "team/app")
		names := map[digest.Digest]string{}
		add := func(name string) registry.Image {
			time.Sleep(time.Second)
			img := addImage(t, s, n, name, name)
			names[img.Digest] = name
			return img
		}
		is := func(what, text string, want trial) {
			t.Helper()
			if diff := cmp.Diff(want, tryOn(t, s, n, text, names)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		is("empty", countPolicy("v", 1), trial{})
		for _, name := range []string{"v1", "v2", "w1", "w2"} {
			add(name)
		}
		is("without a policy", countPolicy("v", 1), trial{4, false, []string{"v1"}, []string{"v1"}, nil})
		_, err := s.PutLifecyclePolicy(alice(t), n, countPolicy("w", 1))
		must(t, err)
		is("of other images", countPolicy("v", 1), trial{4, true, []string{"v1"}, []string{"v1"}, []string{"w1"}})
		is("the same", countPolicy("w", 1), trial{4, true, []string{"w1"}, nil, nil})
		is("with a keep rule", keepingPolicy("w1"), trial{4, true, []string{"v1", "v2", "w1 kept"}, []string{"v1", "v2"}, []string{"w1"}})

		back := add("x1")
		setClass(t, s, n, back, registry.ArchiveClass)
		old := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90},"action":{"type":"expire"}}]}`
		time.Sleep(91 * 24 * time.Hour)
		is("in the archive", old, trial{5, true, []string{"x1"}, []string{"x1"}, []string{"w1"}})
		setClass(t, s, n, back, registry.StandardClass)
		is("on its way back", old, trial{5, true, nil, nil, []string{"w1"}})
	})
}

func TestTryLifecycleRefusals(t *testing.T) {
	s := open(t, registry.Options{LifecycleExtensions: true})
	n := create(t, s, "team/app")
	_, err := s.TryLifecycle(alice(t), n, "{}")
	wantCode(t, "no policy", err, registry.LifecyclePolicyInvalid)
	_, err = s.TryLifecycle(alice(t), name(t, "team/absent"), countPolicy("v", 1))
	wantCode(t, "no repository", err, registry.RepositoryNotFound)

	// A policy that the settings do not take any more is not run.
	addImage(t, s, n, "v1", "one")
	addImage(t, s, n, "v2", "two")
	_, err = s.PutLifecyclePolicy(alice(t), n, keepingPolicy("x"))
	must(t, err)
	s.Configure(registry.Options{})
	_, err = s.TryLifecycle(alice(t), n, keepingPolicy("x"))
	wantCode(t, "an extension", err, registry.LifecyclePolicyInvalid)
	got, err := s.TryLifecycle(alice(t), n, countPolicy("v", 1))
	must(t, err)
	if !got.HasPolicy || len(got.New) != 1 || len(got.Spared) != 0 {
		t.Errorf("beside a policy that is not taken: %+v", got)
	}
}
