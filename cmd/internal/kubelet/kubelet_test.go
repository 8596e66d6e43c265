package kubelet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/kubelet"
)

func request(version, image string) string {
	return `{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/` + version + `","image":"` + image + `","later":{}}`
}

func TestRead(t *testing.T) {
	tests := []struct{ in, host, wrong string }{
		{request("v1", "localhost:5000/team/app:1.0"), "localhost:5000", ""},
		{request("v1beta1", "Registry.Example/app@sha256:00"), "registry.example", ""},
		{request("v1alpha1", "registry.example/app"), "registry.example", ""},
		{request("v2", "registry.example/app"), "", "apiVersion is"},
		{request("v1", "app"), "", "image names no registry"},
		{request("v1", ""), "", "image names no registry"},
		{strings.Replace(request("v1", "a/b"), "Request", "Response", 1), "", "kind is"},
		{"", "", "holds no CredentialProviderRequest"},
		{"[]", "", "holds no CredentialProviderRequest"},
		{request("v1", strings.Repeat("x", 1<<20)), "", "holds no CredentialProviderRequest"},
	}
	for _, tt := range tests {
		got, err := kubelet.Read(strings.NewReader(tt.in))
		switch {
		case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
			t.Errorf("Read(%.200s): error %v, want one with %q", tt.in, err, tt.wrong)
		case tt.wrong == "" && (err != nil || got.Host() != tt.host):
			t.Errorf("Read(%s) is of the host %q, %v; want %q", tt.in, got.Host(), err, tt.host)
		}
	}
}

func TestAnswer(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 500, time.UTC)
	tests := []struct {
		version string
		expires time.Time
		want    string
	}{
		{"v1", now.Add(12 * time.Hour), `"apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"Registry","cacheDuration":"6h0m0s"`},
		{"v1beta1", now.Add(time.Minute + 7), `"apiVersion":"credentialprovider.kubelet.k8s.io/v1beta1","cacheKeyType":"Registry","cacheDuration":"30s"`},
		{"v1", now.Add(-time.Hour), `"apiVersion":"credentialprovider.kubelet.k8s.io/v1","cacheKeyType":"Registry","cacheDuration":"0s"`},
	}
	for _, tt := range tests {
		req, err := kubelet.Read(strings.NewReader(request(tt.version, "a.example/b")))
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := req.Answer(&b, kubelet.Password{User: "AWS", Secret: accounts.NewSecret("secret"), Expires: tt.expires}, now); err != nil {
			t.Fatal(err)
		}
		want := `{"kind":"CredentialProviderResponse",` + tt.want + `,"auth":{"a.example":{"username":"AWS","password":"secret"}}}` + "\n"
		if b.String() != want {
			t.Errorf("got  %swant %s", b.String(), want)
		}
	}
}
