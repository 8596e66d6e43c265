package transfer_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

// named are the entries of a layout's index: tag and the first of the digest.
func named(t testing.TB, dir string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	must(t, err)
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	must(t, json.Unmarshal(text, &index))
	for _, m := range index.Manifests {
		all = append(all, m.Annotations["org.opencontainers.image.ref.name"]+" "+m.Digest[7:13])
	}
	return all
}

func short(m made) string { return m.digest().Encoded()[:6] }

// A layout names images by their tags, others by their digest, and what is a part of
// another not at all. What it had before stays.
func TestLayoutNames(t *testing.T) {
	one, two, arm := image(nil, "one"), image(nil, "two"), image(nil, "arm")
	both := index(two, arm)
	before := layout(one)
	before["index.json"] = strings.Replace(before["index.json"], "v1", "registry.example/a:old", 1)
	dir := files(t, before)
	write := func(fill func(*transfer.LayoutWriter)) {
		t.Helper()
		out, err := transfer.CreateLayouts(dir, "a")
		must(t, err)
		fill(out)
		must(t, out.Close())
	}
	for _, step := range []struct {
		what string
		do   func(*transfer.LayoutWriter)
		want []string
	}{
		{"nothing", func(*transfer.LayoutWriter) {}, []string{"registry.example/a:old " + short(one)}},
		{"an image without a tag", func(w *transfer.LayoutWriter) { put(t, w, "a", "", two) }, []string{" " + short(two), "registry.example/a:old " + short(one)}},
		{"an index with it", func(w *transfer.LayoutWriter) { put(t, w, "a", "", arm); put(t, w, "a", "both", both) }, []string{"both " + short(both), "registry.example/a:old " + short(one)}},
		{"a part of it again", func(w *transfer.LayoutWriter) { put(t, w, "a", "", arm) }, []string{"both " + short(both), "registry.example/a:old " + short(one)}},
		{"a part of it by a tag", func(w *transfer.LayoutWriter) { put(t, w, "a", "arm", arm) }, []string{"arm " + short(arm), "both " + short(both), "registry.example/a:old " + short(one)}},
		{"a tag that moves", func(w *transfer.LayoutWriter) { put(t, w, "a", "old", two) }, []string{" " + short(one), "arm " + short(arm), "both " + short(both), "old " + short(two)}},
	} {
		write(step.do)
		if diff := cmp.Diff(step.want, named(t, dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
	in, err := transfer.OpenLayouts(dir, "a")
	must(t, err)
	defer in.Close()
	has(t, "the layout", in, placed{"a", "both", both}, placed{"a", "arm", arm}, placed{"a", "old", two}, placed{"a", "", one})
}

// A tag that two images have is nobody's.
func TestDoubleTag(t *testing.T) {
	one, two := image(nil, "one"), image(nil, "two")
	all := blobsOf(one, two)
	var d [2]object
	for i, m := range []made{one, two} {
		d[i] = described(m.mediaType, m.body)
		d[i]["annotations"] = object{"org.opencontainers.image.ref.name": "v1"}
	}
	all["index.json"] = string(encode(object{"schemaVersion": 2, "manifests": d}))
	in, err := transfer.OpenLayouts(files(t, all), "a")
	must(t, err)
	defer in.Close()
	if _, err := in.Manifest(t.Context(), "a", "v1"); !errors.Is(err, peer.ErrWrong) {
		t.Errorf("%v", err)
	}
}

// What is no layout.
func TestNoLayouts(t *testing.T) {
	m := image(nil, "layer")
	for name, change := range map[string][2]string{
		"another version":  {"oci-layout", `{"imageLayoutVersion":"2.0.0"}`},
		"no JSON":          {"oci-layout", `{`},
		"an index of none": {"index.json", `[]`},
		"a bad digest":     {"index.json", `{"manifests":[{"digest":"sha256:../../x","size":1}]}`},
		"no digest":        {"index.json", `{"manifests":[{"size":1}]}`},
		"a negative size":  {"index.json", `{"manifests":[{"digest":"` + m.digest().String() + `","size":-1}]}`},
		"no index":         {"index.json", ""},
	} {
		in, err := transfer.OpenLayouts(files(t, with(layout(m), change[0], change[1])), "a")
		must(t, err)
		if r := run(t, transfer.Options{From: in, Listed: in, To: intoFolder(t, "a")}); len(r.Failed) != 1 {
			t.Errorf("%s: %+v", name, r)
		}
		must(t, in.Close())
	}
	if _, err := transfer.OpenLayouts(filepath.Join(t.TempDir(), "absent"), ""); err == nil {
		t.Error("what is not there is opened")
	}
}

// When a registry is not there for one image after the other, nothing more is tried.
func TestGivesUp(t *testing.T) {
	source := at(t, peertest.Distribution(t))
	for _, tag := range strings.Split("abcdefghijklmnopqrst", "") {
		put(t, source, "a", tag, image(nil, "layer"))
	}
	target := newUpstream(t)
	target.stand(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	r, err := transfer.Run(t.Context(), transfer.Options{
		From: source, Listed: transfer.FromRegistry(source), To: at(t, target.URL), Wanted: []transfer.Wanted{{Repository: "a"}}, Jobs: 20, Pause: 1,
	})
	if !errors.Is(err, peer.ErrUnavailable) || len(r.Failed) == 0 || r.Copied > 0 {
		t.Errorf("%v, %+v", err, r)
	}
}
