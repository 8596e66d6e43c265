package registry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
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
	_, err = s.DeleteImage(alice(t), n, tagged(t, "1.0"))
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
}

func TestStorageClassEvents(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	img := addImage(t, s, n, "1.0", "one")
	referrerOf(t, s, n, img, "signed")
	before := len(readEvents(t, s, 100))
	setClass(t, s, n, img, registry.ArchiveClass)
	setClass(t, s, n, img, registry.StandardClass)
	var got []string
	for _, e := range readEvents(t, s, 100)[before:] {
		got = append(got, string(e.Kind)+" "+e.Tag.String()+" "+string(e.Detail[:20]))
	}
	if len(got) != 4 {
		t.Errorf("events %q, want one for the image and its referrer each way", got)
	}
}
