package transfer_test

import (
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

// A registry goes to a folder of layouts, and from there to another registry, where
// each step a second time finds that all is there.
func TestRoundTrip(t *testing.T) {
	w := newWorld()
	source, target := at(t, peertest.Distribution(t)), at(t, peertest.Distribution(t))
	w.fill(t, source)
	dir := filepath.Join(t.TempDir(), "new", "layouts")
	for i, want := range []string{
		// Distribution tells of no image without a tag: what refers to one is found. Two of its tags stand
		// for that.
		"6 images, 4 copied, 2 there, 0 failed; 12 blobs, 0 mounted",
		"6 images, 0 copied, 6 there, 0 failed; 0 blobs, 0 mounted",
	} {
		out, err := transfer.CreateLayouts(dir, "")
		must(t, err)
		r := good(t, run(t, transfer.Options{From: source, Listed: transfer.FromRegistry(source), To: out}))
		must(t, out.Close())
		if got := counts(r); got != want {
			t.Errorf("run %d to layouts: %s; want %s", i, got, want)
		}
	}
	in, err := transfer.OpenLayouts(dir, "")
	must(t, err)
	defer in.Close()
	all := w.all()
	has(t, "layouts", in, all[:7]...)
	for i, want := range []string{
		"6 images, 6 copied, 0 there, 0 failed; 11 blobs, 1 mounted",
		"6 images, 0 copied, 6 there, 0 failed; 0 blobs, 0 mounted",
	} {
		r := good(t, run(t, transfer.Options{From: in, Listed: in, To: target, Rename: func(repo string) string { return "from/" + repo }}))
		if got := counts(r); got != want {
			t.Errorf("run %d to a registry: %s; want %s", i, got, want)
		}
	}
	for i := range all {
		all[i].repo = "from/" + all[i].repo
	}
	has(t, "the other registry", target, all[:7]...)
}

// Distribution's own folder is read directly.
func TestData(t *testing.T) {
	w := newWorld()
	url, write := peertest.Stored(t)
	w.fill(t, at(t, url))
	must(t, at(t, url).DeleteManifest(t.Context(), "team/app", w.loose.digest().String()))
	dir := t.TempDir()
	write(dir)
	for _, below := range []string{"docker/registry/v2", "docker", ""} {
		in, err := transfer.OpenData(filepath.Join(dir, below))
		must(t, err)
		has(t, below, in, w.all()[:7]...)
		if below == "" {
			target := at(t, peertest.Distribution(t))
			good(t, run(t, transfer.Options{From: in, Listed: in, To: target}))
			has(t, "distribution", target, w.all()[:7]...)
			hasNot(t, "distribution", target, "team/app", w.loose.digest().String())
		}
		must(t, in.Close())
	}
	if _, err := transfer.OpenData(t.TempDir()); err == nil {
		t.Error("an empty folder is taken for one of distribution's")
	}
}
