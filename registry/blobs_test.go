package registry_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestLayer(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for _, content := range []string{"", "one", string(make([]byte, 200_000))} {
		desc := addLayer(t, s, n, content)
		d := sha256Of([]byte(content))
		got, err := s.Layer(alice(t), n, d)
		must(t, err)
		if want := (registry.Layer{Digest: d, Size: desc.Size}); got != want {
			t.Errorf("layer %+v, want %+v", got, want)
		}
		if read := readLayer(t, s, n, d); read != content {
			t.Errorf("layer of %d bytes reads %d others", len(content), len(read))
		}
	}
	put(t, s, n, "", imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "one")}}))
	got, err := s.Layer(alice(t), n, sha256Of([]byte("one")))
	want := registry.Layer{Digest: sha256Of([]byte("one")), Size: 3, MediaType: v1.MediaTypeImageLayer, Referenced: true}
	if err != nil || got != want {
		t.Errorf("used layer %+v, %v, want %+v", got, err, want)
	}
}

func TestReadFromTheMiddle(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "0123456789")
	_, r, err := s.OpenLayer(alice(t), n, sha256Of([]byte("0123456789")))
	must(t, err)
	defer r.Close()
	_, err = r.Seek(7, io.SeekStart)
	must(t, err)
	if b, err := io.ReadAll(r); err != nil || string(b) != "789" {
		t.Errorf("from byte 7: %q, %v", b, err)
	}
}

func TestLayerOfAnotherRepository(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	addLayer(t, s, other, "secret")
	d := sha256Of([]byte("secret"))
	_, errLayer := s.Layer(alice(t), n, d)
	_, _, errOpen := s.OpenLayer(alice(t), n, d)
	errDelete := s.DeleteLayer(alice(t), n, d)
	for what, err := range map[string]error{"find": errLayer, "open": errOpen, "delete": errDelete} {
		if e := wantCode(t, what, err, registry.LayerNotFound); !slices.Equal(e.Digests, []digest.Digest{d}) || e.Name != n {
			t.Errorf("%s: the refusal names %v in %q", what, e.Digests, e.Name)
		}
	}
}

func TestPushALayerThatIsThere(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	d := sha256Of([]byte("one"))
	for i, step := range []struct {
		name    registry.Name
		existed bool
	}{{n, false}, {n, true}, {other, false}, {other, true}} {
		id := start(t, s, step.name)
		send(t, s, step.name, id, "one")
		l, err := finish(t, s, step.name, id, d)
		if err != nil || l != (registry.Layer{Digest: d, Size: 3, Existed: step.existed}) {
			t.Errorf("push %d: %+v, %v; want existed %v", i, l, err, step.existed)
		}
	}
	must(t, registry.Tidy(t.Context(), s))
	if got := blobCount(t, blobs); got != 1 {
		t.Errorf("the store keeps %d blobs of the same bytes", got)
	}
}

func TestDeleteLayer(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	d := sha256Of([]byte("one"))
	addLayer(t, s, n, "one")
	addLayer(t, s, other, "one")
	must(t, registry.Tidy(t.Context(), s))

	must(t, s.DeleteLayer(alice(t), n, d))
	_, err := s.Layer(alice(t), n, d)
	wantCode(t, "find it at once", err, registry.LayerNotFound)
	wantCode(t, "delete it again", s.DeleteLayer(alice(t), n, d), registry.LayerNotFound)
	must(t, registry.Tidy(t.Context(), s))
	if got := readLayer(t, s, other, d); got != "one" {
		t.Errorf("the other holder reads %q", got)
	}

	_, r, err := s.OpenLayer(alice(t), other, d)
	must(t, err)
	defer r.Close()
	must(t, s.DeleteLayer(alice(t), other, d))
	must(t, registry.Tidy(t.Context(), s))
	if got := blobCount(t, blobs); got != 0 {
		t.Errorf("the store keeps %d blobs that nobody holds", got)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "one" {
		t.Errorf("a reader from before reads %q, %v", b, err)
	}
	addLayer(t, s, n, "one") // and it can come back
}

// readable is a MayRead that says yes to some names and notes what it is asked.
func readable(asked *[]string, names ...registry.Name) func(context.Context, registry.Name) bool {
	return func(_ context.Context, n registry.Name) bool {
		*asked = append(*asked, n.String())
		return slices.Contains(names, n)
	}
}

func TestMount(t *testing.T) {
	s := open(t, registry.Options{})
	n, holder, empty := create(t, s, "team/app"), create(t, s, "team/holder"), create(t, s, "team/empty")
	abroad := nameIn(t, registry.ID{Account: "123456789012", Region: "eu-west-1"}, "team/abroad")
	_, err := s.CreateRepository(alice(t), abroad, registry.Settings{})
	must(t, err)
	addLayer(t, s, holder, "one")
	addLayer(t, s, abroad, "only abroad")
	all := []registry.Name{n, holder, empty, abroad, name(t, "team/none")}
	tests := []struct {
		what     string
		content  string
		from     registry.Name
		readable []registry.Name
		asked    []string
		ok       bool
	}{
		{"from a holder", "one", holder, all, []string{"team/holder"}, true},
		{"from a holder that may not be read", "one", holder, []registry.Name{n, empty}, []string{"team/holder"}, false},
		{"from one that lacks it", "one", empty, all, []string{"team/empty"}, false},
		{"from none", "one", name(t, "team/none"), all, []string{"team/none"}, false},
		{"what nobody has", "never", holder, all, []string{"team/holder"}, false},
		{"from anywhere", "one", registry.Name{}, all, []string{"team/holder"}, true},
		{"from anywhere, unreadable", "one", registry.Name{}, []registry.Name{n, empty, abroad}, []string{"team/holder"}, false},
		{"from anywhere, what nobody has", "never", registry.Name{}, all, nil, false},
		{"from anywhere, what another registry has", "only abroad", registry.Name{}, all, nil, false},
		{"from another registry", "only abroad", abroad, all, []string{"team/abroad"}, true},
		{"from another registry, unreadable", "only abroad", abroad, []registry.Name{holder}, []string{"team/abroad"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			var asked []string
			d := sha256Of([]byte(tt.content))
			l, err := s.Mount(alice(t), n, d, registry.Mount{From: tt.from, MayRead: readable(&asked, tt.readable...)})
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("asked for the right to read (-want +got):\n%s", diff)
			}
			if !tt.ok {
				e := wantCode(t, "mount", err, registry.LayerNotFound)
				if want := fmt.Sprintf("layer %s is not in %q", d, n); e.Msg != want || e.Name != n {
					t.Errorf("the refusal says %q, want %q whatever the reason", e.Msg, want)
				}
				return
			}
			if err != nil || l != (registry.Layer{Digest: d, Size: int64(len(tt.content))}) {
				t.Errorf("mounted %+v, %v", l, err)
			}
			if got := readLayer(t, s, n, d); got != tt.content {
				t.Errorf("it reads %q", got)
			}
			must(t, s.DeleteLayer(alice(t), n, d))
		})
	}
}

func TestMountOutlivesItsSource(t *testing.T) {
	s := open(t, registry.Options{})
	n, source := create(t, s, "team/app"), create(t, s, "team/source")
	d := sha256Of([]byte("one"))
	addLayer(t, s, source, "one")
	_, err := s.Mount(alice(t), n, d, registry.Mount{From: source, MayRead: anyone})
	must(t, err)
	again, err := s.Mount(alice(t), n, d, registry.Mount{From: source, MayRead: anyone})
	if err != nil || !again.Existed {
		t.Errorf("mounted again: %+v, %v; want that it existed", again, err)
	}
	_, err = s.DeleteRepository(alice(t), source, true)
	must(t, err)
	must(t, registry.Tidy(t.Context(), s))
	if got := readLayer(t, s, n, d); got != "one" {
		t.Errorf("it reads %q", got)
	}
	_, err = s.Mount(alice(t), create(t, s, "team/late"), d, registry.Mount{From: source, MayRead: anyone})
	wantCode(t, "mount from the deleted one", err, registry.LayerNotFound)
}

func TestMountOfADeletedLayer(t *testing.T) {
	s := open(t, registry.Options{})
	n, source := create(t, s, "team/app"), create(t, s, "team/source")
	d := sha256Of([]byte("one"))
	addLayer(t, s, source, "one")
	must(t, s.DeleteLayer(alice(t), source, d))
	for _, from := range []registry.Name{source, {}} {
		_, err := s.Mount(alice(t), n, d, registry.Mount{From: from, MayRead: anyone})
		wantCode(t, "mount", err, registry.LayerNotFound)
	}
}

func TestMountFindsALaterHolder(t *testing.T) {
	s := open(t, registry.Options{})
	n, d := create(t, s, "team/app"), sha256Of([]byte("one"))
	holders := map[string]registry.Name{}
	for i := range 5 {
		holder := create(t, s, fmt.Sprintf("team/holder%d", i))
		addLayer(t, s, holder, "one")
		holders[holder.String()] = holder
	}
	var asked []string
	_, err := s.Mount(alice(t), n, d, registry.Mount{MayRead: readable(&asked)})
	wantCode(t, "mount what may not be read", err, registry.LayerNotFound)
	if len(asked) != 5 {
		t.Errorf("asked about %q, want all five", asked)
	}
	last := holders[asked[4]]
	_, err = s.Mount(alice(t), n, d, registry.Mount{MayRead: readable(&asked, last)})
	must(t, err)
}

// What a deleted repository held is cleared away later; until then it must not
// stand before those who hold the layer still.
// A holder whose layer is archived is none, whichever of them comes first.
func TestMountPassesOverArchivedHolders(t *testing.T) {
	s := open(t, registry.Options{})
	for i := range 4 {
		n := create(t, s, fmt.Sprintf("archived-%d", i))
		addImage(t, s, n, "1.0", "shared")
		_, err := s.SetStorageClass(alice(t), n, tagged(t, "1.0"), registry.ArchiveClass)
		must(t, err)
	}
	to := create(t, s, "to")
	anyone := registry.Mount{MayRead: func(context.Context, registry.Name) bool { return true }}
	_, err := s.Mount(alice(t), to, sha256Of([]byte("shared")), anyone)
	wantCode(t, "mount of what is archived everywhere", err, registry.LayerNotFound)
	addLayer(t, s, create(t, s, "from"), "shared")
	_, err = s.Mount(alice(t), to, sha256Of([]byte("shared")), anyone)
	must(t, err)
}

func TestMountPassesOverDeletedHolders(t *testing.T) {
	s := open(t, registry.Options{})
	n, d := create(t, s, "team/app"), sha256Of([]byte("one"))
	for range 8 {
		addLayer(t, s, create(t, s, "team/gone"), "one")
		_, err := s.DeleteRepository(alice(t), name(t, "team/gone"), true)
		must(t, err)
	}
	create(t, s, "team/gone") // the name is there again, without the layer
	holder := create(t, s, "team/holder")
	addLayer(t, s, holder, "one")
	var asked []string
	_, err := s.Mount(alice(t), n, d, registry.Mount{MayRead: readable(&asked, holder, name(t, "team/gone"))})
	must(t, err)
	if len(asked) != 1 {
		t.Errorf("asked about %q, want the one holder", asked)
	}
}

func TestLayerThatChangesWhileItIsOpened(t *testing.T) {
	tests := []struct {
		what  string
		again bool // it is pushed again at once
	}{{"deleted", false}, {"deleted and pushed again", true}}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			blobs := &faultyBlobs{Blobs: memory.NewBlobs()}
			s := open(t, registry.Options{Blobs: blobs})
			n, d := create(t, s, "team/app"), sha256Of([]byte("one"))
			addLayer(t, s, n, "one")
			blobs.open = func(string) error {
				blobs.open = nil
				must(t, s.DeleteLayer(alice(t), n, d))
				must(t, registry.Tidy(t.Context(), s))
				if tt.again {
					addLayer(t, s, n, "one")
				}
				return nil
			}
			if tt.again {
				if got := readLayer(t, s, n, d); got != "one" {
					t.Errorf("it reads %q", got)
				}
				return
			}
			_, _, err := s.OpenLayer(alice(t), n, d)
			wantCode(t, "open", err, registry.LayerNotFound)
		})
	}
}

func TestSealThatAPowerCutUndid(t *testing.T) {
	blobs := &faultyBlobs{Blobs: memory.NewBlobs()}
	s := open(t, registry.Options{Blobs: blobs})
	n := create(t, s, "team/app")
	addLayer(t, s, n, "one")
	blobs.open = func(string) error { return storage.ErrNotFound }
	blobs.seal = func(string) error {
		blobs.open = nil
		return nil
	}
	if got := readLayer(t, s, n, sha256Of([]byte("one"))); got != "one" {
		t.Errorf("it reads %q", got)
	}
}
