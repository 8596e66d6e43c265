package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

// setClass changes the storage class of an image and returns its new status.
func setClass(t testing.TB, s *registry.Service, n registry.Name, img registry.Image, class registry.StorageClass) registry.ImageStatus {
	t.Helper()
	got, err := s.SetStorageClass(alice(t), n, registry.Ref{Digest: img.Digest}, class)
	must(t, err)
	return got.Status
}

// referrerOf pushes a referrer.
func referrerOf(t testing.TB, s *registry.Service, n registry.Name, subject registry.Image, note string) registry.Image {
	t.Helper()
	return put(t, s, n, "", imageOf(t, v1.Manifest{
		Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, note)},
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest.OCI(), Size: subject.ManifestSize},
	}))
}

func statusOf(t testing.TB, s *registry.Service, n registry.Name, img registry.Image) registry.ImageStatus {
	t.Helper()
	got, err := s.DescribeImage(alice(t), n, registry.Ref{Digest: img.Digest})
	must(t, err)
	return got.Status
}

func TestArchiveAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{RestoreTime: time.Minute})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		n := create(t, s, "team/app")
		img, other := addImage(t, s, n, "1.0", "one"), addImage(t, s, n, "2.0", "two")
		if got := setClass(t, s, n, img, registry.ArchiveClass); got != registry.Archived {
			t.Errorf("archived it is %s", got)
		}
		hidden := func(what string) {
			t.Helper()
			_, err := s.Image(alice(t), n, tagged(t, "1.0"))
			wantCode(t, what+", head", err, registry.ImageArchived)
			_, _, err = s.Manifest(alice(t), n, registry.Ref{Digest: img.Digest})
			wantCode(t, what+", pull", err, registry.ImageArchived)
			_, _, err = s.OpenLayer(alice(t), n, sha256Of([]byte("one")))
			wantCode(t, what+", layer", err, registry.LayerArchived)
			_, err = s.ReadableLayer(alice(t), n, sha256Of([]byte("one")))
			wantCode(t, what+", layer's head", err, registry.LayerArchived)
			readLayer(t, s, n, sha256Of([]byte("{}"))) // the other image uses the config too
			if l, err := s.Layer(alice(t), n, sha256Of([]byte("one"))); err != nil || !l.Archived {
				t.Errorf("%s: layer %+v, %v", what, l, err)
			}
			tags, _, err := s.Tags(alice(t), n, "", 10)
			must(t, err)
			if diff := cmp.Diff([]registry.Tag{tag(t, "2.0")}, tags, asTheyAre); diff != "" {
				t.Errorf("%s: tags (-want +got):\n%s", what, diff)
			}
		}
		hidden("archived")
		if got := setClass(t, s, n, img, registry.StandardClass); got != registry.Activating {
			t.Errorf("on its way back it is %s", got)
		}
		hidden("activating")
		_, err := s.SetStorageClass(alice(t), n, tagged(t, "1.0"), registry.ArchiveClass)
		wantCode(t, "archive what is on its way", err, registry.StorageClassUnchangeable)
		time.Sleep(time.Minute + 2*time.Second)
		synctest.Wait()
		if got := tagNames(t, s, n); got["1.0"] != img.Digest || len(got) != 2 {
			t.Errorf("back with tags %v", got)
		}
		back, err := s.DescribeImage(alice(t), n, tagged(t, "1.0"))
		if err != nil || back.Status != registry.Active || back.ArchivedAt.IsZero() || back.ActivatedAt.Sub(back.ArchivedAt) < time.Minute {
			t.Errorf("back as %+v, %v", back, err)
		}
		readLayer(t, s, n, sha256Of([]byte("one")))
		for class, img := range map[registry.StorageClass]registry.Image{registry.StandardClass: img, registry.StandardClass + " ": other} {
			_, err := s.SetStorageClass(alice(t), n, registry.Ref{Digest: img.Digest}, class)
			if class == registry.StandardClass {
				wantCode(t, "restore what is there", err, registry.StorageClassUnchangeable)
			} else {
				wantCode(t, "no class", err, registry.SettingInvalid)
			}
		}
		stop()
		must(t, <-done)
	})
}

func TestArchiveFilters(t *testing.T) {
	s := open(t, registry.Options{RestoreTime: time.Hour})
	n := create(t, s, "team/app")
	active, archived, activating := addImage(t, s, n, "a", "a"), addImage(t, s, n, "b", "b"), addImage(t, s, n, "c", "c")
	setClass(t, s, n, archived, registry.ArchiveClass)
	setClass(t, s, n, activating, registry.ArchiveClass)
	setClass(t, s, n, activating, registry.StandardClass)
	is := func(filter registry.StatusFilter, want ...registry.Image) {
		t.Helper()
		page, _, err := s.Images(alice(t), n, registry.ImageFilter{Status: filter}, "", 10)
		must(t, err)
		ids, _, err := s.ImageIDs(alice(t), n, registry.ImageFilter{Status: filter}, "", 10)
		must(t, err)
		got := map[string]bool{}
		for _, img := range page {
			got[img.Digest.String()] = true
		}
		for _, img := range want {
			if !got[img.Digest.String()] {
				t.Errorf("%q misses %s", filter, img.Digest)
			}
		}
		if len(page) != len(want) || len(ids) != len(want) {
			t.Errorf("%q lists %d images and %d pairs, want %d", filter, len(page), len(ids), len(want))
		}
	}
	is("", active)
	is("ACTIVE", active)
	is("ARCHIVED", archived)
	is("ACTIVATING", activating)
	is("ANY", active, archived, activating)
}

func TestPushRestores(t *testing.T) {
	s := open(t, registry.Options{})
	n := createWith(t, s, "team/app", registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}})
	img := addImage(t, s, n, "1.0", "one")
	signature := referrerOf(t, s, n, img, "signed")
	_, body, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
	must(t, err)
	setClass(t, s, n, img, registry.ArchiveClass)
	if got := statusOf(t, s, n, signature); got != registry.Archived {
		t.Errorf("the referrer is %s", got)
	}
	_, err = s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1.0")}, Body: indexOf(t)})
	wantCode(t, "take the tag of an archived image", err, registry.TagImmutable)
	done, err := s.PutImage(alice(t), n, registry.Push{Tags: []registry.Tag{tag(t, "1.0")}, Body: body})
	must(t, err)
	if done.Existed || done.Image.Status != registry.Active {
		t.Errorf("pushed again: %+v", done)
	}
	if got := statusOf(t, s, n, signature); got != registry.Active {
		t.Errorf("after the push the referrer is %s", got)
	}
	setClass(t, s, n, img, registry.ArchiveClass)
	if got := setClass(t, s, n, img, registry.StandardClass); got != registry.Active {
		t.Errorf("restored without a wait it is %s", got)
	}
	setClass(t, s, n, img, registry.ArchiveClass)
	_, err = s.DeleteImage(alice(t), n, tagged(t, "1.0"), nil)
	must(t, err)
}

func TestIndexesInTheArchive(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	child := addImage(t, s, n, "", "child")
	index := put(t, s, n, "all", indexOf(t, child))
	_, err := s.SetStorageClass(alice(t), n, registry.Ref{Digest: child.Digest}, registry.ArchiveClass)
	wantCode(t, "the child of an active index", err, registry.StorageClassUnchangeable)
	setClass(t, s, n, index, registry.ArchiveClass)
	if got := statusOf(t, s, n, child); got != registry.Active {
		t.Errorf("the child of an archived index is %s", got)
	}
	setClass(t, s, n, child, registry.ArchiveClass)
	setClass(t, s, n, index, registry.StandardClass)
	if got := statusOf(t, s, n, child); got != registry.Active {
		t.Errorf("the child of a restored index is %s", got)
	}
}

func TestIndexNeedsItsImages(t *testing.T) {
	s := open(t, registry.Options{RestoreTime: time.Hour})
	n := create(t, s, "team/app")
	child := addImage(t, s, n, "1.0", "child")
	index := put(t, s, n, "all", indexOf(t, child))
	setClass(t, s, n, index, registry.ArchiveClass)
	setClass(t, s, n, child, registry.ArchiveClass)
	setClass(t, s, n, index, registry.StandardClass)
	if got := statusOf(t, s, n, child); got != registry.Activating {
		t.Errorf("with its index on the way back the child is %s", got)
	}
	put(t, s, n, "all", indexOf(t, child))
	for _, img := range []registry.Image{child, index} {
		if got := statusOf(t, s, n, img); got != registry.Active {
			t.Errorf("after a push of the index %s is %s", img.Digest, got)
		}
	}
	other := addImage(t, s, n, "2.0", "other")
	setClass(t, s, n, other, registry.ArchiveClass)
	put(t, s, n, "both", indexOf(t, child, other))
	if got := statusOf(t, s, n, other); got != registry.Active {
		t.Errorf("an archived image that a new index names is %s", got)
	}
}

func TestRestoreAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := registry.Options{RestoreTime: time.Hour, Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
		s := open(t, o)
		n := create(t, s, "team/app")
		img := addImage(t, s, n, "1.0", "one")
		setClass(t, s, n, img, registry.ArchiveClass)
		setClass(t, s, n, img, registry.StandardClass)
		time.Sleep(2 * time.Hour) // nobody runs
		s = open(t, o)
		if got := statusOf(t, s, n, img); got != registry.Activating {
			t.Errorf("before anybody looks it is %s", got)
		}
		go func() { must(t, s.Run(t.Context())) }()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := statusOf(t, s, n, img); got != registry.Active {
			t.Errorf("after a restart it is %s", got)
		}
	})
}

// A push brings an image back before its time, which then means nothing any more.
func TestRestoreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, registry.Options{RestoreTime: time.Hour})
		go func() { must(t, s.Run(t.Context())) }()
		n := create(t, s, "team/app")
		img := addImage(t, s, n, "1.0", "one")
		gone := addImage(t, s, n, "2.0", "two")
		_, body, err := s.Manifest(alice(t), n, tagged(t, "1.0"))
		must(t, err)
		for _, img := range []registry.Image{img, gone} {
			setClass(t, s, n, img, registry.ArchiveClass)
			setClass(t, s, n, img, registry.StandardClass)
		}
		_, err = s.DeleteImage(alice(t), n, registry.Ref{Digest: gone.Digest}, nil)
		must(t, err)
		time.Sleep(30 * time.Minute)
		put(t, s, n, "1.0", body)
		setClass(t, s, n, img, registry.ArchiveClass)
		setClass(t, s, n, img, registry.StandardClass)
		for after, want := range []registry.ImageStatus{registry.Activating, registry.Active} {
			time.Sleep(31 * time.Minute)
			synctest.Wait()
			if got := statusOf(t, s, n, img); got != want {
				t.Errorf("%d times 31 minutes after the second restore it is %s, want %s", after+1, got, want)
			}
		}
	})
}

// A layer that many images share is read while one of them is active, and is not
// deleted while there is any.
func TestSharedLayersInTheArchive(t *testing.T) {
	s := open(t, registry.Options{RestoreTime: time.Hour})
	n := create(t, s, "team/app")
	shared := addLayer(t, s, n, "shared")
	var all []registry.Image
	for i := range 12 {
		all = append(all, put(t, s, n, "", imageOf(t, v1.Manifest{
			Config: addConfig(t, s, n), Layers: []v1.Descriptor{shared, addLayer(t, s, n, fmt.Sprint(i)), shared},
		})))
	}
	d := sha256Of([]byte("shared"))
	for i, img := range all {
		readLayer(t, s, n, d)
		setClass(t, s, n, img, registry.ArchiveClass)
		_, _, err := s.OpenLayer(alice(t), n, sha256Of([]byte(fmt.Sprint(i))))
		wantCode(t, "a layer of its own", err, registry.LayerArchived)
	}
	_, _, err := s.OpenLayer(alice(t), n, d)
	wantCode(t, "the shared layer", err, registry.LayerArchived)
	setClass(t, s, n, all[0], registry.StandardClass)
	_, _, err = s.OpenLayer(alice(t), n, d)
	wantCode(t, "the shared layer, with an image on its way back", err, registry.LayerArchived)
	if l, err := s.Layer(alice(t), n, d); err != nil || !l.Referenced || !l.Archived || l.MediaType != shared.MediaType {
		t.Errorf("the shared layer is %+v, %v", l, err)
	}
	if e := wantCode(t, "delete it", s.DeleteLayer(alice(t), n, d), registry.LayerReferenced); len(e.Digests) != 10 {
		t.Errorf("the refusal names %d images, want 10", len(e.Digests))
	}
	for _, img := range all {
		_, err := s.DeleteImage(alice(t), n, registry.Ref{Digest: img.Digest}, nil)
		must(t, err)
	}
	must(t, s.DeleteLayer(alice(t), n, d))
}

func TestArchivedLayersAreNotMounted(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	img := addImage(t, s, n, "1.0", "one")
	setClass(t, s, n, img, registry.ArchiveClass)
	anyone := func(context.Context, registry.Name) bool { return true }
	_, err := s.Mount(alice(t), other, sha256Of([]byte("one")), registry.Mount{From: n, MayRead: anyone})
	wantCode(t, "mount an archived layer", err, registry.LayerNotFound)
}

func TestStorageClassEvents(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	signature := referrerOf(t, s, n, img, "signed")
	list := put(t, s, n, "2.0", imageOf(t, v1.Manifest{ArtifactType: "application/x.list", Config: addConfig(t, s, n)}))
	before := len(readEvents(t, s, 100))
	setClass(t, s, n, img, registry.ArchiveClass)
	setClass(t, s, n, img, registry.StandardClass)
	setClass(t, s, n, list, registry.ArchiveClass)
	type change struct {
		Digest digest.Digest
		Tag    string
		registry.StorageClassDetail
	}
	var got []change
	for _, e := range readEvents(t, s, 100)[before:] {
		if e.Kind != registry.StorageClassChanged || e.MediaType != v1.MediaTypeImageManifest || e.Actor != arn("alice") {
			t.Errorf("event %+v", e)
		}
		c := change{Digest: e.Digest, Tag: e.Tag.String()}
		must(t, json.Unmarshal(e.Detail, &c.StorageClassDetail))
		if c.LastActivatedAt.IsZero() != (c.Target == registry.ArchiveClass) {
			t.Errorf("event of %s says that it was activated at %v", c.Target, c.LastActivatedAt)
		}
		c.LastActivatedAt = time.Time{}
		got = append(got, c)
	}
	of := func(img registry.Image, tag string, class registry.StorageClass) change {
		return change{img.Digest, tag, registry.StorageClassDetail{Target: class, ArtifactMediaType: v1.MediaTypeImageConfig, Referrer: tag == ""}}
	}
	want := []change{
		of(img, "1.0", registry.ArchiveClass), of(signature, "", registry.ArchiveClass),
		of(img, "1.0", registry.StandardClass), of(signature, "", registry.StandardClass),
		of(list, "2.0", registry.ArchiveClass),
	}
	want[4].ArtifactMediaType = "application/x.list"
	if diff := cmp.Diff(want, got, asTheyAre); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
