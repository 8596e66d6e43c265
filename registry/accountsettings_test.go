package registry_test

import (
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/registry"
)

func TestAccountSettings(t *testing.T) {
	s := open(t, registry.Options{})
	one, err := registry.ParseID("111111111111", "us-east-1")
	must(t, err)
	other, err := registry.ParseID("111111111111", "us-east-2")
	must(t, err)
	is := func(id registry.ID, want string) {
		t.Helper()
		if got, err := s.AccountSetting(alice(t), id, registry.BlobMounting); err != nil || got != want {
			t.Errorf("the setting of %v is %q, %v; want %q", id, got, err, want)
		}
	}
	is(one, registry.Disabled)
	must(t, s.PutAccountSetting(alice(t), one, registry.BlobMounting, registry.Enabled))
	is(one, registry.Enabled)
	is(other, registry.Disabled)
	must(t, s.PutAccountSetting(alice(t), one, registry.BlobMounting, registry.Disabled))
	is(one, registry.Disabled)

	_, err = s.AccountSetting(alice(t), one, "blob_mounting")
	wantField(t, "a name that is none", err, "name")
	wantField(t, "a name that is none, set", s.PutAccountSetting(alice(t), one, "", registry.Enabled), "name")
	wantField(t, "a value that is none", s.PutAccountSetting(alice(t), one, registry.BlobMounting, "enabled"), "value")
}

func wantField(t testing.TB, what string, err error, field string) {
	t.Helper()
	if e := wantCode(t, what, err, registry.SettingInvalid); e.Field != field {
		t.Errorf("%s: the refusal is about %q, want %q", what, e.Field, field)
	}
}

func TestMountOfReferencedLayersOnly(t *testing.T) {
	s := open(t, registry.Options{})
	from, to := create(t, s, "team/from"), create(t, s, "team/to")
	layer := addLayer(t, s, from, "bytes")
	d := sha256Of([]byte("bytes"))
	mount := func(m registry.Mount) error {
		m.MayRead, m.Referenced = anyone, true
		_, err := s.Mount(alice(t), to, d, m)
		return err
	}
	wantCode(t, "a layer that no image uses", mount(registry.Mount{From: from}), registry.LayerNotFound)
	put(t, s, from, "1", imageOf(t, v1.Manifest{Config: addConfig(t, s, from), Layers: []v1.Descriptor{layer}}))
	wantCode(t, "from no repository in particular", mount(registry.Mount{}), registry.LayerNotFound)
	must(t, mount(registry.Mount{From: from}))
	if _, err := s.Layer(alice(t), to, d); err != nil {
		t.Errorf("the mounted layer: %v", err)
	}
}
