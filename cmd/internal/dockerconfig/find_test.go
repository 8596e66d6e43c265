package dockerconfig_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/dockerconfig"
)

// helper puts a credential helper with a name on the PATH, which answers like that.
func helper(t testing.TB, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestPassword(t *testing.T) {
	helper(t, "knows", `read host; echo "{\"ServerURL\":\"$host\",\"Username\":\"helped\",\"Secret\":\"$host's\"}"`)
	helper(t, "empty", `echo "credentials not found in native keychain"; exit 1`)
	helper(t, "broken", `echo "a secret"; exit 1`)
	helper(t, "token", `echo '{"Username":"<token>","Secret":"a secret"}'`)
	const auths = `"auths":{"localhost:5000":{"auth":"bWU6cGFzczp3b3Jk"},"https://b.example":{"auth":"bWU6eA=="},"c.example":{},"d.example":{"auth":"!"}}`
	tests := []struct {
		name, config, host, user, password string
		failed                             bool
	}{
		{"the file", `{` + auths + `}`, host, "me", "pass:word", false},
		{"the file, by URL", `{` + auths + `}`, "b.example", "me", "x", false},
		{"an entry without a password", `{` + auths + `}`, "c.example", "", "", false},
		{"an entry that is none", `{` + auths + `}`, "d.example", "", "", false},
		{"another host", `{` + auths + `}`, "e.example", "", "", false},
		{"no file", ``, host, "", "", false},
		{"a helper of the host", `{"credHelpers":{"localhost:5000":"knows"},"credsStore":"broken",` + auths + `}`, host, "helped", "localhost:5000's", false},
		{"a helper of all hosts", `{"credsStore":"knows",` + auths + `}`, host, "helped", "localhost:5000's", false},
		{"a helper that does not know it", `{"credsStore":"empty",` + auths + `}`, host, "me", "pass:word", false},
		{"a helper that fails", `{"credsStore":"broken",` + auths + `}`, host, "", "", true},
		{"a helper that is not there", `{"credsStore":"absent"}`, host, "", "", true},
		{"what is no password", `{"credsStore":"token"}`, host, "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			edit(t, tt.config, func(f *dockerconfig.File) {
				user, password, err := f.Password(context.Background(), tt.host)
				if user != tt.user || password.Reveal() != tt.password || (err != nil) != tt.failed {
					t.Errorf("Password = %q, %q, %v", user, password.Reveal(), err)
				}
			})
		})
	}
}
