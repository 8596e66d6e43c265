package logins_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/logins"
)

// home gives the test a user of its own, and is his folder.
func home(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(dir, "config"))
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	return dir
}

func open(t testing.TB) logins.Store {
	t.Helper()
	s, err := logins.Open()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var login = logins.Login{
	Registry: "https://registry.example", Endpoint: "https://api.example", Region: "eu-west-1", Profile: "work",
	RegistryID: "123456789012", CA: "/ca.crt", Server: &logins.Server{Data: "/data"},
}

func TestStore(t *testing.T) {
	home(t)
	s := open(t)
	if all, err := s.All(); len(all) != 0 || err != nil {
		t.Errorf("at first there are %v, %v", all, err)
	}
	for _, host := range []string{"a.example", "b.example:5000"} {
		if err := s.Put(host, login); err != nil {
			t.Fatal(err)
		}
	}
	if got, ok, err := open(t).Of("b.example:5000"); !ok || err != nil || !cmp.Equal(got, login) {
		t.Errorf("Of = %+v, %v, %v", got, ok, err)
	}
	for _, want := range []bool{true, false} {
		if was, err := s.Forget("a.example"); was != want || err != nil {
			t.Errorf("Forget = %v, %v; want %v", was, err, want)
		}
	}
	all, err := s.All()
	if diff := cmp.Diff(map[string]logins.Login{"b.example:5000": login}, all); diff != "" || err != nil {
		t.Errorf("left (-want +got):\n%s%v", diff, err)
	}
}

func TestStoreThatCannotBeRead(t *testing.T) {
	home(t)
	s := open(t)
	if err := s.Put("a", login); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Of("a"); err == nil {
		t.Error("no error")
	}
	if err := s.Put("b", login); err == nil {
		t.Error("it was written over")
	}
}

func TestWhereLoginsAre(t *testing.T) {
	t.Setenv("HOME", "/home/me")
	for dir, want := range map[string]string{
		"": "/home/me/.config/berth/logins.json", "relative": "/home/me/.config/berth/logins.json", "/xdg": "/xdg/berth/logins.json",
	} {
		t.Setenv("XDG_CONFIG_HOME", dir)
		if got := open(t).Path(); got != want {
			t.Errorf("with %q: %s, want %s", dir, got, want)
		}
	}
}

func TestHost(t *testing.T) {
	tests := map[string]string{
		"localhost:5000": "localhost:5000", "https://Registry.Example/v2/": "registry.example", "http://[::1]:5000/": "[::1]:5000",
		"https://index.docker.io/v1/": "index.docker.io",
	}
	for address, want := range tests {
		if got := logins.Host(address); got != want {
			t.Errorf("Host(%q) = %q, want %q", address, got, want)
		}
	}
}

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// kept is the password that the cache has of the host "a", "" for none.
func kept(l logins.Login, at time.Time) string {
	if p, ok := logins.OpenCache().Of("a", l, at); ok {
		return p.Secret.Reveal()
	}
	return ""
}

func TestCache(t *testing.T) {
	dir := home(t)
	c := logins.OpenCache()
	password := logins.Password{User: "AWS", Secret: accounts.NewSecret("secret"), Expires: now.Add(12 * time.Hour)}
	if err := c.Keep("a", login, password); err != nil {
		t.Fatal(err)
	}
	other := login
	other.Profile = "home"
	steps := []struct {
		name string
		do   func()
		l    logins.Login
		at   time.Time
		want string
	}{
		{"at once", func() {}, login, now, "secret"},
		{"half an hour before its end", func() {}, login, now.Add(11*time.Hour + 30*time.Minute), "secret"},
		{"later", func() {}, login, now.Add(11*time.Hour + 31*time.Minute), ""},
		{"of another profile", func() {}, other, now, ""},
		{"with another key in the environment", func() { t.Setenv("AWS_ACCESS_KEY_ID", "AKIA2") }, login, now, ""},
		{"and back", func() { t.Setenv("AWS_ACCESS_KEY_ID", "") }, login, now, "secret"},
		{"after the profiles were changed", func() { writeFile(t, filepath.Join(dir, ".aws", "credentials")) }, login, now, ""},
	}
	for _, s := range steps {
		s.do()
		if got := kept(s.l, s.at); got != s.want {
			t.Errorf("%s: %q, want %q", s.name, got, s.want)
		}
	}
	if p, ok := c.Last("a", login, now); !ok || p.Secret.Reveal() != "secret" {
		t.Errorf("for whoever asks there is %q, %v", p.Secret.Reveal(), ok)
	}
	if _, ok := c.Last("a", other, now); ok {
		t.Error("for whoever asks there is the password of another login")
	}
}

func TestCacheForgets(t *testing.T) {
	home(t)
	c := logins.OpenCache()
	if err := c.Keep("a", login, logins.Password{User: "AWS", Secret: accounts.NewSecret("secret"), Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Forget("a"); err != nil {
			t.Error(err)
		}
		if got := kept(login, now); got != "" {
			t.Errorf("it still has %q", got)
		}
	}
}

func TestCacheWithoutAHome(t *testing.T) {
	t.Setenv("HOME", "")
	t.Setenv("XDG_CACHE_HOME", "")
	c := logins.OpenCache()
	if err := c.Keep("a", login, logins.Password{Expires: now.Add(time.Hour)}); err != nil {
		t.Error(err)
	}
	if _, ok := c.Of("a", login, now); ok {
		t.Error("something was kept")
	}
	if err := c.Forget("a"); err != nil {
		t.Error(err)
	}
}

func writeFile(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("[default]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}
