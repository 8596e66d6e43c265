package ecrlogin_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
)

var (
	key    = sigv4test.Key{ID: "AKIA0000000000000000", Secret: "a secret", Region: "eu-west-1", Service: "ecr"}
	now    = time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC)
	expiry = time.UnixMilli(1_800_000_000_500)
)

// client is one that trusts a test's server, if that has TLS.
func client(t testing.TB, srv *httptest.Server) *ecrlogin.Client {
	t.Helper()
	ca := ""
	if srv != nil && srv.Certificate() != nil {
		ca = filepath.Join(t.TempDir(), "ca.crt")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
		if err := os.WriteFile(ca, block, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := ecrlogin.NewClient(ca)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ask asks a server for a password with the test's key.
func ask(t testing.TB, srv *httptest.Server, registry string) (ecrlogin.Token, error) {
	t.Helper()
	return client(t, srv).Token(context.Background(), ecrlogin.Ask{
		Endpoint: srv.URL + "/", Region: "eu-west-1", RegistryID: registry, Now: now,
		Credentials: ecrlogin.Static(key.ID, accounts.NewSecret(key.Secret)),
	})
}

// answers is a server that always says the same.
func answers(t testing.TB, status int, body string) *httptest.Server {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv
}

func good(user string) string {
	return fmt.Sprintf(`{"authorizationData":[{"authorizationToken":%q,"expiresAt":1800000000.5,"proxyEndpoint":"https://x"}]}`,
		base64.StdEncoding.EncodeToString([]byte(user)))
}

func TestTokenIsAskedForAsAmazonsToolsDo(t *testing.T) {
	for registry, want := range map[string]string{"": `{}`, "123456789012": `{"registryIds":["123456789012"]}`} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got := []string{r.Method, r.URL.Path, r.Header.Get("X-Amz-Target"), r.Header.Get("Content-Type"), string(body)}
			want := []string{"POST", "/", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", "application/x-amz-json-1.1", want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(r.Header.Get("Authorization"), "Credential="+key.ID+"/20261121/eu-west-1/ecr/aws4_request") {
				t.Errorf("signed with %q", r.Header.Get("Authorization"))
			}
			_, _ = io.WriteString(w, good("AWS:pass:word"))
		}))
		defer srv.Close()
		got, err := ask(t, srv, registry)
		if err != nil {
			t.Fatal(err)
		}
		if got.User != "AWS" || got.Password.Reveal() != "pass:word" || !got.Expires.Equal(expiry) || got.Registry != "https://x" {
			t.Errorf("got %q, %q, %v, %q", got.User, got.Password.Reveal(), got.Expires, got.Registry)
		}
	}
}

func TestAnswersThatAreNoPassword(t *testing.T) {
	tests := []struct {
		status   int
		body     string
		want     string // in the error
		stranger bool
	}{
		{400, `{"__type":"UnrecognizedClientException","message":"The security token is invalid."}`, "UnrecognizedClientException: The security token is invalid.", true},
		{400, `{"__type":"com.amazon#InvalidSignatureException","Message":"No."}`, "InvalidSignatureException: No.", true},
		{400, `{"__type":"AccessDeniedException","message":"` + strings.Repeat("x", 1000) + `"}`, strings.Repeat("x", 300) + "...", false},
		{404, `<html>`, "status 404; is it a registry that knows Amazon's API?", false},
		{302, ``, "status 302", false},
		{200, `<html>`, "does not answer as ECR does", false},
		{200, `{"authorizationData":[]}`, "holds no password", false},
		{200, good("no-colon-secret"), "holds no password", false},
		{200, `{"authorizationData":[{"authorizationToken":"!!secret!!"}]}`, "holds no password", false},
	}
	for _, tt := range tests {
		_, err := ask(t, answers(t, tt.status, tt.body), "")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%d %s: error %v, want one with %q", tt.status, tt.body, err, tt.want)
			continue
		}
		var refused *ecrlogin.Refusal
		if got := errors.As(err, &refused) && refused.Stranger(); got != tt.stranger {
			t.Errorf("%v: a stranger: %v, want %v", err, got, tt.stranger)
		}
		for _, secret := range []string{"secret", base64.StdEncoding.EncodeToString([]byte("no-colon-secret"))} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows %q: %v", secret, err)
			}
		}
	}
}

func TestOpens(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path != "/v2/":
			w.WriteHeader(http.StatusNotFound)
		case user != "AWS" || password != "right":
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer srv.Close()
	for password, want := range map[string]bool{"right": true, "wrong": false} {
		got, err := client(t, srv).Opens(context.Background(), srv.URL, ecrlogin.Token{User: "AWS", Password: accounts.NewSecret(password)})
		if got != want || err != nil {
			t.Errorf("Opens with the %s password = %v, %v", password, got, err)
		}
	}
	if _, err := client(t, nil).Opens(context.Background(), srv.URL, ecrlogin.Token{}); err == nil {
		t.Error("a server that nobody vouches for was asked")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	opens, err := client(t, srv).Opens(context.Background(), srv.URL, ecrlogin.Token{User: "AWS", Password: accounts.NewSecret("x")})
	if opens || err != nil {
		t.Errorf("Opens = %v, %v", opens, err)
	}
	if _, err := ask(t, srv, ""); err == nil {
		t.Error("a redirect is a password")
	}
}

// host is the host and port of a server under another name.
func host(t testing.TB, srv *httptest.Server, name string) string {
	t.Helper()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + u.Port()
}

func TestFind(t *testing.T) {
	plain, secure := answers(t, 404, ""), httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	tests := []struct {
		client     *ecrlogin.Client
		host, want string
	}{
		{client(t, nil), host(t, plain, "127.0.0.1"), "http://" + host(t, plain, "127.0.0.1")},
		{client(t, nil), host(t, plain, "localhost"), "http://" + host(t, plain, "localhost")},
		{client(t, nil), host(t, plain, "api.ecr.us-east-1.localhost"), "http://" + host(t, plain, "api.ecr.us-east-1.localhost")},
		{client(t, secure), host(t, secure, "127.0.0.1"), secure.URL},
	}
	for _, tt := range tests {
		if got, err := tt.client.Find(context.Background(), tt.host); got != tt.want || err != nil {
			t.Errorf("Find(%s) = %q, %v; want %q", tt.host, got, err, tt.want)
		}
	}
	if got, err := client(t, nil).Find(context.Background(), host(t, secure, "127.0.0.1")); err == nil || !strings.Contains(err.Error(), "--ca") {
		t.Errorf("a server that nobody vouches for: %q, %v", got, err)
	}
}

// TestFindOnTheNetwork has a proxy lead to a plain server under the name of one
// on the network.
func TestFindOnTheNetwork(t *testing.T) {
	plain := answers(t, 404, "")
	t.Setenv("HTTPS_PROXY", tunnel(t, plain))
	got, err := client(t, nil).Find(context.Background(), "registry.example")
	if !errors.Is(err, ecrlogin.ErrPlain) || !strings.Contains(err.Error(), "http://registry.example says that it is meant") {
		t.Errorf("Find = %q, %v; want ErrPlain", got, err)
	}
}

func TestCertificatesThatCannotBeRead(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, bytes.Repeat([]byte("x"), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, ca := range []string{empty, filepath.Join(t.TempDir(), "absent")} {
		if _, err := ecrlogin.NewClient(ca); err == nil || !strings.Contains(err.Error(), ca) {
			t.Errorf("%s: %v", ca, err)
		}
	}
}

func TestAPI(t *testing.T) {
	tests := []struct{ host, api, region string }{
		{"localhost:5000", "localhost:5000", ""},
		{"registry.example", "registry.example", ""},
		{"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "api.ecr.eu-west-1.amazonaws.com", "eu-west-1"},
		{"123456789012.dkr.ecr.eu-west-1.localhost:5000", "api.ecr.eu-west-1.localhost:5000", "eu-west-1"},
		{"api.ecr.eu-west-1.localhost:5000", "api.ecr.eu-west-1.localhost:5000", "eu-west-1"},
	}
	for _, tt := range tests {
		if api, region := ecrlogin.API(tt.host), ecrlogin.Region(tt.host); api != tt.api || region != tt.region {
			t.Errorf("API and Region of %s = %q, %q; want %q, %q", tt.host, api, region, tt.api, tt.region)
		}
	}
}
