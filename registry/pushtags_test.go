package registry_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// tagList lists the tags of a push; "" is none.
func tagList(t testing.TB, names ...string) (list []registry.Tag) {
	t.Helper()
	for _, n := range names {
		list = append(list, tag(t, n))
	}
	return list
}

func TestSeveralTagsAreSetTogether(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	old := put(t, s, n, "b", indexOf(t))
	body := append(indexOf(t), '\n')
	for _, step := range []struct {
		tags    []string
		existed bool
		events  []string // tags of the events
	}{
		{[]string{"a", "b", "a", "", "c"}, false, []string{"a", "b", "c"}},
		{[]string{"c", "b"}, true, nil},
		{[]string{"c", "d"}, false, []string{"d"}},
	} {
		before := len(readEvents(t, s, 100))
		done, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, step.tags...), Body: body})
		must(t, err)
		var events []string
		for _, e := range readEvents(t, s, 100)[before:] {
			events = append(events, e.Tag.String())
		}
		if diff := cmp.Diff(step.events, events); done.Existed != step.existed || diff != "" {
			t.Errorf("push of %q: existed %v, want %v; events (-want +got):\n%s", step.tags, done.Existed, step.existed, diff)
		}
	}
	now := put(t, s, n, "", body).Digest
	want := map[string]digest.Digest{"a": now, "b": now, "c": now, "d": now}
	if got := tagNames(t, s, n); len(got) != len(want) || got["a"] != now || got["b"] != now || got["d"] != now {
		t.Errorf("tags %v, want %v, and none on %s", got, want, old.Digest)
	}
}

// One tag that may not be set keeps all others, and the image, out.
func TestSeveralTagsOrNone(t *testing.T) {
	for name, o := range map[string]struct {
		limits registry.Limits
		want   registry.Code
	}{
		"an immutable one": {registry.Limits{}, registry.TagImmutable},
		"one too many":     {registry.Limits{Tags: 2}, registry.TooManyTags},
	} {
		s := open(t, registry.Options{Limits: o.limits})
		n := createWith(t, s, "team/app", registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
		put(t, s, n, "taken", indexOf(t))
		list := tagList(t, "new", "newer", "taken")
		if o.want == registry.TooManyTags {
			list = tagList(t, "new", "newer", "newest")
		}
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: list, Body: append(indexOf(t), '\n')})
		wantCode(t, name, err, o.want)
		if got := tagNames(t, s, n); len(got) != 1 {
			t.Errorf("%s: tags are %v", name, got)
		}
		if page, _, err := s.Images(alice(t), n, registry.ImageFilter{}, "", 10); err != nil || len(page) != 1 {
			t.Errorf("%s: the refused push left %d images, %v", name, len(page), err)
		}
	}
}
