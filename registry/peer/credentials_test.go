package peer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/peer"
)

func TestFilesAndVariables(t *testing.T) {
	tests := []struct{ text, user, secret string }{
		{"berth:" + password, "berth", password},
		{" berth:a:b\n", "berth", "a:b"},
		{`{"username":"berth","accessToken":"correct-horse"}`, "berth", password},
		{` {"accessToken":"x","username":"AWS","other":1} `, "AWS", "x"},
		{"", "", ""}, {"correct-horse", "", ""}, {":correct-horse", "", ""}, {"berth:", "", ""},
		{`{"username":"berth"`, "", ""}, {`{"accessToken":"correct-horse"}`, "", ""}, {"berth:correct-horse" + strings.Repeat("x", 64<<10), "", ""},
	}
	path := filepath.Join(t.TempDir(), "login")
	for _, tt := range tests {
		must(t, os.WriteFile(path, []byte(tt.text), 0o600))
		t.Setenv("BERTH_TEST_LOGIN", tt.text)
		for _, c := range []peer.Credentials{peer.File(path), peer.Environment("BERTH_TEST_LOGIN")} {
			user, secret, err := c.Login(t.Context())
			if user != tt.user || secret.Reveal() != tt.secret || (err == nil) != (tt.user != "") {
				t.Errorf("%.60q is %q, %q, %v", tt.text, user, secret.Reveal(), err)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("%.60q: the error tells it: %v", tt.text, err)
			}
		}
	}
	for _, c := range []peer.Credentials{peer.File(path + "x"), peer.Environment("BERTH_TEST_NONE")} {
		if _, _, err := c.Login(t.Context()); err == nil {
			t.Error("there are credentials that nobody wrote")
		}
	}
	upstream := script(t, wanted(`Basic realm="x"`, content))
	r := to(t, upstream.URL, func(o *peer.Options) { o.Credentials = peer.File(path + "x") })
	_, err := r.Manifest(t.Context(), repo, "v1")
	check(t, "a file that is not there", err, peer.ErrDenied)
}

// helper puts a credential helper on the PATH, which counts its calls in a file.
func helper(t testing.TB, name, answer string) (calls func() int) {
	t.Helper()
	dir := t.TempDir()
	count := filepath.Join(dir, "calls")
	script := "#!/bin/sh\nread -r server\necho x >>'" + count + "'\ntest \"$1:$server\" = 'get:https://registry.example' || exit 3\n" + answer + "\n"
	must(t, os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte(script), 0o700))
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() int {
		text, err := os.ReadFile(count)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return len(text) / 2
	}
}

func TestHelper(t *testing.T) {
	calls := helper(t, "test", `echo '{"ServerURL":"x","Username":"berth","Secret":"correct-horse"}'`)
	c, err := peer.Helper("test", "https://registry.example")
	must(t, err)
	for range 3 {
		user, secret, err := c.Login(t.Context())
		if err != nil || user != "berth" || secret.Reveal() != password {
			t.Errorf("%q, %v", user, err)
		}
	}
	if calls() != 1 {
		t.Errorf("%d calls", calls())
	}
	c.(interface{ Forget() }).Forget()
	_, _, err = c.Login(t.Context())
	if must(t, err); calls() != 2 {
		t.Errorf("%d calls when it is not taken", calls())
	}
	for name, answer := range map[string]string{
		"fails": "echo correct-horse; exit 1", "nothing": "true", "no-json": "echo correct-horse", "empty": `echo '{"Username":"berth"}'`,
		"long": "yes correct-horse | head -c 200000",
	} {
		helper(t, name, answer)
		c, err := peer.Helper(name, "https://registry.example")
		must(t, err)
		if _, _, err := c.Login(t.Context()); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
	missing, err := peer.Helper("missing", "https://registry.example")
	must(t, err)
	if _, _, err := missing.Login(t.Context()); err == nil {
		t.Error("a program that is not there answers")
	}
	for _, bad := range []string{"", "../x", "a/b", "a b", "a;b", "$x"} {
		if _, err := peer.Helper(bad, "https://registry.example"); err == nil {
			t.Errorf("%q is a helper", bad)
		}
	}
}

// What waits for another's credentials may be given up.
func TestHelperIsWaitedFor(t *testing.T) {
	calls := helper(t, "test", `echo '{"Username":"berth","Secret":"x"}'`)
	c, err := peer.Helper("test", "https://registry.example")
	must(t, err)
	done := make(chan error, 20)
	for range cap(done) {
		go func() {
			_, _, err := c.Login(t.Context())
			done <- err
		}()
	}
	for range cap(done) {
		must(t, <-done)
	}
	if calls() != 1 {
		t.Errorf("%d calls side by side", calls())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.(interface{ Forget() }).Forget()
	if _, _, err := c.Login(ctx); err == nil {
		t.Error("a call that was given up answers")
	}
}
