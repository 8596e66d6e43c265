package ecrlogin_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

// tunnel is a proxy that leads every CONNECT to one server, and returns its
// URL.
func tunnel(t testing.TB, to *httptest.Server) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there, err := net.Dial("tcp", to.Listener.Addr().String())
		if err != nil || r.Method != http.MethodConnect {
			http.Error(w, "no tunnel", http.StatusBadGateway)
			return
		}
		defer there.Close()
		w.WriteHeader(http.StatusOK)
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer here.Close()
		go func() { _, _ = io.Copy(there, here) }()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// profiles gives the test AWS's files, and nothing else that says who it is.
func profiles(t *testing.T, text string) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", path)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(filepath.Dir(path), "absent"))
}

func TestIdentify(t *testing.T) {
	profiles(t, `[profile work]
aws_access_key_id = AKIAWORK
aws_secret_access_key = x
region = eu-west-1
[profile asks]
credential_process = echo '{"Version":1,"AccessKeyId":"AKIAASKED","SecretAccessKey":"x"}'
`)
	tests := []struct {
		name, profile   string
		env             map[string]string
		key, region     string
		guessed, failed bool
	}{
		{name: "a profile", profile: "work", key: "AKIAWORK", region: "eu-west-1"},
		{name: "a program to ask", profile: "asks", key: "AKIAASKED"},
		{name: "a profile of the environment", env: map[string]string{"AWS_PROFILE": "work"}, key: "AKIAWORK", region: "eu-west-1"},
		{name: "the environment", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-west-2"}, key: "AKIAENV", region: "us-west-2"},
		{name: "a profile before the environment", profile: "work", env: map[string]string{"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "x"}, key: "AKIAWORK", region: "eu-west-1"},
		{name: "a profile that is none", profile: "nobody", failed: true},
		{name: "nothing", guessed: true},
		{name: "certificates that are not there", env: map[string]string{"AWS_CA_BUNDLE": "/absent"}, failed: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			id, err := ecrlogin.Identify(context.Background(), tt.profile)
			if (err != nil) != tt.failed || id.Guessed != tt.guessed || id.Region != tt.region {
				t.Fatalf("Identify = %+v, %v", id, err)
			}
			if tt.key == "" {
				return
			}
			if got, err := id.Credentials.Retrieve(context.Background()); err != nil || got.AccessKeyID != tt.key {
				t.Errorf("the key is %q, %v; want %q", got.AccessKeyID, err, tt.key)
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	tests := map[string]bool{
		"localhost": true, "a.localhost": true, "A.LOCALHOST.": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "[::1]": true,
		"localhost.example": false, "10.0.0.1": false, "": false, "mylocalhost": false,
	}
	for host, want := range tests {
		if got := ecrlogin.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %v", host, got)
		}
	}
}
