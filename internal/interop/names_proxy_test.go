package interop_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Behind a proxy that ends TLS, everything that is printed has the scheme and
// the host that clients use, if the proxy is one that the server is told of.
func TestNamesProxyCrane(t *testing.T) {
	for _, tt := range []struct{ trusted, endpoint string }{
		{"trusted-proxies: [127.0.0.1]", "https://" + harness.Example},
		{"trusted-proxies: [192.0.2.1]", "http://" + harness.Example},
	} {
		t.Run(tt.trusted, func(t *testing.T) {
			harness.NeedNames(t)
			config := filepath.Join(t.TempDir(), "berth.yml")
			makeFile(t, config, "hosts: ["+harness.Example+"]\n"+tt.trusted+"\n")
			s := harness.Start(t, "--config", config)
			root := endTLS(t, s)
			key := s.CreateKey(t, harness.Account)
			client := s.ClientBy(harness.ClientOf(t, root), key, harness.Region, exampleURL)
			uri := aws.ToString(createRepository(t, client, "team/app").RepositoryUri)
			if want := harness.Example + "/team/app"; uri != want {
				t.Errorf("repositoryUri: %s, want %s", uri, want)
			}
			token, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
			if err != nil {
				t.Fatal(err)
			}
			data := token.AuthorizationData[0]
			if got := aws.ToString(data.ProxyEndpoint); got != tt.endpoint {
				t.Errorf("proxyEndpoint: %s, want %s", got, tt.endpoint)
			}
			if tt.endpoint == exampleURL {
				pushThrough(t, s, client, root, harness.PasswordIn(t, aws.ToString(data.AuthorizationToken)))
			}
		})
	}
}

// pushThrough pushes an image through the proxy by crane, and reads a layer by
// its link.
func pushThrough(t *testing.T, s *harness.Server, client *ecr.Client, root []byte, password string) {
	t.Helper()
	sh := s.Shell(t)
	sh.ReachNames()
	trust := filepath.Join(sh.Home(), "root.pem")
	makeFile(t, trust, string(root))
	sh.Set("SSL_CERT_FILE", trust)
	sh.RunInput(strings.NewReader(password), "crane", "auth", "login", "-u", "AWS", "--password-stdin", harness.Example)
	image := ociImage(t, 250)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	sh.Run("crane", "push", layout, harness.Example+"/team/app:1.0")
	sh.Run("crane", "validate", "--remote", harness.Example+"/team/app:1.0")
	r := &resolver{client: client, http: harness.ClientOf(t, root), registry: harness.Account, repo: "team/app"}
	if err := r.pullLayer(t.Context(), image.Layers[0].Gzip); err != nil {
		t.Errorf("the link of a layer: %v", err)
	}
}

// endTLS is a proxy at port 443 that tells s by which scheme and host clients
// came; it returns the certificate to trust.
func endTLS(t *testing.T, s *harness.Server) (root []byte) {
	t.Helper()
	target, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	pair := harness.NewPair(t, 1, harness.Example)
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	proxy := &http.Server{
		Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which AWS's signatures cover
			r.SetXForwarded()
		}},
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	go func() { _ = proxy.ServeTLS(l, "", "") }() // until it is closed
	t.Cleanup(func() { proxy.Close() })
	return pair.Cert
}
