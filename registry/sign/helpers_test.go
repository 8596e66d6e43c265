package sign_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/sign"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

var here = registry.ID{Account: "000000000000", Region: "us-east-1"}

const release, second = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release", "arn:aws:signer:us-east-1:000000000000:/signing-profiles/second"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func alice(t testing.TB) context.Context {
	return auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: "arn:aws:iam::000000000000:user/alice"})
}

// house is a registry with a keyring, over an index and blobs that outlast it.
type house struct {
	*registry.Service
	t     testing.TB
	index storage.Index
	blobs storage.Blobs
	keys  *sign.Keyring
}

// sealingKey is the master key of houses.
var sealingKey = []byte("a key of at least thirty-two bytes")

// open makes a house whose profiles are generated.
func open(t testing.TB, index storage.Index, blobs storage.Blobs, arns ...string) *house {
	t.Helper()
	s, err := registry.New(t.Context(), registry.Options{Index: index, Blobs: blobs, CreateOnPush: registry.CreateAlways})
	must(t, err)
	h := &house{s, t, index, blobs, keyring(t, index)}
	var settings []sign.Setting
	for _, arn := range arns {
		settings = append(settings, sign.Setting{ARN: arn, Generate: true})
	}
	h.load(settings...)
	return h
}

func keyring(t testing.TB, index storage.Index) *sign.Keyring {
	t.Helper()
	k, err := sign.OpenKeyring(sign.KeyringOptions{Index: index, SealingKey: sealingKey})
	must(t, err)
	return k
}

func (h *house) load(settings ...sign.Setting) {
	h.t.Helper()
	set, err := h.keys.Load(h.t.Context(), settings)
	must(h.t, err)
	h.keys.Use(set)
}

// rules has profiles sign all images.
func (h *house) rules(arns ...string) {
	h.t.Helper()
	var c registry.Signing
	for _, arn := range arns {
		c.Rules = append(c.Rules, registry.SigningRule{Profile: arn})
	}
	must(h.t, h.PutSigning(alice(h.t), here, c))
}

// work runs a worker until nothing is left to do for now.
func (h *house) work(change func(*sign.Options)) *sign.Worker {
	h.t.Helper()
	o := sign.Options{Registry: h.Service, Keyring: h.keys}
	if change != nil {
		change(&o)
	}
	w, err := sign.New(o)
	must(h.t, err)
	ctx, stop := context.WithCancel(h.t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	synctest.Wait()
	stop()
	must(h.t, <-done)
	return w
}

func nameOf(t testing.TB, path string) registry.Name {
	t.Helper()
	n, err := registry.ParseName(here, path)
	must(t, err)
	return n
}

func upload(t testing.TB, s *registry.Service, n registry.Name, content string) digest.Digest {
	t.Helper()
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{MayCreate: true})
	must(t, err)
	_, err = s.AppendUpload(alice(t), n, u.ID, registry.Part{Offset: -1, Length: -1, Body: strings.NewReader(content)})
	must(t, err)
	d := digest.FromBytes(digest.SHA256, []byte(content))
	_, err = s.FinishUpload(alice(t), n, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	must(t, err)
	return d
}

// push stores an image of one layer.
func (h *house) push(path, content string) registry.Image {
	h.t.Helper()
	n := nameOf(h.t, path)
	layer := fmt.Sprintf(`{"mediaType":"application/octet-stream","digest":%q,"size":%d}`, upload(h.t, h.Service, n, content), len(content))
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, manifest.MediaTypeOCIManifest, layer, layer)
	done, err := h.PutImage(alice(h.t), n, registry.Push{Body: []byte(body)})
	must(h.t, err)
	return done.Image
}

// states are those of an image's signatures, in order of profile, with their codes.
func (h *house) states(img registry.Image) (list []string) {
	h.t.Helper()
	_, all, err := h.SigningStatuses(alice(h.t), img.Name, registry.Ref{Digest: img.Digest})
	must(h.t, err)
	for _, status := range all {
		list = append(list, strings.TrimSpace(string(status.State)+" "+status.FailureCode))
	}
	return list
}

func (h *house) wantStates(what string, img registry.Image, want ...string) {
	h.t.Helper()
	if got := h.states(img); !slices.Equal(got, want) {
		h.t.Errorf("%s: the states are %q, want %q", what, got, want)
	}
}

// root is the root certificate of a profile.
func (h *house) root(arn string) *x509.Certificate {
	h.t.Helper()
	list, err := h.keys.Profiles(h.t.Context())
	must(h.t, err)
	for _, p := range list {
		if p.ARN == arn {
			return p.Root()
		}
	}
	h.t.Fatalf("there is no profile %s", arn)
	return nil
}

// verified are the signatures of an image that are good and under a root.
func (h *house) verified(img registry.Image, root *x509.Certificate) (list []*signature.EnvelopeContent) {
	h.t.Helper()
	page, _, err := h.SignaturesOf(alice(h.t), img.Name, img.Digest, "", 100)
	must(h.t, err)
	for _, sig := range page {
		if len(sig.Envelopes) != 1 {
			h.t.Fatalf("the signature %s has the layers %v", sig.Digest, sig.Envelopes)
		}
		_, r, err := h.OpenLayer(alice(h.t), img.Name, sig.Envelopes[0].Digest)
		must(h.t, err)
		text, err := io.ReadAll(r)
		must(h.t, err)
		must(h.t, r.Close())
		e, err := jws.ParseEnvelope(text)
		if err != nil {
			continue // what others have put there
		}
		content, err := e.Verify()
		must(h.t, err)
		if _, err := signature.VerifyAuthenticity(&content.SignerInfo, []*x509.Certificate{root}); err == nil {
			list = append(list, content)
		}
	}
	return list
}

// wantSigned fails the test unless an image has one signature of a profile, about itself.
func (h *house) wantSigned(what string, img registry.Image, arn string) {
	h.t.Helper()
	list := h.verified(img, h.root(arn))
	if len(list) != 1 {
		h.t.Errorf("%s: %s has %d signatures by %s, want one", what, img.Digest, len(list), arn)
		return
	}
	var signed struct {
		TargetArtifact struct {
			MediaType, Digest string
			Size              int64
		}
	}
	must(h.t, json.Unmarshal(list[0].Payload.Content, &signed))
	if of := signed.TargetArtifact; of.Digest != img.Digest.String() || of.Size != img.ManifestSize || of.MediaType != img.MediaType {
		h.t.Errorf("%s: what is signed is %+v", what, of)
	}
}

var newStore = func() (storage.Index, storage.Blobs) { return memory.NewIndex(), memory.NewBlobs() }
