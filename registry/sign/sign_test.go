package sign_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/sign"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/storagetest"
)

// An image gets one signature of each profile, in the form that tools of the Notary
// Project look for.
func TestSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, blobs := newStore()
		h := open(t, index, blobs, release, second)
		h.rules(release, second)
		img, other := h.push("team/app", "one"), h.push("team/other", "two")
		w := h.work(nil)
		for _, i := range []registry.Image{img, other} {
			h.wantStates("signed", i, "COMPLETE", "COMPLETE")
			h.wantSigned("signed", i, release)
			h.wantSigned("signed", i, second)
		}
		if f := w.Figures(); f != (sign.Figures{Signed: 4}) {
			t.Errorf("figures are %+v", f)
		}
		_, list, err := h.SigningStatuses(alice(t), img.Name, registry.Ref{Digest: img.Digest})
		must(t, err)
		h.wantManifest(img, list[0].Signature)
		h.wantStates("a signature", registry.Image{Name: img.Name, Digest: list[0].Signature})

		h.push("team/app", "one")
		h.work(nil)
		h.wantSigned("pushed again", img, release)
	})
}

func (h *house) wantManifest(img registry.Image, signature digest.Digest) {
	h.t.Helper()
	found, body, err := h.Manifest(alice(h.t), img.Name, registry.Ref{Digest: signature})
	must(h.t, err)
	const notary = "application/vnd.cncf.notary.signature"
	if found.ArtifactType != notary || found.ConfigMediaType != notary || found.Subject != img.Digest {
		h.t.Errorf("the signature is %+v", found)
	}
	var m struct {
		MediaType, ArtifactType string
		Config                  struct{ MediaType, Digest string }
		Layers                  []struct{ MediaType string }
		Annotations             map[string]string
	}
	must(h.t, json.Unmarshal(body, &m))
	if m.ArtifactType != notary || m.Config.MediaType != notary || m.Config.Digest != digest.FromBytes(digest.SHA256, []byte("{}")).String() {
		h.t.Errorf("the manifest of the signature is %s", body)
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != "application/jose+json" {
		h.t.Errorf("the layers of the signature are %v", m.Layers)
	}
	profiles, err := h.keys.Profiles(h.t.Context())
	must(h.t, err)
	var prints []string
	for _, cert := range profiles[0].Chain {
		sum := sha256.Sum256(cert.Raw)
		prints = append(prints, hex.EncodeToString(sum[:]))
	}
	want, err := json.Marshal(prints)
	must(h.t, err)
	if got := m.Annotations["io.cncf.notary.x509chain.thumbprint#S256"]; got != string(want) {
		h.t.Errorf("the thumbprints are %s, want %s", got, want)
	}
	if _, err := time.Parse(time.RFC3339, m.Annotations["org.opencontainers.image.created"]); err != nil {
		h.t.Error(err)
	}
}

// What somebody else puts there under the same thumbprints is no signature of ours.
func TestForgedThumbprints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, blobs := newStore()
		h := open(t, index, blobs, release)
		h.rules(release)
		before := h.push("team/app", "before")
		h.work(nil)
		_, list, err := h.SigningStatuses(alice(t), before.Name, registry.Ref{Digest: before.Digest})
		must(t, err)
		_, real, err := h.Manifest(alice(t), before.Name, registry.Ref{Digest: list[0].Signature})
		must(t, err)
		img := h.push("team/app", "forged")
		var m map[string]any
		must(t, json.Unmarshal(real, &m))
		m["subject"] = map[string]any{"mediaType": img.MediaType, "digest": img.Digest.String(), "size": img.ManifestSize}
		for _, layer := range []string{"", upload(t, h.Service, img.Name, "no envelope").String()} {
			if layer != "" { // else the envelope of the other image
				m["layers"] = []any{map[string]any{"mediaType": "application/jose+json", "digest": layer, "size": len("no envelope")}}
			}
			body, err := json.Marshal(m)
			must(t, err)
			_, err = h.PutImage(alice(t), img.Name, registry.Push{MediaType: manifest.MediaTypeOCIManifest, Body: body})
			must(t, err)
		}
		h.work(nil)
		h.wantStates("forged", img, "COMPLETE")
		if n := len(h.verified(img, h.root(release))); n != 2 { // the other image's, and the new one
			t.Errorf("there are %d signatures that hold, want 2", n)
		}
	})
}

// What cannot be signed says why, and is tried again with the next push.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, blobs := newStore()
		h := open(t, index, blobs, release)
		h.rules(release, second)
		img := h.push("team/app", "one")
		w := h.work(nil)
		h.wantStates("of an unknown profile", img, "COMPLETE", "FAILED SigningProfileNotFound")
		if f := w.Figures(); f != (sign.Figures{Signed: 1, Failed: 1}) {
			t.Errorf("figures are %+v", f)
		}
		h.load(sign.Setting{ARN: release, Generate: true}, sign.Setting{ARN: second, Generate: true})
		h.push("team/app", "one")
		h.work(nil)
		h.wantStates("when it is known", img, "COMPLETE", "COMPLETE")
		h.wantSigned("when it is known", img, second)

		h.Configure(registry.Options{CreateOnPush: registry.CreateAlways, Limits: registry.Limits{Images: 1}})
		full := h.push("team/full", "one")
		h.work(nil)
		h.wantStates("without room", full, "FAILED LimitExceeded", "FAILED LimitExceeded")
		h.Configure(registry.Options{CreateOnPush: registry.CreateAlways})

		gone := h.push("team/gone", "one")
		_, err := h.DeleteRepository(alice(t), gone.Name, true)
		must(t, err)
		h.work(nil)
		if n, err := h.UnsignedCount(t.Context()); err != nil || n != 0 {
			t.Errorf("%d wait for signatures: %v", n, err)
		}
	})
}

// faulty fails calls of a kind as long as there are faults left.
type faulty struct {
	sign.Registry
	mu     sync.Mutex
	faults int
	err    error
}

func (f *faulty) PutImage(ctx context.Context, n registry.Name, p registry.Push) (registry.Pushed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.faults > 0 {
		f.faults--
		return registry.Pushed{}, f.err
	}
	return f.Registry.PutImage(ctx, n, p)
}

// A fault of the server's is tried again, with rests between, until it is given up; a
// store that takes no writes is waited for.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		what   string
		faults int
		err    error
		state  string
	}{
		{"some", 3, errors.New("broken"), "COMPLETE"},
		{"too many", 20, errors.New("broken"), "FAILED InternalFailure"},
		{"read-only for long", 500, storage.ErrReadOnly, "COMPLETE"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				index, blobs := newStore()
				h := open(t, index, blobs, release)
				h.rules(release)
				img := h.push("team/app", "one")
				f := &faulty{Registry: h.Service, faults: tt.faults, err: tt.err}
				w, err := sign.New(sign.Options{Registry: f, Keyring: h.keys})
				must(t, err)
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- w.Run(ctx) }()
				synctest.Wait()
				h.wantStates("at first", img, "IN_PROGRESS")
				time.Sleep(time.Hour)
				synctest.Wait()
				stop()
				must(t, <-done)
				h.wantStates("in the end", img, tt.state)
				if tt.state == "COMPLETE" {
					h.wantSigned("in the end", img, release)
				}
			})
		})
	}
}

// A server that dies at any update of its index while it signs has one signature of each
// profile when it is started again.
func TestKilledAnywhere(t *testing.T) {
	storagetest.KillAnywhere(t, killWhileSigning)
}

func killWhileSigning(t *testing.T, n int, after bool) (killed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		what := fmt.Sprintf("killed at update %d, committed: %v", n, after)
		index, blobs := newStore()
		first := open(t, index, blobs, release, second)
		first.rules(release, second)
		images := []registry.Image{first.push("team/app", "one"), first.push("team/app", "two")}
		m := storagetest.NewMortal(index, n, after)
		dying := open(t, index, blobs, release, second)
		s, err := registry.New(t.Context(), registry.Options{Index: m, Blobs: blobs})
		must(t, err)
		dying.work(func(o *sign.Options) { o.Registry = s })
		killed = m.Dead()
		h := open(t, index, blobs, release, second)
		h.work(nil)
		for _, img := range images {
			h.wantStates(what, img, "COMPLETE", "COMPLETE")
			h.wantSigned(what, img, release)
			h.wantSigned(what, img, second)
		}
	})
	return killed
}

// A signature is a push like any other: it is told of, as the server's own, and goes where
// the image goes.
func TestSignatureIsAPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		index, blobs := newStore()
		h := open(t, index, blobs, release)
		h.rules(release)
		west := registry.ID{Account: here.Account, Region: "us-west-2"}
		must(t, h.PutReplication(alice(t), here, registry.Replication{Rules: []registry.ReplicationRule{{Destinations: []registry.ID{west}}}}))
		img := h.push("team/app", "one")
		before, err := h.LastEvent(t.Context())
		must(t, err)
		h.work(nil)
		_, list, err := h.SigningStatuses(alice(t), img.Name, registry.Ref{Digest: img.Digest})
		must(t, err)
		events, err := h.Events(t.Context(), before, 9)
		must(t, err)
		if len(events) != 1 || events[0].Kind != registry.ImagePushed || events[0].Digest != list[0].Signature || events[0].Actor != "" {
			t.Errorf("the events are %+v", events)
		}
		went, err := h.ReplicationStatuses(alice(t), img.Name, registry.Ref{Digest: list[0].Signature})
		must(t, err)
		if len(went) != 1 || went[0].To != west {
			t.Errorf("the signature goes to %+v", went)
		}
	})
}
