package peer_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/peer"
)

var noTime time.Time

func TestPull(t *testing.T) {
	r := to(t, script(t, content).URL)
	want := peer.Manifest{Digest: sha256Of(image("")), MediaType: imageType, Body: []byte(image(""))}
	for _, ref := range []string{"v1", want.Digest.String(), "v1@" + want.Digest.String()} {
		got, err := r.Manifest(t.Context(), repo, ref)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b peer.Manifest) bool {
			return a.Digest == b.Digest && a.MediaType == b.MediaType && string(a.Body) == string(b.Body)
		})); err != nil || diff != "" {
			t.Errorf("%s: %v, (-want +got):\n%s", ref, err, diff)
		}
		d, err := r.Head(t.Context(), repo, ref)
		if err != nil || d.Digest != want.Digest || d.MediaType != imageType || d.Size != int64(len(image(""))) {
			t.Errorf("%s is told to be %+v, %v", ref, d, err)
		}
	}
	for from := range int64(len(layer)) {
		got, size, err := readAll(t, r, from)
		if err != nil || got != layer[from:] || size != int64(len(layer)) {
			t.Errorf("from %d: %q of %d, %v", from, got, size, err)
		}
	}
	has, err := r.HasBlob(t.Context(), repo, sha256Of(layer))
	hasNot, err2 := r.HasBlob(t.Context(), repo, sha256Of("other"))
	if !has || hasNot || err != nil || err2 != nil {
		t.Errorf("the layer is there: %v, %v; another: %v, %v", has, err, hasNot, err2)
	}
}

func TestNotThere(t *testing.T) {
	r := to(t, script(t, content).URL)
	_, err := r.Manifest(t.Context(), "no/such", "v1")
	refused := new(peer.Error)
	if !errors.Is(err, peer.ErrNotFound) || errors.Is(err, peer.ErrUnavailable) || !errors.As(err, &refused) ||
		refused.Code != "NAME_UNKNOWN" || refused.Status != http.StatusNotFound || refused.Message != "no such repository" {
		t.Errorf("%v is the error of what is not there", err)
	}
	if _, err := r.Head(t.Context(), "no/such", "v1"); !errors.Is(err, peer.ErrNotFound) {
		t.Errorf("HEAD: %v", err)
	}
	if _, _, err := r.OpenBlob(t.Context(), repo, sha256Of("other"), 0); !errors.Is(err, peer.ErrNotFound) {
		t.Errorf("a blob: %v", err)
	}
}

// Names and references are looked at before they are put into a path.
func TestBadNames(t *testing.T) {
	upstream := script(t, content)
	r := to(t, upstream.URL)
	for _, name := range []string{"", "..", "a/../b", "/a", "a//b", "A", "a?b", "a#b", "a%2fb", "a b", strings.Repeat("a/", 3) + "."} {
		if _, err := r.Manifest(t.Context(), name, "v1"); !errors.Is(err, peer.ErrWrong) {
			t.Errorf("repository %q: %v", name, err)
		}
		if _, err := r.MountBlob(t.Context(), repo, name, sha256Of(layer)); !errors.Is(err, peer.ErrWrong) {
			t.Errorf("to mount from %q: %v", name, err)
		}
		for _, err := range r.Tags(t.Context(), name) {
			if !errors.Is(err, peer.ErrWrong) {
				t.Errorf("tags of %q: %v", name, err)
			}
		}
	}
	for _, ref := range []string{"", "..", "a/b", "a?b", "a b", "sha256:0", "v1@", "v1@sha256:0", strings.Repeat("a", 129)} {
		if m, err := r.Manifest(t.Context(), repo, ref); err == nil {
			t.Errorf("reference %q is %s", ref, m.Digest)
		}
	}
	if asked, _ := upstream.seen(); len(asked) > 0 {
		t.Errorf("asked for %q", asked)
	}
}
