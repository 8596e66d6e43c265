package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

func (s *trashStore) removeRepository(n registry.Name) {
	s.t.Helper()
	_, err := s.DeleteRepository(alice(s.t), n, true)
	must(s.t, err)
	must(s.t, registry.Tidy(context.Background(), s.Service))
	checkRows(s.t, s.Service)
}

func (s *trashStore) restoreRepository(n, as registry.Name) {
	s.t.Helper()
	_, err := s.RestoreRepository(alice(s.t), n, as)
	must(s.t, err)
	checkRows(s.t, s.Service)
}

func TestRestoreRepository(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	elsewhere := create(t, s.Service, "elsewhere")
	one, two := addImage(t, s.Service, n, "1", "one"), addImage(t, s.Service, n, "2", "two")
	s.remove(n, two.Digest)
	s.clock.pass(time.Hour)
	upload := start(t, s.Service, n)
	send(t, s.Service, n, upload, "part")
	s.removeRepository(n)
	_, err := s.Repository(alice(t), n)
	wantCode(t, "a repository in the trash", err, registry.RepositoryNotFound)
	all := func(context.Context, registry.Name) bool { return true }
	for _, from := range []registry.Name{n, {}} {
		_, err = s.Mount(alice(t), elsewhere, sha256Of([]byte("one")), registry.Mount{From: from, MayRead: all})
		wantCode(t, "mount from a repository in the trash", err, registry.LayerNotFound)
	}
	s.wantTrash(short("app", two.Digest)+" 2", "app")

	// The name is free at once, and then the old one needs another.
	second := addImage(t, s.Service, create(t, s.Service, "app"), "1", "second")
	_, err = s.RestoreRepository(alice(t), n, registry.Name{})
	wantCode(t, "restore where the name is taken", err, registry.RepositoryExists)
	checkRows(t, s.Service)
	back := name(t, "back")
	s.restoreRepository(n, back)
	if named := tagNames(t, s.Service, back); len(named) != 1 || named["1"] != one.Digest {
		t.Errorf("tags that came back: %v", named)
	}
	if named := tagNames(t, s.Service, n); len(named) != 1 || named["1"] != second.Digest {
		t.Errorf("tags of the new one: %v", named)
	}
	readLayer(t, s.Service, back, sha256Of([]byte("one")))
	l, err := s.Mount(alice(t), elsewhere, sha256Of([]byte("one")), registry.Mount{MayRead: func(_ context.Context, n registry.Name) bool { return n == back }})
	if err != nil || l.Existed {
		t.Errorf("mounted %+v, %v", l, err)
	}
	_, err = s.Upload(alice(t), back, upload)
	wantCode(t, "an upload to a repository that was deleted", err, registry.UploadNotFound)
	s.wantTrash(short("back", two.Digest) + " 2")
	s.restore(back, two.Digest)
	_, err = s.RestoreRepository(alice(t), n, back)
	wantCode(t, "restore what is back", err, registry.NotInTrash)
}

func TestRestoreTakesTheRepositoryThatWentLast(t *testing.T) {
	s := openTrash(t, nil)
	n := name(t, "app")
	for _, content := range []string{"first", "second"} {
		addImage(t, s.Service, create(t, s.Service, "app"), content, content)
		s.removeRepository(n)
		s.clock.pass(time.Hour)
	}
	s.restoreRepository(n, registry.Name{})
	if named := tagNames(t, s.Service, n); len(named) != 1 || named["second"].IsZero() {
		t.Errorf("tags that came back: %v", named)
	}
	s.restoreRepository(n, name(t, "other"))
	if named := tagNames(t, s.Service, name(t, "other")); len(named) != 1 || named["first"].IsZero() {
		t.Errorf("tags that came back: %v", named)
	}
	_, err := s.RestoreRepository(alice(t), n, nameIn(t, west, "app"))
	wantCode(t, "restore in another registry", err, registry.NameInvalid)
}

func TestTrashedRepositoryGoes(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	img := addImage(t, s.Service, n, "1", "one")
	s.remove(n, addImage(t, s.Service, n, "2", "two").Digest)
	s.clock.pass(time.Minute)
	s.removeRepository(n)
	page, _, err := s.Trash(alice(t), registry.TrashFilter{}, "", 10)
	must(t, err)
	if got := page[len(page)-1]; got.Images != 1 || got.Bytes != img.ManifestSize*2+int64(len("{}one"+"two")) || got.By != arn("alice") {
		t.Errorf("in the trash %+v", got)
	}
	s.clock.pass(week)
	s.sweep()
	s.wantTrash()
	if n := blobCount(t, s.blobs); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
	_, err = s.RestoreRepository(alice(t), n, registry.Name{})
	wantCode(t, "restore what is gone", err, registry.NotInTrash)
}

func TestEmptyTrash(t *testing.T) {
	s := openTrash(t, nil)
	n, other := create(t, s.Service, "app"), create(t, s.Service, "other")
	s.remove(n, addImage(t, s.Service, n, "1", "one").Digest)
	s.clock.pass(time.Hour)
	limit := s.clock.now()
	two := addImage(t, s.Service, n, "2", "two")
	s.remove(n, two.Digest)
	s.clock.pass(time.Second)
	three := addImage(t, s.Service, other, "3", "three")
	s.remove(other, three.Digest)
	for _, f := range []registry.TrashFilter{{Registry: west}, {Repository: name(t, "none")}, {Before: limit.Add(-2 * time.Hour)}} {
		if gone, err := s.EmptyTrash(alice(t), f); err != nil || gone != (registry.TrashSize{}) {
			t.Errorf("%+v let %+v go, %v", f, gone, err)
		}
	}
	gone, err := s.EmptyTrash(alice(t), registry.TrashFilter{Repository: n, Before: limit})
	if err != nil || gone.Images != 1 || gone.Repositories != 0 || gone.Bytes == 0 {
		t.Errorf("let %+v go, %v", gone, err)
	}
	s.wantTrash(short("app", two.Digest)+" 2", short("other", three.Digest)+" 3")
	s.removeRepository(other)
	gone, err = s.EmptyTrash(alice(t), registry.TrashFilter{})
	if err != nil || gone.Images != 2 || gone.Repositories != 1 {
		t.Errorf("let %+v go, %v", gone, err)
	}
	must(t, registry.Tidy(t.Context(), s.Service))
	s.wantTrash()
	if n := blobCount(t, s.blobs); n != 0 {
		t.Errorf("%d blobs are left", n)
	}
}

func TestArchivedImagesInTheTrash(t *testing.T) {
	s := openTrash(t, func(o *registry.Options) { o.RestoreTime = time.Hour })
	n := create(t, s.Service, "app")
	img := addImage(t, s.Service, n, "1", "one")
	setClass(t, s.Service, n, img, registry.ArchiveClass)
	s.remove(n, img.Digest)
	s.restore(n, img.Digest)
	if got := statusOf(t, s.Service, n, img); got != registry.Archived {
		t.Errorf("it came back %s", got)
	}
	_, _, err := s.OpenLayer(alice(t), n, sha256Of([]byte("one")))
	wantCode(t, "a layer of an archived image", err, registry.LayerArchived)

	setClass(t, s.Service, n, img, registry.StandardClass)
	s.remove(n, img.Digest)
	s.clock.pass(2 * time.Hour)
	must(t, registry.FinishRestores(t.Context(), s.Service))
	s.restore(n, img.Digest)
	if got := statusOf(t, s.Service, n, img); got != registry.Activating {
		t.Errorf("it came back %s", got)
	}
	s.removeRepository(n)
	s.clock.pass(2 * time.Hour)
	must(t, registry.FinishRestores(t.Context(), s.Service))
	s.restoreRepository(n, name(t, "back"))
	s.clock.pass(time.Hour)
	must(t, registry.FinishRestores(t.Context(), s.Service))
	checkRows(t, s.Service)
	if got := statusOf(t, s.Service, name(t, "back"), img); got != registry.Active {
		t.Errorf("it is %s at the end", got)
	}
}

func TestIndexFromTheTrashHasItsImagesActive(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	child := addImage(t, s.Service, n, "child", "child")
	list := put(t, s.Service, n, "list", indexOf(t, child))
	s.remove(n, list.Digest)
	setClass(t, s.Service, n, child, registry.ArchiveClass)
	s.restore(n, list.Digest)
	if got := statusOf(t, s.Service, n, child); got != registry.Active {
		t.Errorf("the image of an index that came back is %s", got)
	}
}

func TestReferrersInTheTrash(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "app")
	img := addImage(t, s.Service, n, "1", "one")
	signature := referrerOf(t, s.Service, n, img, "signature")
	referrers := func() int {
		page, _, err := s.Referrers(alice(t), n, img.Digest, registry.ReferrerFilter{}, "", 10)
		must(t, err)
		return len(page)
	}
	s.remove(n, signature.Digest)
	if n := referrers(); n != 0 {
		t.Errorf("%d referrers of which the one is in the trash", n)
	}
	s.restore(n, signature.Digest)
	if n := referrers(); n != 1 {
		t.Errorf("%d referrers", n)
	}
}

func TestWhatIsDoneByItselfGoesOnAfterARestore(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "team/app")
	must(t, s.PutReplication(alice(t), here, bringing([]string{"team"}, west)))
	for _, tg := range []string{"1", "2", "3"} {
		addImage(t, s.Service, n, tg, tg)
		s.clock.pass(time.Minute)
	}
	_, err := s.PutLifecyclePolicy(alice(t), n, rules(rule(1, "any", "", moreThan(2), expire)))
	must(t, err)
	_, err = s.StartLifecyclePreview(alice(t), n, "")
	must(t, err)
	s.removeRepository(n)
	for _, r := range waiting(t, s.Service) {
		must(t, s.ReceiveReplica(t.Context(), r))
	}
	s.clock.pass(2 * time.Hour)
	if due, err := s.LifecycleDue(t.Context()); err != nil || due {
		t.Errorf("a policy of the trash is due: %v, %v", due, err)
	}
	must(t, s.RunPreviews(t.Context()))
	checkRows(t, s.Service)

	s.restoreRepository(n, registry.Name{})
	bringAll(t, s.Service)
	if n := len(tagNames(t, s.Service, nameIn(t, west, "team/app"))); n != 3 {
		t.Errorf("%d tags came to the destination", n)
	}
	must(t, s.RunPreviews(t.Context()))
	p, _, err := s.LifecyclePreview(alice(t), n, registry.PreviewFilter{}, "", 10)
	if err != nil || p.State != registry.PreviewComplete || p.Expiring != 1 {
		t.Errorf("preview %+v, %v", p, err)
	}
	must(t, s.RunLifecycle(t.Context()))
	if n := len(tagNames(t, s.Service, n)); n != 3 {
		t.Errorf("%d tags: the policy ran at once", n)
	}
	s.clock.pass(2 * time.Hour)
	must(t, s.RunLifecycle(t.Context()))
	page, _, err := s.Trash(alice(t), registry.TrashFilter{}, "", 10)
	must(t, err)
	if len(page) != 1 || page[0].Cause != registry.TrashedByLifecycle || page[0].By != "" || page[0].Reason == "" {
		t.Errorf("in the trash %+v", page)
	}
}

// TestTrashSurvivesAKill: wherever a sequence of calls is broken off, rows agree, and
// the calls can be made again.
func TestTrashSurvivesAKill(t *testing.T) {
	for killed := 0; ; killed++ {
		index := &mortal{Index: memory.NewIndex(), left: -1}
		s := openTrash(t, func(o *registry.Options) { o.Index = index })
		n := create(t, s.Service, "app")
		one, two := addImage(t, s.Service, n, "1", "one"), addImage(t, s.Service, n, "2", "two")
		index.left = killed
		broken := throughTheTrash(s, n, one, two)
		index.left = -1
		checkRows(t, s.Service)
		if broken != nil && !errors.Is(broken, errDead) {
			t.Fatal(broken)
		}
		if broken == nil {
			if killed < 8 {
				t.Errorf("killed at %d places only", killed)
			}
			return
		}
		held := blobCount(t, s.blobs)
		must(t, registry.Tidy(t.Context(), s.Service))
		if got := blobCount(t, s.blobs); got > held {
			t.Errorf("%d blobs, %d before", got, held)
		}
	}
}

// throughTheTrash takes images and their repository into the trash and out of it.
func throughTheTrash(s *trashStore, n registry.Name, one, two registry.Image) error {
	ctx := alice(s.t)
	steps := []func() error{
		func() error { _, err := s.DeleteImage(ctx, n, registry.Ref{Digest: one.Digest}, nil); return err },
		func() error { _, err := s.RestoreImage(ctx, n, registry.Ref{Digest: one.Digest}); return err },
		func() error { _, err := s.DeleteImage(ctx, n, registry.Ref{Digest: two.Digest}, nil); return err },
		func() error { _, err := s.DeleteRepository(ctx, n, true); return err },
		func() error { _, err := s.RestoreRepository(ctx, n, name(s.t, "back")); return err },
		func() error { _, err := s.EmptyTrash(ctx, registry.TrashFilter{}); return err },
		func() error { _, err := s.DeleteRepository(ctx, name(s.t, "back"), true); return err },
		func() error { _, err := s.RestoreRepository(ctx, name(s.t, "back"), n); return err },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestTrashHasItsPlaces(t *testing.T) {
	s := openTrash(t, nil)
	_, _, err := s.Trash(alice(t), registry.TrashFilter{}, "nowhere", 1)
	wantCode(t, "a place that is none", err, registry.PageInvalid)
}

func TestRestoreRespectsLimits(t *testing.T) {
	s := openTrash(t, func(o *registry.Options) { o.Limits.Images, o.Limits.Repositories = 1, 1 })
	n := create(t, s.Service, "app")
	one := addImage(t, s.Service, n, "1", "one")
	s.remove(n, one.Digest)
	two := addImage(t, s.Service, n, "2", "two")
	_, err := s.RestoreImage(alice(t), n, registry.Ref{Digest: one.Digest})
	wantCode(t, "more images than there may be", err, registry.TooManyImages)
	s.wantTrash(short("app", one.Digest) + " 1")
	s.removeRepository(n)
	create(t, s.Service, "other")
	_, err = s.RestoreRepository(alice(t), n, registry.Name{})
	wantCode(t, "more repositories than there may be", err, registry.TooManyRepositories)
	s.removeRepository(name(t, "other"))
	s.restoreRepository(n, registry.Name{})
	if named := tagNames(t, s.Service, n); !cmp.Equal(named["2"].String(), two.Digest.String()) {
		t.Errorf("tags %v", named)
	}
}
