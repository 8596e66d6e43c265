package server_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"flag"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types, which image-spec does not have.
const (
	dockerImage  = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList   = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// scenario is something that clients do, and what it leaves.
type scenario struct {
	name string
	play func(*player)
	tags []string // in the end
	left int      // images in the end
}

// checkEnd holds the end of a scenario against what it says.
func (s scenario) checkEnd(t *testing.T, end repositoryState) {
	t.Helper()
	if diff := cmp.Diff(s.tags, slices.Sorted(maps.Keys(end.Tags))); diff != "" {
		t.Errorf("tags in the end (-want +got):\n%s", diff)
	}
	if len(end.Images) != s.left {
		t.Errorf("%d images in the end, want %d", len(end.Images), s.left)
	}
}

var scenarios = []scenario{
	{name: "nothing", play: func(*player) {}},
	{name: "a layer, and again", play: func(p *player) {
		p.layer(v1.MediaTypeImageLayer, "layer", accepted)
		p.layer(v1.MediaTypeImageLayer, "layer", layerThere)
	}},
	{name: "a layer in parts", play: playParts, tags: []string{"1"}, left: 1},
	{name: "parts in the wrong place", play: playWrongPlace},
	{name: "a layer of another digest", play: playWrongLayer},
	{name: "a layer of another repository", play: playForeignLayer},
	{name: "a repository that is missing", play: playNowhere},

	{name: "an image with a tag, and again", tags: []string{"1"}, left: 1, play: func(p *player) {
		body := p.image("a")
		p.put("1", v1.MediaTypeImageManifest, body, accepted)
		p.put("1", v1.MediaTypeImageManifest, body, sameAgain)
	}},
	{name: "an image without a tag, and again", left: 1, play: func(p *player) {
		body := p.image("a")
		p.put("", v1.MediaTypeImageManifest, body, accepted)
		p.put("", v1.MediaTypeImageManifest, body, sameAgain)
	}},
	{name: "an image by its digest", left: 1, play: func(p *player) {
		body := p.image("a")
		p.putAs(sha256Of([]byte("another")), v1.MediaTypeImageManifest, body, imageDigestWrong)
		p.putAs(sha256Of(body), v1.MediaTypeImageManifest, body, accepted)
	}},
	{name: "digests of SHA-512", left: 1, play: playSHA512},
	{name: "other bytes of the same meaning", tags: []string{"1", "2"}, left: 2, play: func(p *player) {
		body := p.image("a")
		p.put("1", v1.MediaTypeImageManifest, body, accepted)
		p.put("2", v1.MediaTypeImageManifest, append(body, ' ', '\n'), accepted)
	}},
	{name: "Docker's formats", tags: []string{"1", "list"}, left: 2, play: playDocker},
	{name: "manifests that are wrong", play: playWrongManifests},
	{name: "a layer is missing", tags: []string{"1"}, left: 1, play: playMissingLayer},

	{name: "an index", tags: []string{"1"}, left: 3, play: func(p *player) {
		a := p.put("", v1.MediaTypeImageManifest, p.image("a"), accepted)
		b := p.put("", v1.MediaTypeImageManifest, p.image("b, which is larger"), accepted)
		p.put("1", v1.MediaTypeImageIndex, p.index(a, b), accepted)
	}},
	{name: "an index of what is missing", tags: []string{"1"}, left: 1, play: func(p *player) {
		a := p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
		index := p.index(a)
		p.remove(a, accepted)
		p.put("2", v1.MediaTypeImageIndex, index, childrenMissing)
		p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
	}},
	{name: "a child is kept as long as its index", play: playChildren},
	{name: "referrers", tags: []string{"1"}, left: 3, play: playReferrers},
	{name: "a subject goes, its referrer stays", left: 1, play: func(p *player) {
		subject := p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
		p.put("", v1.MediaTypeImageManifest, p.referrer(subject, "application/x.note", nil), accepted)
		p.remove(subject, accepted)
	}},

	{name: "a second tag", tags: []string{"1", "2"}, left: 1, play: func(p *player) {
		body := p.image("a")
		p.put("1", v1.MediaTypeImageManifest, body, accepted)
		p.put("2", v1.MediaTypeImageManifest, body, accepted)
	}},
	{name: "a tag moves, and back", tags: []string{"1"}, left: 2, play: func(p *player) {
		a, b := p.image("a"), p.image("b")
		p.put("1", v1.MediaTypeImageManifest, a, accepted)
		p.put("1", v1.MediaTypeImageManifest, b, accepted)
		p.put("1", v1.MediaTypeImageManifest, a, accepted)
	}},
	{name: "one tag of two goes", tags: []string{"2"}, left: 1, play: func(p *player) {
		body := p.image("a")
		p.put("1", v1.MediaTypeImageManifest, body, accepted)
		p.put("2", v1.MediaTypeImageManifest, body, accepted)
		p.untag("1", accepted)
		p.untag("1", imageMissing)
	}},
	{name: "the last tag goes", play: playLastTag},
	{name: "the last tag of a child goes", left: 2, play: playLastTagOfChild},
	{name: "an image goes with all its tags", tags: []string{"3"}, left: 1, play: func(p *player) {
		a, b := p.image("a"), p.image("b")
		first := p.put("1", v1.MediaTypeImageManifest, a, accepted)
		p.put("2", v1.MediaTypeImageManifest, a, accepted)
		p.put("3", v1.MediaTypeImageManifest, b, accepted)
		p.remove(first, accepted)
		p.remove(first, imageMissing)
	}},

	{name: "immutable tags", tags: []string{"1", "2"}, left: 2, play: func(p *player) {
		a, b := p.image("a"), p.image("b")
		p.setTagRule("IMMUTABLE")
		p.put("1", v1.MediaTypeImageManifest, a, accepted)
		p.put("1", v1.MediaTypeImageManifest, b, tagImmutable)
		p.put("1", v1.MediaTypeImageManifest, a, sameAgain)
		p.put("2", v1.MediaTypeImageManifest, b, accepted)
	}},
	{name: "immutable tags but for some", tags: []string{"dev-1", "v1"}, left: 2, play: func(p *player) {
		p.setTagRule("IMMUTABLE_WITH_EXCLUSION", "dev*")
		playTagRule(p, "v1", "dev-1")
	}},
	{name: "mutable tags but for some", tags: []string{"dev-1", "v1"}, left: 2, play: func(p *player) {
		p.setTagRule("MUTABLE_WITH_EXCLUSION", "v*")
		playTagRule(p, "v1", "dev-1")
	}},
}

// leastPart is the size of parts before the last that the ECR door takes (ECR
// reference, errors-and-limits.md section 8).
const leastPart = 5 << 20

func playParts(p *player) {
	content := bytes.Repeat([]byte("0123456789abcdef"), leastPart/16+64)
	id := p.begin()
	for off := 0; off < len(content); off += leastPart {
		p.send(id, off, content[off:min(off+leastPart, len(content))], accepted)
	}
	p.finish(id, sha256Of(content), accepted)
	p.send(id, len(content), []byte("more"), uploadMissing)
	p.put("1", v1.MediaTypeImageManifest, p.image(string(content)), accepted)
}

func playWrongPlace(p *player) {
	id := p.begin()
	p.send(id, 4, []byte("gap"), offsetWrong)
	p.send(id, 0, []byte("begin"), accepted)
	p.send(id, 0, []byte("begin"), offsetWrong)
	p.finish(id, sha256Of([]byte("begin")), accepted)
}

func playWrongLayer(p *player) {
	id := p.begin()
	p.send(id, 0, []byte("content"), accepted)
	p.finish(id, sha256Of([]byte("other content")), layerDigestWrong)
	p.send(id, 7, []byte("more"), uploadMissing)
	p.finish(id, sha256Of([]byte("content")), uploadMissing)
}

// playForeignLayer: that a layer lies in the store is no right to it.
func playForeignLayer(p *player) {
	p.createRepository("team/other")
	here := p.repo
	p.repo = "team/other"
	body := p.image("foreign")
	p.put("1", v1.MediaTypeImageManifest, body, accepted)
	p.repo = here
	p.put("1", v1.MediaTypeImageManifest, body, layersMissing)
}

func playNowhere(p *player) {
	body, here := p.image("a"), p.repo
	p.repo = "team/nowhere"
	_, r := p.door.begin(p.repo)
	p.expect("begin an upload", r, repositoryMissing)
	p.put("1", v1.MediaTypeImageManifest, body, repositoryMissing)
	p.untag("1", repositoryMissing)
	p.remove(sha256Of(body), repositoryMissing)
	p.repo = here
}

func playSHA512(p *player) {
	sum := func(b []byte) string {
		h := sha512.Sum512(b)
		return "sha512:" + hex.EncodeToString(h[:])
	}
	layer := []byte("a layer that is known by its SHA-512")
	id := p.begin()
	p.send(id, 0, layer, accepted)
	p.finish(id, sum(layer), accepted)
	text := strings.Replace(string(p.image("a")), sha256Of([]byte("a")), sum(layer), 1)
	body := []byte(strings.Replace(text, `"size":1}`, `"size":`+strconv.Itoa(len(layer))+`}`, 1))
	p.putAs(sum(body), v1.MediaTypeImageManifest, body, accepted)
}

func playDocker(p *player) {
	image := p.put("1", dockerImage, p.encode(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: dockerImage,
		Config: p.config(dockerConfig), Layers: []v1.Descriptor{p.blob(dockerLayer, "a")},
	}), accepted)
	p.put("list", dockerList, p.encode(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: dockerList, Manifests: []v1.Descriptor{p.stored(image)},
	}), accepted)
}

func playWrongManifests(p *player) {
	good := p.image("a")
	p.put("1", v1.MediaTypeImageManifest, good[:len(good)-1], manifestWrong)
	p.put("1", v1.MediaTypeImageManifest, []byte("[]"), manifestWrong)
	p.put("1", dockerImage, good, manifestWrong) // it says itself that it is OCI's
	p.put("1", v1.MediaTypeImageManifest, bytes.Replace(good, []byte(`{`), []byte(`{"manifests":[],`), 1), manifestWrong)
	p.put("1", v1.MediaTypeImageManifest, bytes.Replace(good, []byte(`"size":1}`), []byte(`"size":2}`), 1), manifestWrong)
}

func playMissingLayer(p *player) {
	body := p.image("a")
	p.known.layers = append(p.known.layers, sha256Of([]byte("b")))
	other := bytes.Replace(body, []byte(sha256Of([]byte("a"))), []byte(sha256Of([]byte("b"))), 1)
	p.put("1", v1.MediaTypeImageManifest, other, layersMissing)
	p.layer(v1.MediaTypeImageLayer, "b", accepted)
	p.put("1", v1.MediaTypeImageManifest, other, accepted)
}

func playChildren(p *player) {
	a := p.put("a", v1.MediaTypeImageManifest, p.image("a"), accepted)
	inner := p.put("", v1.MediaTypeImageIndex, p.index(a), accepted)
	outer := p.put("1", v1.MediaTypeImageIndex, p.index(a, inner), accepted)
	p.remove(a, imageInIndex)
	p.remove(inner, imageInIndex)
	p.remove(outer, accepted)
	p.remove(a, imageInIndex)
	p.remove(inner, accepted)
	p.remove(a, accepted)
}

func playReferrers(p *player) {
	subject := p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
	p.put("", v1.MediaTypeImageManifest, p.referrer(subject, "application/x.signature", map[string]string{"by": "<me> & \u2028"}), accepted)
	note := p.put("", v1.MediaTypeImageManifest, p.referrer(subject, "application/x.note", nil), accepted)
	p.put("", v1.MediaTypeImageManifest, p.referrer(note, "application/x.note", nil), accepted)
	p.put("", v1.MediaTypeImageManifest, p.referrer(subject, "application/x.other", nil), accepted)
	p.remove(note, accepted)
	p.remove(sha256Of(p.referrer(subject, "application/x.other", nil)), accepted)
}

// playLastTag: by the OCI specification an image outlives its last tag, and
// ECR removes it then ("BatchDeleteImage" in its API reference).
func playLastTag(p *player) {
	image := p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
	left := accepted
	if p.untag("1", accepted) == atECR {
		left = imageMissing
	}
	p.untag("1", imageMissing)
	p.remove(image, left)
}

// playLastTagOfChild: where the image would go with the tag and an index needs
// it, both stay.
func playLastTagOfChild(p *player) {
	child := p.put("1", v1.MediaTypeImageManifest, p.image("a"), accepted)
	p.put("", v1.MediaTypeImageIndex, p.index(child), accepted)
	r := p.door.untag(p.repo, "1")
	if r.at == atOCI {
		p.expect("untag a child", r, accepted)
		return
	}
	p.expect("untag a child", r, imageInIndex)
	p.expect("untag a child", ociDoor{p.doorway}.untag(p.repo, "1"), accepted)
}

// playTagRule moves a tag that may move and tries one that may not.
func playTagRule(p *player, fixed, free string) {
	a, b := p.image("a"), p.image("b")
	p.put(fixed, v1.MediaTypeImageManifest, a, accepted)
	p.put(free, v1.MediaTypeImageManifest, a, accepted)
	p.put(fixed, v1.MediaTypeImageManifest, b, tagImmutable)
	p.put(free, v1.MediaTypeImageManifest, b, accepted)
}

var (
	doorSteps = flag.Int("door.steps", 200, "steps of the random walk through both doors")
	doorSeed  = flag.Uint64("door.seed", 1, "seed of the random walk through both doors")
)

// TestRandomWalk takes steps at random, each at one of the doors, over files on
// disk, and holds every answer and now and then the whole state against a model.
func TestRandomWalk(t *testing.T) {
	d := openDoorway(t, map[string]string{"data": filepath.Join(t.TempDir(), "data")})
	d.createRepository("team/app")
	w := &walk{player: &player{doorway: d, repo: "team/app"}, rng: rand.New(rand.NewPCG(*doorSeed, 0)), model: newState()}
	w.prepare()
	for i := range *doorSteps {
		w.door = []door{ociDoor{d}, ecrDoor{d}}[w.rng.IntN(2)]
		w.step()
		if i%20 == 19 {
			w.compare()
		}
		if t.Failed() {
			t.Fatalf("at step %d of the walk -door.seed=%d", i, *doorSeed)
		}
	}
	w.compare()
}

// walk is a random walk and the model that it is held against: a state whose
// tags, layers and manifests are kept, and the rest of which is derived.
type walk struct {
	*player
	rng       *rand.Rand
	model     repositoryState
	immutable bool
	blobs     []string // contents
	pool      []manifestPush
}

// prepare makes up what the walk pushes: blobs, and images, indexes and
// referrers of them and of each other.
func (w *walk) prepare() {
	for i := range 6 {
		w.blobs = append(w.blobs, strings.Repeat("blob ", i+1))
		w.known.layers = append(w.known.layers, sha256Of([]byte(w.blobs[i])))
	}
	for i := range 16 {
		p := w.invent(i)
		w.pool = append(w.pool, p)
		w.known.manifests = append(w.known.manifests, sha256Of(p.body))
	}
}

func (w *walk) invent(i int) manifestPush {
	two := specs.Versioned{SchemaVersion: 2}
	if i%4 == 3 {
		x := v1.Index{Versioned: two, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{w.earlier(i), w.earlier(i)}}
		return manifestPush{mediaType: x.MediaType, body: w.encode(x)}
	}
	m := v1.Manifest{Versioned: two, MediaType: v1.MediaTypeImageManifest, Annotations: map[string]string{"n": strconv.Itoa(i)}}
	m.Config = describe(v1.MediaTypeImageConfig, []byte(w.blobs[0]))
	for _, at := range w.rng.Perm(len(w.blobs) - 1)[:2] {
		m.Layers = append(m.Layers, describe(v1.MediaTypeImageLayer, []byte(w.blobs[1+at])))
	}
	if i%4 == 2 {
		subject := w.earlier(i)
		m.Subject = &subject
	}
	if i%8 == 2 {
		m.ArtifactType = "application/x.note"
	}
	return manifestPush{mediaType: m.MediaType, body: w.encode(m)}
}

// earlier is one of the first i inventions.
func (w *walk) earlier(i int) v1.Descriptor {
	p := w.pool[w.rng.IntN(i)]
	return describe(p.mediaType, p.body)
}

func (w *walk) step() {
	w.Helper()
	switch n := w.rng.IntN(20); {
	case n < 4:
		w.pushLayer(w.blobs[w.rng.IntN(len(w.blobs))])
	case n < 12:
		p := w.pool[w.rng.IntN(len(w.pool))]
		p.tag = []string{"", "1", "2", "3", "4"}[w.rng.IntN(5)]
		w.push(p)
	case n < 15:
		w.dropTag([]string{"1", "2", "3", "4"}[w.rng.IntN(4)])
	case n < 18:
		w.dropImage(sha256Of(w.pool[w.rng.IntN(len(w.pool))].body))
	case n < 19:
		w.dropLayer(sha256Of([]byte(w.blobs[w.rng.IntN(len(w.blobs))])))
	default:
		w.immutable = !w.immutable
		w.setTagRule(map[bool]string{true: "IMMUTABLE", false: "MUTABLE"}[w.immutable])
	}
}

func (w *walk) pushLayer(content string) {
	w.Helper()
	want, id := accepted, sha256Of([]byte(content))
	if _, there := w.model.Layers[id]; there {
		want = layerThere
	}
	w.layer(v1.MediaTypeImageLayer, content, want)
	w.model.Layers[id] = int64(len(content))
}

func (w *walk) push(p manifestPush) {
	w.Helper()
	want := w.judge(p)
	w.put(p.tag, p.mediaType, p.body, want)
	if want != accepted {
		return
	}
	w.model.Images[sha256Of(p.body)] = imageState{MediaType: p.mediaType, Manifest: string(p.body)}
	if p.tag != "" {
		w.model.Tags[p.tag] = sha256Of(p.body)
	}
}

// judge says what must come of a push.
func (w *walk) judge(p manifestPush) outcome {
	id, m := sha256Of(p.body), w.parse(string(p.body))
	old, tagged := w.model.Tags[p.tag]
	_, there := w.model.Images[id]
	switch {
	case there && (p.tag == "" || old == id):
		return sameAgain
	case !there && slices.ContainsFunc(m.blobs(), func(b v1.Descriptor) bool { _, ok := w.model.Layers[b.Digest.String()]; return !ok }):
		return layersMissing
	case !there && slices.ContainsFunc(m.Manifests, func(c v1.Descriptor) bool { _, ok := w.model.Images[c.Digest.String()]; return !ok }):
		return childrenMissing
	case tagged && w.immutable:
		return tagImmutable
	}
	return accepted
}

func (w *walk) dropTag(tag string) {
	w.Helper()
	image, there := w.model.Tags[tag]
	r := w.door.untag(w.repo, tag)
	last := there && len(w.tagsOf(image)) == 1 && r.at == atECR
	switch {
	case !there:
		w.expect("untag "+tag, r, imageMissing)
	case last && w.inIndex(image):
		w.expect("untag "+tag, r, imageInIndex)
	default:
		w.expect("untag "+tag, r, accepted)
		delete(w.model.Tags, tag)
		if last {
			delete(w.model.Images, image)
		}
	}
}

func (w *walk) dropImage(image string) {
	w.Helper()
	switch _, there := w.model.Images[image]; {
	case !there:
		w.remove(image, imageMissing)
	case w.inIndex(image):
		w.remove(image, imageInIndex)
	default:
		w.remove(image, accepted)
		delete(w.model.Images, image)
		maps.DeleteFunc(w.model.Tags, func(_, named string) bool { return named == image })
	}
}

// dropLayer has one door alone.
func (w *walk) dropLayer(layer string) {
	w.Helper()
	if _, there := w.model.Layers[layer]; !there {
		return
	}
	r := ociDoor{w.doorway}.removeLayer(w.repo, layer)
	if w.anyImage(func(m either) bool { return names(m.blobs(), layer) }) {
		w.expect("remove layer "+layer, r, layerInImage)
		return
	}
	w.expect("remove layer "+layer, r, accepted)
	delete(w.model.Layers, layer)
}

// artifact is the type by which referrers are listed (distribution
// specification, "Pushing Manifests with Subject").
func (m either) artifact() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

func names(list []v1.Descriptor, id string) bool {
	return slices.ContainsFunc(list, func(d v1.Descriptor) bool { return d.Digest.String() == id })
}

func (w *walk) inIndex(image string) bool {
	return w.anyImage(func(m either) bool { return names(m.Manifests, image) })
}

func (w *walk) anyImage(is func(either) bool) bool {
	for _, img := range w.model.Images {
		if is(w.parse(img.Manifest)) {
			return true
		}
	}
	return false
}

func (w *walk) tagsOf(image string) (tags []string) {
	for tag, named := range w.model.Tags {
		if named == image {
			tags = append(tags, tag)
		}
	}
	return tags
}

// compare holds what both doors show against the model.
func (w *walk) compare() {
	w.Helper()
	want := newState()
	want.Tags, want.Layers = w.model.Tags, w.model.Layers
	for id, img := range w.model.Images {
		img.Tags = w.tagsOf(id)
		want.Images[id] = img
	}
	w.derive(want)
	for id := range want.Layers {
		want.Contents[id] = contentState{SHA256: id}
	}
	w.deriveContents(want)
	for _, id := range slices.Sorted(maps.Keys(want.Images)) {
		if img := want.Images[id]; img.Subject != "" {
			m := w.parse(img.Manifest)
			want.Referrers[img.Subject] = append(want.Referrers[img.Subject],
				referrerState{id, img.MediaType, m.artifact(), int64(len(img.Manifest)), m.Annotations})
		}
	}
	if diff := cmp.Diff(want, w.read()); diff != "" {
		w.Errorf("the state is not the model's (-model +doors):\n%s", diff)
	}
}
