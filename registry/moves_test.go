package registry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// asker notes what it is asked for, and refuses what it is told to.
type asker struct {
	asked  []registry.Move
	refuse func(registry.Move) bool
}

var errNotHis = errors.New("not his to move")

func (a *asker) may(m registry.Move) error {
	a.asked = append(a.asked, m)
	if a.refuse != nil && a.refuse(m) {
		return errNotHis
	}
	return nil
}

// wanted fails the test unless that was asked, and begins anew.
func (a *asker) wanted(t *testing.T, what string, moves ...registry.Move) {
	t.Helper()
	if d := cmp.Diff(moves, a.asked, asTheyAre); d != "" {
		t.Errorf("%s: asked (-want +got):\n%s", what, d)
	}
	a.asked = nil
}

func TestPushAsksForEachTag(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	one, two := indexOf(t), append(indexOf(t), '\n')
	move := func(tag string, body []byte, exists bool) registry.Move {
		return registry.Move{Tag: tag, Digest: sha256Of(body), MediaType: v1.MediaTypeImageIndex, TagExists: exists}
	}
	for _, tt := range []struct {
		what string
		tags []string
		body []byte
		want []registry.Move
	}{
		{"no tag", nil, one, []registry.Move{move("", one, false)}},
		{"a zero tag", []string{""}, one, []registry.Move{move("", one, false)}},
		{"a new image and tag", []string{"a"}, one, []registry.Move{move("a", one, false)}},
		{"what is there", []string{"a"}, one, []registry.Move{move("a", one, false)}},
		{"the same image, a new tag", []string{"b"}, one, []registry.Move{move("b", one, false)}},
		{"a tag of another image, and a new one", []string{"a", "c"}, two, []registry.Move{move("a", two, true), move("c", two, false)}},
		{"back", []string{"a"}, one, []registry.Move{move("a", one, true)}},
	} {
		var a asker
		_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, tt.tags...), Body: tt.body, May: a.may})
		must(t, err)
		a.wanted(t, tt.what, tt.want...)
	}
}

func TestRefusedMovesChangeNothing(t *testing.T) {
	s := open(t, registry.Options{CreateOnPush: registry.CreateAlways})
	n := create(t, s, "team/app")
	body := append(indexOf(t), '\n')
	old := put(t, s, n, "release", indexOf(t))
	put(t, s, n, "dev", indexOf(t))
	a := asker{refuse: func(m registry.Move) bool { return m.Tag == "release" }}
	ref := registry.Ref{Digest: old.Digest}
	for what, try := range map[string]func() error{
		"push to the tag": func() error {
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, "release"), Body: body, May: a.may})
			return err
		},
		"push to others too": func() error {
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, "dev", "new", "release"), Body: body, May: a.may})
			return err
		},
		"push of what is there": func() error {
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, "release"), Body: indexOf(t), May: a.may})
			return err
		},
		"push of what cannot be": func() error {
			body := imageOf(t, v1.Manifest{Config: descriptor(v1.MediaTypeImageConfig, []byte("not there")), Layers: []v1.Descriptor{}})
			_, err := s.PutImage(alice(t), n, registry.Push{Tags: tagList(t, "release"), Body: body, May: a.may})
			return err
		},
		"push that would make a repository": func() error {
			_, err := s.PutImage(alice(t), name(t, "team/new"), registry.Push{Tags: tagList(t, "release"), Body: body, MayCreate: true, May: a.may})
			return err
		},
		"delete by digest": func() error { _, err := s.DeleteImage(alice(t), n, ref, a.may); return err },
		"delete by tag":    func() error { _, err := s.DeleteImage(alice(t), n, tagged(t, "dev"), a.may); return err },
		"untag":            func() error { _, err := s.Untag(alice(t), n, tag(t, "release"), registry.KeepImage, a.may); return err },
		"ask ahead":        func() error { return s.MayRemove(alice(t), n, ref, a.may) },
		"ask for a tag":    func() error { return s.MayRemove(alice(t), n, tagged(t, "release"), a.may) },
	} {
		before := len(readEvents(t, s, 100))
		if err := try(); !errors.Is(err, errNotHis) {
			t.Errorf("%s: %v", what, err)
		}
		if got := tagNames(t, s, n); len(got) != 2 || got["release"] != old.Digest || got["dev"] != old.Digest {
			t.Errorf("%s: tags are %v", what, got)
		}
		if after := len(readEvents(t, s, 100)); after != before {
			t.Errorf("%s: %d events", what, after-before)
		}
	}
	_, err := s.Repository(alice(t), name(t, "team/new"))
	wantCode(t, "made by a push that was refused", err, registry.RepositoryNotFound)
}

func TestRemovalAsksForEachTag(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := put(t, s, n, "a", indexOf(t))
	put(t, s, n, "b", indexOf(t))
	move := func(tag string) registry.Move {
		return registry.Move{Tag: tag, Digest: img.Digest, MediaType: img.MediaType, TagExists: tag != ""}
	}
	var a asker
	must(t, s.MayRemove(alice(t), n, registry.Ref{Digest: img.Digest}, a.may))
	a.wanted(t, "ask for an image", move("a"), move("b"))
	must(t, s.MayRemove(alice(t), n, tagged(t, "b"), a.may))
	a.wanted(t, "ask for a tag", move("b"))
	must(t, s.MayRemove(alice(t), n, tagged(t, "none"), a.may))
	must(t, s.MayRemove(alice(t), name(t, "team/none"), tagged(t, "a"), a.may))
	a.wanted(t, "ask for nothing")
	_, err := s.Untag(alice(t), n, tag(t, "a"), registry.RemoveLast, a.may)
	must(t, err)
	a.wanted(t, "untag", move("a"))
	_, err = s.Untag(alice(t), n, tag(t, "b"), registry.KeepImage, a.may)
	must(t, err)
	a.wanted(t, "untag the last", move("b"))
	_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, a.may)
	must(t, err)
	a.wanted(t, "delete what has no tag", move(""))
}

// TestMayMove: what is known is asked for at once, the rest when it is.
func TestMayMove(t *testing.T) {
	move := registry.Move{Tag: "v1", Digest: digest.FromBytes(digest.SHA256, nil), MediaType: v1.MediaTypeImageIndex, TagExists: true}
	all := policy.Keys{
		"aws:x": {"y"}, "berth:imagetag": {"v1"}, "berth:imagedigest": {move.Digest.String()},
		"berth:mediatype": {v1.MediaTypeImageIndex}, "berth:tagexists": {"true"},
	}
	later := []string{"berth:imagedigest", "berth:mediatype", "berth:tagexists"}
	for _, tt := range []struct {
		what   string
		tags   []string
		first  []auth.Check
		second policy.Keys
	}{
		{"known", []string{"v0", "v1"}, []auth.Check{
			{Keys: policy.Keys{"aws:x": {"y"}, "berth:imagetag": {"v0"}}, Pending: later},
			{Keys: policy.Keys{"aws:x": {"y"}, "berth:imagetag": {"v1"}}, Pending: later},
		}, all},
		{"open", nil, []auth.Check{{Keys: policy.Keys{"aws:x": {"y"}}, Pending: append([]string{"berth:imagetag"}, later...)}}, all},
	} {
		var asked []auth.Check
		ask := auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error {
			asked = append(asked, c)
			return nil
		})
		may, err := registry.MayMove(t.Context(), ask, auth.Check{Keys: policy.Keys{"aws:x": {"y"}}}, tt.tags...)
		must(t, err)
		if d := cmp.Diff(tt.first, asked); d != "" {
			t.Errorf("%s: asked at first (-want +got):\n%s", tt.what, d)
		}
		asked = nil
		must(t, may(move))
		if d := cmp.Diff([]auth.Check{{Keys: tt.second}}, asked); d != "" {
			t.Errorf("%s: asked then (-want +got):\n%s", tt.what, d)
		}
	}
}

func TestMayMoveWithoutTag(t *testing.T) {
	var last auth.Check
	ask := auth.AuthorizerFunc(func(_ context.Context, c auth.Check) error { last = c; return nil })
	may, err := registry.MayMove(t.Context(), ask, auth.Check{}, "")
	must(t, err)
	must(t, may(registry.Move{MediaType: "m"}))
	if _, there := last.Keys["berth:imagetag"]; there || last.Keys["berth:tagexists"][0] != "false" {
		t.Errorf("asked with %v", last.Keys)
	}
	if err := may(registry.Move{Tag: "v1"}); err == nil {
		t.Error("a tag moves that nobody was asked for")
	}
}
