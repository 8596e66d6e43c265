package mirror_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// upload gives "quay/app" a layer.
func (b *bench) upload(content string) v1.Descriptor {
	b.t.Helper()
	n := b.name("quay/app")
	u, err := b.StartUpload(alice(b.t), n, registry.NewUpload{})
	must(b.t, err)
	_, err = b.AppendUpload(alice(b.t), n, u.ID, registry.Part{Offset: -1, Length: -1, Body: strings.NewReader(content)})
	must(b.t, err)
	d := digestOf(content)
	_, err = b.FinishUpload(alice(b.t), n, u.ID, registry.Finish{Digests: []digest.Digest{d}})
	must(b.t, err)
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: d.OCI(), Size: int64(len(content))}
}

// push pushes an image of one layer to "quay/app".
func (b *bench) push(tag, content string) digest.Digest {
	b.t.Helper()
	config, layer := b.upload("{}"), b.upload(content)
	config.MediaType = v1.MediaTypeImageConfig
	body, err := json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config, Layers: []v1.Descriptor{layer},
	})
	must(b.t, err)
	done, err := b.PutImage(alice(b.t), b.name("quay/app"), registry.Push{Tags: []registry.Tag{tagged(b.t, tag).Tag}, Body: body})
	must(b.t, err)
	return done.Image.Digest
}

// What is pushed under a rule's prefix stays what it is, whatever upstream says.
func TestPushed(t *testing.T) {
	b := open(t)
	b.work()
	_, err := b.CreateRepository(alice(t), b.name("quay/app"), registry.Settings{})
	must(t, err)
	own := b.push("own", "own")
	theirs := b.up.image("own", "theirs")
	b.up.image("1", "one")
	b.pass(48 * time.Hour)
	if img, _ := b.pull(tagged(t, "own")); img.Digest != own {
		t.Errorf("a tag that was pushed names %s", img.Digest)
	}
	if b.up.count("head app own")+b.up.count("manifest app own") != 0 {
		t.Error("upstream was asked for it")
	}
	b.pull(registry.Ref{Digest: theirs})
	b.pull(tagged(t, "1"))
	b.await(tagged(t, "1"))
	moved := b.push("1", "moved")
	b.pass(48 * time.Hour)
	if img, _ := b.pull(tagged(t, "1")); img.Digest != moved {
		t.Errorf("a tag that was moved by a push names %s", img.Digest)
	}
	// One that was deleted is upstream's again.
	_, err = b.DeleteImage(alice(t), b.name("quay/app"), tagged(t, "1"), nil)
	must(t, err)
	if img, _ := b.pull(tagged(t, "1")); img.Digest == moved {
		t.Error("a tag that was deleted names what was pushed")
	}
}

// A push while upstream's image is on its way wins.
func TestPushedMeanwhile(t *testing.T) {
	b := open(t)
	long := strings.Repeat("0123456789abcdef", 1<<14)
	theirs := b.up.image("1", long)
	_, _, err := b.Manifest(alice(t), b.name("quay/app"), tagged(t, "1"))
	must(t, err)
	own := b.push("1", "own")
	b.work()
	b.await(registry.Ref{Digest: theirs})
	if img, _ := b.pull(tagged(t, "1")); img.Digest != own {
		t.Errorf("the tag names %s, want what was pushed", img.Digest)
	}
}

// Referrers that upstream has are brought with the list of them.
func TestReferrers(t *testing.T) {
	b := open(t)
	b.work()
	d := b.up.image("1", "one")
	b.pull(tagged(t, "1"))
	b.await(tagged(t, "1"))
	subject := v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d.OCI(), Size: int64(len(b.up.manifests[d.String()]))}
	var signature digest.Digest
	b.up.set(func() {
		signature = b.up.put("", v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, ArtifactType: "application/x.signature",
			Config: b.up.blob(v1.MediaTypeEmptyJSON, []byte("{}")), Layers: []v1.Descriptor{b.up.blob("text/plain", []byte("signed"))}, Subject: &subject,
		})
		b.up.referrers[d] = []peer.Descriptor{{Digest: signature, MediaType: v1.MediaTypeImageManifest}}
	})
	for range 2 {
		list, _, err := b.Service.Referrers(alice(t), b.name("quay/app"), d, registry.ReferrerFilter{}, "", 10)
		must(t, err)
		if len(list) != 1 || list[0].Digest != signature || list[0].ArtifactType != "application/x.signature" {
			t.Errorf("referrers %+v", list)
		}
	}
	if n := b.up.count("referrers " + d.String()); n != 1 {
		t.Errorf("upstream was asked %d times", n)
	}
	if text, err := b.read(digestOf("signed")); text != "signed" || err != nil {
		t.Errorf("the signature is %q (%v)", text, err)
	}
}
