package dockerconfig_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/dockerconfig"
)

const (
	host  = "localhost:5000"
	other = `"proxies":{"default":{"noProxy":"<a&b>"}},"big":12345678901234567890`
)

// edit writes a configuration, changes it and returns what the file holds then.
func edit(t testing.TB, before string, change func(*dockerconfig.File)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := dockerconfig.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	change(f)
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// members is a JSON object with its members as they are written.
func members(t testing.TB, text string) map[string]string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plain := map[string]string{}
	for name, value := range raw {
		var b bytes.Buffer
		if err := json.Compact(&b, value); err != nil {
			t.Fatal(err)
		}
		plain[name] = b.String()
	}
	return plain
}

func TestChanges(t *testing.T) {
	helper := func(f *dockerconfig.File) { f.SetHelper(host, "berth") }
	password := func(f *dockerconfig.File) { f.SetPassword(host, "AWS", "secret") }
	elsewhere := func(f *dockerconfig.File) { f.SetElsewhere(host) }
	forget := func(f *dockerconfig.File) { f.Forget(host) }
	tests := []struct {
		name, before string
		change       func(*dockerconfig.File)
		want         string
	}{
		{"helper into nothing", ``, helper, `{"credHelpers":{"localhost:5000":"berth"}}`},
		{"helper into null", `null`, helper, `{"credHelpers":{"localhost:5000":"berth"}}`},
		{"helper for a password", `{"auths":{"localhost:5000":{"auth":"eDp5"},"b":{"auth":"eDp5","x":1}},` + other + `}`, helper,
			`{"auths":{"b":{"auth":"eDp5","x":1}},"credHelpers":{"localhost:5000":"berth"},` + other + `}`},
		{"helper beside another", `{"credHelpers":{"b":"other"}}`, helper, `{"credHelpers":{"b":"other","localhost:5000":"berth"}}`},
		{"password for a helper", `{"credHelpers":{"localhost:5000":"berth"},` + other + `}`, password,
			`{"auths":{"localhost:5000":{"auth":"QVdTOnNlY3JldA=="}},` + other + `}`},
		{"password elsewhere", `{"credsStore":"keep"}`, elsewhere, `{"auths":{"localhost:5000":{}},"credsStore":"keep"}`},
		{"forget", `{"auths":{"localhost:5000":{}},"credHelpers":{"localhost:5000":"berth","b":"c"}}`, forget, `{"credHelpers":{"b":"c"}}`},
		{"forget nothing", `{"auths":{},` + other + `}`, forget, `{"auths":{},` + other + `}`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(members(t, tt.want), members(t, edit(t, tt.before, tt.change))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestUnchangedIsNotWritten(t *testing.T) {
	const odd = "{ \"a\" : 1 }"
	if got := edit(t, odd, func(f *dockerconfig.File) { f.Forget(host) }); got != odd {
		t.Errorf("the file is now %q", got)
	}
}

func TestWhatIsThere(t *testing.T) {
	edit(t, `{"credHelpers":{"a":"x"},"credsStore":"keep","auths":{"b":{"auth":"eDp5"},"c":{}}}`, func(f *dockerconfig.File) {
		got := []any{f.Helper("a"), f.Helper("b"), f.Store(), f.HasPassword("a"), f.HasPassword("b"), f.HasPassword("c"), f.Forget("a"), f.Forget("a")}
		if diff := cmp.Diff([]any{"x", "", "keep", false, true, false, true, false}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestBadFilesAreRefused(t *testing.T) {
	for _, text := range []string{"{", "[]", `{"auths":[]}`, `{"credHelpers":{"a":1}}`, `{"credsStore":{}}`} {
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := dockerconfig.Open(path); err == nil {
			t.Errorf("%s is taken for a configuration", text)
		}
	}
}

func TestPath(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for dir, want := range map[string]string{"": "/home/me/.docker/config.json", "/else": "/else/config.json"} {
		t.Setenv("DOCKER_CONFIG", dir)
		if got, err := dockerconfig.Path(); got != want || err != nil {
			t.Errorf("with DOCKER_CONFIG=%q: %q, %v; want %q", dir, got, err, want)
		}
	}
}
