package transfer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

// tags are those of all repositories of a place whose names begin like that, those
// left out that stand for referrers.
func tags(t testing.TB, in transfer.Catalogue, prefix string) (all []string) {
	t.Helper()
	for repo, err := range in.Repositories(t.Context()) {
		must(t, err)
		if !strings.HasPrefix(repo, prefix) {
			continue
		}
		refs, err := in.References(t.Context(), repo)
		must(t, err)
		for _, tag := range refs.Tags {
			if !strings.HasPrefix(tag, "sha256-") || strings.Contains(tag, ".") {
				all = append(all, strings.TrimPrefix(repo, prefix)+":"+tag)
			}
		}
	}
	slices.Sort(all)
	return all
}

// What is chosen comes, and no more.
func TestChoices(t *testing.T) {
	w := newWorld()
	source := at(t, peertest.Distribution(t))
	w.fill(t, source)
	signed := "sha256-" + w.plain.digest().Encoded() + ".sig"
	cosign := image(nil, "cosign's")
	put(t, source, "team/app", signed, cosign)
	arm := w.arm
	tests := []struct {
		name   string
		o      transfer.Options
		tags   []string
		has    []placed
		hasNot []placed
	}{
		{"everything", transfer.Options{}, []string{"team/app:both", "team/app:" + signed, "team/app:v1", "team/app:v1.0", "team:v2"}, w.all()[:7], []placed{{"team/app", "", w.loose}}},
		{"a repository", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team"}}}, []string{"team:v2"}, nil, nil},
		{"repositories", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team*p"}}}, []string{"team/app:both", "team/app:" + signed, "team/app:v1", "team/app:v1.0"}, nil, nil},
		{"a tag", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team/app", Reference: "v1"}}}, []string{"team/app:" + signed, "team/app:v1"}, []placed{{"team/app", signed, cosign}}, []placed{{"team/app", "", w.both}}},
		{"a tag and another", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team/app", Reference: "v1.0"}, {Repository: "team", Reference: "v2"}}}, []string{"team/app:" + signed, "team/app:v1.0", "team:v2"}, nil, nil},
		{"a tag, then all", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team/app", Reference: "v1.0"}, {Repository: "team/app"}}}, []string{"team/app:both", "team/app:" + signed, "team/app:v1", "team/app:v1.0"}, nil, nil},
		{"a digest", transfer.Options{Wanted: []transfer.Wanted{{Repository: "team/app", Reference: arm.digest().String()}}}, nil, []placed{{"team/app", "", arm}, {"team/app", "", w.sbom}}, []placed{{"team/app", "", w.plain}}},
		{"tags like", transfer.Options{Tags: "v1*"}, []string{"team/app:" + signed, "team/app:v1", "team/app:v1.0"}, []placed{{"team/app", signed, cosign}}, []placed{{"team/app", "", w.both}, {"team/app", "", arm}}},
		{"a platform", transfer.Options{Platform: "linux/arch1", Wanted: []transfer.Wanted{{Repository: "team/app", Reference: "both"}}}, []string{"team/app:both"}, []placed{{"team/app", "both", arm}, {"team/app", "", w.sbom}}, []placed{{"team/app", "", w.both}}},
		{"nothing that refers", transfer.Options{NoReferrers: true, Wanted: []transfer.Wanted{{Repository: "team/app", Reference: "both"}}}, []string{"team/app:both"}, []placed{{"team/app", "both", w.both}}, []placed{{"team/app", "", w.sbom}, {"team/app", "", w.signature}}},
		{"to look", transfer.Options{DryRun: true}, nil, nil, []placed{{"team/app", "", w.both}}},
	}
	target := at(t, peertest.Distribution(t))
	for i, tt := range tests {
		prefix := fmt.Sprintf("%c/", 'a'+i)
		tt.o.Rename = func(repo string) string { return prefix + repo }
		tt.o.From, tt.o.Listed, tt.o.To = source, transfer.FromRegistry(source), target
		r := good(t, run(t, tt.o))
		if diff := cmp.Diff(tt.tags, tags(t, transfer.FromRegistry(target), prefix)); diff != "" {
			t.Errorf("%s: tags (-want +got):\n%s", tt.name, diff)
		}
		for _, p := range tt.has {
			p.repo = prefix + p.repo
			has(t, tt.name, target, p)
		}
		for _, p := range tt.hasNot {
			hasNot(t, tt.name, target, prefix+p.repo, p.digest().String())
		}
		if tt.o.DryRun && (r.Bytes == 0 || r.Blobs == 0) {
			t.Errorf("%s: nothing is said: %+v", tt.name, r)
		}
	}
}

// What is asked for and makes no sense.
func TestOptions(t *testing.T) {
	r := at(t, peertest.Distribution(t))
	fine := transfer.Options{From: r, Listed: transfer.FromRegistry(r), To: r}
	for name, change := range map[string]func(*transfer.Options){
		"no source":     func(o *transfer.Options) { o.From = nil },
		"no catalogue":  func(o *transfer.Options) { o.Listed = nil },
		"no target":     func(o *transfer.Options) { o.To = nil },
		"many jobs":     func(o *transfer.Options) { o.Jobs = 1000 },
		"fewer jobs":    func(o *transfer.Options) { o.Jobs = -1 },
		"a platform":    func(o *transfer.Options) { o.Platform = "linux" },
		"no platform":   func(o *transfer.Options) { o.Platform = "/" },
		"four platform": func(o *transfer.Options) { o.Platform = "a/b/c/d" },
	} {
		o := fine
		change(&o)
		if _, err := transfer.Run(t.Context(), o); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	none := run(t, fine)
	if len(none.Notes) != 1 || none.Images != 0 {
		t.Errorf("of an empty registry: %+v", none)
	}
	missing := run(t, transfer.Options{From: r, Listed: transfer.FromRegistry(r), To: r, Wanted: []transfer.Wanted{{Repository: "no/such"}, {Repository: "no/image", Reference: "v1"}}})
	if len(missing.Failed) != 2 {
		t.Errorf("of what is not there: %+v", missing)
	}
}

// An index of which the source lacks a part is told of, whoever the target is.
func TestPartsThatLack(t *testing.T) {
	there, gone := image(nil, "there"), image(nil, "gone")
	both := index(there, gone)
	all := layout(both)
	for name, content := range blobsOf(there) {
		all[name] = content
	}
	in, err := transfer.OpenLayouts(files(t, all), "a")
	must(t, err)
	defer in.Close()
	// Distribution takes no index whose parts are not there; a folder does.
	r := run(t, transfer.Options{From: in, Listed: in, To: at(t, peertest.Distribution(t))})
	if len(r.Failed) != 1 || !strings.Contains(r.Failed[0].Error, "1 of the manifests of index "+both.digest().String()) {
		t.Errorf("to distribution: %+v", r.Failed)
	}
	out, err := transfer.CreateLayouts(t.TempDir(), "a")
	must(t, err)
	defer out.Close()
	r = good(t, run(t, transfer.Options{From: in, Listed: in, To: out}))
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], gone.digest().String()) {
		t.Errorf("to a folder: %+v", r.Notes)
	}
}

// Docker's schema 1 tells no sizes.
func TestSchema1(t *testing.T) {
	layer := []byte("of old")
	m := made{mediaType: manifest.MediaTypeDockerSchema1, blobs: [][]byte{layer}}
	m.body = encode(object{
		"schemaVersion": 1, "name": "a", "tag": "v1", "architecture": "amd64",
		"fsLayers": []object{{"blobSum": sha256Of(layer).String()}}, "history": []object{{"v1Compatibility": `{"id":"x"}`}},
	})
	in, err := transfer.OpenLayouts(files(t, layout(m)), "a")
	must(t, err)
	defer in.Close()
	out, err := transfer.CreateLayouts(t.TempDir(), "a")
	must(t, err)
	good(t, run(t, transfer.Options{From: in, Listed: in, To: out}))
	if has, err := out.HasBlob(t.Context(), "a", sha256Of(layer)); !has || err != nil {
		t.Errorf("its layer is there: %v, %v", has, err)
	}
	must(t, out.Close())
}
