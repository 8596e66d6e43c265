package registry_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
)

// far is what servers in these tests call each other.
var far = registry.ID{Account: "999999999999", Region: "xx-elsewhere-1"}

// site is one of several servers that send each other what is done to them.
type site struct {
	*registry.Service
	t      *testing.T
	repo   registry.Name
	id     string
	images []registry.Push
}

// newSite is a server whose clock is wrong by so much. All its images have the same
// layer, so that no more than a manifest goes from one to another.
func newSite(t *testing.T, now *time.Time, ahead time.Duration, d registry.Destination) *site {
	t.Helper()
	w := &site{t: t}
	w.Service = open(t, registry.Options{Index: memory.NewIndex(), Now: func() time.Time { return now.Add(ahead) }, Destinations: []registry.Destination{d}})
	w.repo = create(t, w.Service, "team/app")
	must(t, w.PutReplication(alice(t), here, bringing(nil, d.To)))
	id, err := w.ServerID(t.Context())
	must(t, err)
	w.id = id
	addLayer(t, w.Service, w.repo, "{}")
	for i := range 4 {
		config := fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2}`, sha256Of([]byte("{}")))
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[],"annotations":{"n":"%d"}}`, config, i)
		w.images = append(w.images, registry.Push{Body: []byte(body)})
	}
	return w
}

func (w *site) push(image int, tags ...string) {
	w.t.Helper()
	p := w.images[image]
	for _, name := range tags {
		p.Tags = append(p.Tags, tag(w.t, name))
	}
	_, err := w.PutImage(alice(w.t), w.repo, p)
	must(w.t, err)
}

func (w *site) ref(image int) registry.Ref {
	return registry.Ref{Digest: sha256Of(w.images[image].Body)}
}

// send has another site take the first of what waits, if anything does. With lost the
// sender does not learn that it did, and sends it again.
func (w *site) send(to *site, lost bool) bool {
	w.t.Helper()
	list := waiting(w.t, w.Service)
	if len(list) == 0 {
		return false
	}
	r := list[0]
	origin := registry.Origin{Server: cmp.Or(r.Server, w.id), At: r.PushedAt}
	out, ok, err := w.OutgoingImage(w.t.Context(), r, r.Digest)
	must(w.t, err)
	switch {
	case !ok:
		return true
	case r.Deleted:
		ref := registry.Ref{Tag: r.Tag}
		if r.Tag.IsZero() {
			ref.Digest = r.Digest
		}
		must(w.t, to.DeleteReplica(alice(w.t), to.repo, ref, origin, nil))
	default:
		_, err := to.PutImage(alice(w.t), to.repo, registry.Push{Tags: []registry.Tag{r.Tag}, MediaType: out.MediaType, Body: out.Body, Origin: &origin})
		must(w.t, err)
	}
	if !lost {
		must(w.t, w.SettleReplica(w.t.Context(), r))
	}
	return true
}

// contents are the images of a site with their tags.
func (w *site) contents() map[string][]string {
	w.t.Helper()
	all := map[string][]string{}
	refs, _, err := w.ImageIDs(alice(w.t), w.repo, registry.ImageFilter{}, "", 100)
	must(w.t, err)
	for _, ref := range refs {
		all[ref.Digest.String()] = append(all[ref.Digest.String()], ref.Tag.String())
	}
	return all
}

// act does something at a site, and says what.
func (w *site) act(rng *rand.Rand) string {
	w.t.Helper()
	image, name := rng.IntN(len(w.images)), fmt.Sprintf("t%d", rng.IntN(3))
	switch rng.IntN(6) {
	case 0:
		_, err := w.DeleteImage(alice(w.t), w.repo, w.ref(image), nil)
		w.mayBeAbsent(err)
		return fmt.Sprintf("delete %d", image)
	case 1:
		_, err := w.Untag(alice(w.t), w.repo, tag(w.t, name), registry.KeepImage, nil)
		w.mayBeAbsent(err)
		return "untag " + name
	case 2:
		w.push(image)
		return fmt.Sprintf("push %d", image)
	}
	w.push(image, name)
	return fmt.Sprintf("push %d as %s", image, name)
}

func (w *site) mayBeAbsent(err error) {
	w.t.Helper()
	if registry.CodeOf(err) != registry.ImageNotFound {
		must(w.t, err)
	}
}

// Whatever is done on two servers that send each other everything, in whatever order it
// comes, however often, and whatever their clocks say: in the end they have the same, and
// nothing goes round.
func TestServersEndUpEqual(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		d := registry.Destination{To: far, Remote: true, Deletes: true}
		sites := []*site{newSite(t, &now, 0, d), newSite(t, &now, time.Duration(rng.IntN(7)-3)*time.Second, d)}
		var done []string
		for range 40 {
			now = now.Add(time.Duration(rng.IntN(3)) * time.Second)
			one := rng.IntN(2)
			if rng.IntN(2) == 1 {
				done = append(done, fmt.Sprintf("%d: %s", one, sites[one].act(rng)))
				continue
			}
			lost := rng.IntN(4) == 0
			if sites[one].send(sites[1-one], lost) {
				done = append(done, fmt.Sprintf("%d sends, lost: %v", one, lost))
			}
		}
		for left := true; left; {
			one := rng.IntN(2)
			left = sites[one].send(sites[1-one], false) || sites[1-one].send(sites[one], false)
		}
		if diff := diff.Diff(sites[0].contents(), sites[1].contents()); diff != "" {
			t.Fatalf("seed %d: the servers differ (-0 +1):\n%s\nafter %q", seed, diff, done)
		}
	}
}
