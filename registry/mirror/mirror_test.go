package mirror_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/peer"
)

// A first pull, by whatever name, gives what upstream has, each part of which is fetched
// once, and leaves an image like any other.
func TestFirstPull(t *testing.T) {
	for _, by := range []string{"tag", "digest", "HEAD"} {
		b := open(t)
		b.work()
		d := b.up.image("1.0", "one", "two")
		ref := tagged(t, "1.0")
		if by == "HEAD" {
			img, err := b.Image(alice(t), b.name("quay/app"), ref)
			must(t, err)
			if img.Digest != d || img.MediaType == "" || img.ManifestSize == 0 {
				t.Errorf("HEAD tells of %+v", img)
			}
		}
		if by != "tag" {
			ref = registry.Ref{Digest: d}
		}
		img, layers := b.pull(ref)
		if img.Digest != d || len(layers) != 3 {
			t.Errorf("by %s: %s with %d layers", by, img.Digest, len(layers))
		}
		there := b.await(registry.Ref{Digest: d})
		if named := len(there.Tags) == 1 && there.Tags[0].String() == "1.0"; named != (by != "digest") {
			t.Errorf("by %s: the image has the tags %v", by, there.Tags)
		}
		for l := range layers {
			if n := b.up.count("blob " + l.String()); n != 1 {
				t.Errorf("by %s: layer %s was fetched %d times", by, l, n)
			}
		}
		b.pull(ref)
		if n := b.up.count("manifest app 1.0") + b.up.count("manifest app "+d.String()); n != 1 {
			t.Errorf("by %s: the manifest was fetched %d times", by, n)
		}
	}
}

// A list brings its images, also those that nobody pulls; what upstream does not have of
// it is not waited for.
func TestList(t *testing.T) {
	b := open(t)
	b.work()
	arm, amd := b.up.image("", "arm", "both"), b.up.image("", "amd", "both")
	gone := b.up.image("", "gone")
	list := b.up.index("all", arm, amd, gone)
	b.up.set(func() { delete(b.up.manifests, gone.String()) })
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "all"))
	must(t, err)
	b.pull(registry.Ref{Digest: amd})
	if got := b.await(tagged(t, "all")); got.Digest != list {
		t.Errorf("the tag names %s", got.Digest)
	}
	b.await(registry.Ref{Digest: arm})
	if want := []string{"SUCCESS ", "SUCCESS ", "SUCCESS all"}; !slices.Equal(sorted(b.syncs()), want) {
		t.Errorf("events %q, want %q", b.syncs(), want)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// A tag is asked for again when its time is over, a digest never.
func TestRevalidation(t *testing.T) {
	b := open(t)
	b.work()
	first := b.up.image("1", "one")
	b.pull(tagged(t, "1"))
	b.await(tagged(t, "1"))
	second := b.up.image("1", "two")

	b.pass(23 * time.Hour)
	if img, _ := b.pull(tagged(t, "1")); img.Digest != first || b.up.count("head app 1") != 0 {
		t.Errorf("within a day: %s, and upstream was asked %d times", img.Digest, b.up.count("head app 1"))
	}
	b.pass(time.Hour)
	if img, _ := b.pull(tagged(t, "1")); img.Digest != second || img.Stale {
		t.Errorf("after a day: %s, stale %v, want %s", img.Digest, img.Stale, second)
	}
	b.eventually(func() error {
		if b.await(tagged(t, "1")).Digest != second {
			return errBroken
		}
		return nil
	})
	b.pull(registry.Ref{Digest: first})
	b.pass(24 * time.Hour)
	b.pull(tagged(t, "1"))
	b.pull(tagged(t, "1"))
	if n := b.up.count("head app 1"); n != 2 {
		t.Errorf("upstream was asked %d times what the tag names", n)
	}
	if n := b.up.count("manifest app "+second.String()) + b.up.count("manifest app 1"); n != 2 {
		t.Errorf("%d manifests were fetched, want one of each", n)
	}
}

// Whatever is wrong with upstream, what is here is served, and said to be stale.
func TestStale(t *testing.T) {
	for what, tt := range map[string]struct {
		err   error
		fresh registry.Code
	}{
		"down": {&peer.Error{Host: "quay.io", Message: "no connection"}, registry.UpstreamUnavailable},
		"500":  {&peer.Error{Host: "quay.io", Status: 500}, registry.UpstreamUnavailable},
		"429":  {&peer.Error{Host: "quay.io", Status: 429, RetryAfter: time.Minute}, registry.UpstreamTooMany},
		"403":  {&peer.Error{Host: "quay.io", Status: 403}, registry.UpstreamDenied},
		"404":  {errNotFound, registry.ImageNotFound},
	} {
		b := open(t)
		b.work()
		d := b.up.image("1", "one")
		b.pull(tagged(t, "1"))
		b.await(tagged(t, "1"))
		b.up.set(func() { b.up.err = tt.err })
		b.pass(25 * time.Hour)
		for range 2 {
			if img, _ := b.pull(tagged(t, "1")); img.Digest != d || !img.Stale {
				t.Errorf("%s: got %s, stale %v", what, img.Digest, img.Stale)
			}
		}
		if img, _ := b.pull(registry.Ref{Digest: d}); img.Stale {
			t.Errorf("%s: a digest is stale", what)
		}
		_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "new"))
		wantCode(t, what, err, tt.fresh)
		if f := b.mirror.Figures()[key]; f.Stale != 2 || f.Misses != 1 || f.Bytes == 0 {
			t.Errorf("%s: figures %+v", what, f)
		}
		b.up.set(func() { b.up.err = nil })
		b.pass(time.Hour)
		if img, _ := b.pull(tagged(t, "1")); img.Stale {
			t.Errorf("%s: stale though upstream is back", what)
		}
	}
}

// Whoever may not import gets what is here, and of the rest what there would be without
// a rule.
func TestRights(t *testing.T) {
	b := open(t)
	b.work()
	b.up.image("1", "one")
	b.up.image("2", "two")
	deny := func(action string) {
		b.may = func(c auth.Check) error {
			if c.Action == action {
				return &auth.Denied{Check: c}
			}
			return nil
		}
	}
	n := b.name("quay/app")
	for _, action := range []string{"ecr:BatchImportUpstreamImage", "ecr:CreateRepository"} {
		deny(action)
		_, _, err := b.Manifest(alice(t), n, tagged(t, "1"))
		wantCode(t, action, err, registry.RepositoryNotFound)
	}
	b.pull2(t, func() { b.may = func(auth.Check) error { return nil } }, "1")
	deny("ecr:CreateRepository")
	b.pull(tagged(t, "2"))
	b.await(tagged(t, "2"))
	deny("ecr:BatchImportUpstreamImage")
	b.pass(25 * time.Hour)
	if img, _ := b.pull(tagged(t, "1")); img.Stale {
		t.Error("what was not asked for is stale")
	}
	_, _, err := b.Manifest(alice(t), n, tagged(t, "3"))
	wantCode(t, "without the right to import", err, registry.ImageNotFound)
	_, _, err = b.Manifest(alice(t), b.name("other/app"), tagged(t, "1"))
	wantCode(t, "without a rule", err, registry.RepositoryNotFound)
}

func (b *bench) pull2(t *testing.T, before func(), tag string) {
	t.Helper()
	before()
	b.pull(tagged(t, tag))
	b.await(tagged(t, tag))
}

// A repository is made as its template says.
func TestTemplate(t *testing.T) {
	b := open(t)
	b.work()
	_, err := b.CreateTemplate(alice(t), here, registry.Template{
		Prefix: "quay", AppliedFor: []registry.Cause{registry.ForPullThrough}, Settings: registry.Settings{TagRule: registry.TagRule{Mutability: registry.Immutable}},
	})
	must(t, err)
	first := b.up.image("1", "one")
	b.pull(tagged(t, "1"))
	b.await(tagged(t, "1"))
	repo, err := b.Repository(alice(t), b.name("quay/app"))
	must(t, err)
	if diff := cmp.Diff(registry.Immutable, repo.TagRule.Mutability); diff != "" {
		t.Error(diff)
	}
	// What is immutable is not asked for again.
	b.up.image("1", "two")
	b.pass(48 * time.Hour)
	if img, _ := b.pull(tagged(t, "1")); img.Digest != first || img.Stale || b.up.count("head app 1") != 0 {
		t.Errorf("an immutable tag names %s, stale %v", img.Digest, img.Stale)
	}
}

// Validation asks upstream.
func TestValidate(t *testing.T) {
	b := open(t)
	_, err := b.ValidatePullThroughRule(alice(t), here, "quay")
	must(t, err)
	b.up.set(func() { b.up.err = &peer.Error{Status: 401} })
	_, err = b.ValidatePullThroughRule(alice(t), here, "quay")
	wantCode(t, "wrong credentials", err, registry.UpstreamDenied)
	if n := b.up.count("ping"); n != 2 {
		t.Errorf("%d pings", n)
	}
}
