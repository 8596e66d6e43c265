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

func TestMountAsECRDoes(t *testing.T) {
	s := open(t, registry.Options{})
	abroad := nameIn(t, registry.ID{Account: "123456789012", Region: "eu-west-1"}, "team/abroad")
	_, err := s.CreateRepository(alice(t), abroad, registry.Settings{})
	must(t, err)
	key := registry.Settings{Encryption: registry.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:us-east-1:000000000000:key/1"}}
	plain, sealed := create(t, s, "team/from"), createWith(t, s, "team/sealed", key)
	for _, from := range []registry.Name{plain, sealed, abroad} {
		addLayer(t, s, from, "idle")
		put(t, s, from, "1", imageOf(t, v1.Manifest{
			Config: addConfig(t, s, from), Layers: []v1.Descriptor{addLayer(t, s, from, "used")},
		}))
	}
	_, err = s.Mount(alice(t), create(t, s, "team/early"), sha256Of([]byte("used")), registry.Mount{From: plain, MayRead: anyone, AsECR: true})
	wantCode(t, "before the setting is on", err, registry.LayerNotFound)
	must(t, s.PutAccountSetting(alice(t), plain.ID(), registry.BlobMounting, registry.Enabled))
	to, toSealed := create(t, s, "team/to"), createWith(t, s, "team/to-sealed", key)
	for _, tt := range []struct {
		what     string
		from, to registry.Name
		content  string
		ok       bool
	}{
		{"a layer that an image uses", plain, to, "used", true},
		{"one that no image uses", plain, to, "idle", false},
		{"from no repository in particular", registry.Name{}, to, "used", false},
		{"from another registry", abroad, to, "used", false},
		{"from under a key", sealed, to, "used", false},
		{"to under a key", plain, toSealed, "used", false},
		{"under the same key", sealed, toSealed, "used", true},
		{"from none", name(t, "team/none"), to, "used", false},
	} {
		d := sha256Of([]byte(tt.content))
		_, err := s.Mount(alice(t), tt.to, d, registry.Mount{From: tt.from, MayRead: anyone, AsECR: true})
		if !tt.ok {
			wantCode(t, tt.what, err, registry.LayerNotFound)
			continue
		}
		must(t, err)
		if got := readLayer(t, s, tt.to, d); got != tt.content {
			t.Errorf("%s: it reads %q", tt.what, got)
		}
		must(t, s.DeleteLayer(alice(t), tt.to, d))
	}
}
