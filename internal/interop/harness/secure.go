package harness

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

// PlainHost is the address of plain HTTP of every server that StartTLS starts.
const PlainHost = "localhost:5000"

// StartTLS is Start for a server that has ports as people know them, on the
// test run's own network: TLS on 443, with an authority of the server's own, at
// Elsewhere too, and plain HTTP on 80 and on 5000. The last one is Host and URL. One such server
// runs at a time, so these tests are not parallel.
func StartTLS(t testing.TB, args ...string) *Server {
	t.Helper()
	return startSecure(t, "{auto: local}", nil, args)
}

// StartACME is StartTLS with the certificate for a host that an authority makes.
func StartACME(t testing.TB, p *Pebble, host string) *Server {
	t.Helper()
	conf := fmt.Sprintf("{auto: acme, acme-hosts: [%q], acme-directory: %q}", host, p.Directory)
	return startSecure(t, conf, []string{"SSL_CERT_FILE=" + p.trust}, nil)
}

// startSecure starts a server with those settings of tls, environment variables
// and flags.
func startSecure(t testing.TB, tls string, vars, args []string) *Server {
	t.Helper()
	NeedNames(t)
	s := &Server{Host: PlainHost, Dir: t.TempDir(), t: t, vars: vars}
	config := `listen: "127.0.0.1:443"
tls: ` + tls + `
listeners:
  - {listen: "127.0.0.1:5000", tls: false}
  - {listen: "127.0.0.1:80", tls: false}
  - {listen: "` + ElsewhereAddress + `:443"}
hosts: [` + Example + `, ` + Elsewhere + `]
`
	path := filepath.Join(s.Dir, "berth.yml")
	writeFile(t, path, []byte(config))
	s.args = append([]string{"serve", "--config", path}, args...)
	s.begin()
	return s
}

// CA is the file with the certificate of s's own authority.
func (s *Server) CA() string { return filepath.Join(s.Data(), "tls", "ca.crt") }

// HTTPClient trusts s's own authority and no other, and speaks HTTP/2.
func (s *Server) HTTPClient(t testing.TB) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	return ClientOf(t, pem)
}

// ClientOf trusts those certificates, in PEM, and no others.
func ClientOf(t testing.TB, pem []byte) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate to trust")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ClientAt is Client for an address that s has, such as https:// and one of
// Names; "" stands for that which Amazon's client takes by itself in region.
func (s *Server) ClientAt(t testing.TB, key Key, region, url string) *ecr.Client {
	t.Helper()
	return s.ClientBy(s.HTTPClient(t), key, region, url)
}

// ClientBy is ClientAt with another HTTP client.
func (s *Server) ClientBy(by *http.Client, key Key, region, url string) *ecr.Client {
	o := s.clientOptions(key)
	o.HTTPClient, o.Region, o.BaseEndpoint = by, region, nil
	if url != "" {
		o.BaseEndpoint = aws.String(url)
	}
	return ecr.New(o)
}

// SecureShell opens a shell whose programs find s by Amazon's names and trust
// its authority: those in Go by SSL_CERT_FILE, those of Amazon by AWS_CA_BUNDLE,
// dockerd by its folder of certificates. It has an access key, and no endpoint.
func (s *Server) SecureShell(t testing.TB, key Key) *Shell {
	t.Helper()
	sh := s.Shell(t)
	sh.ReachNames()
	sh.Set("SSL_CERT_FILE", s.CA())
	sh.Set("AWS_CA_BUNDLE", s.CA())
	sh.SetKey(key)
	sh.Set("AWS_REGION", Region)
	sh.Set("AWS_DEFAULT_REGION", Region)
	return sh
}

// ReachNames has the commands to come go to Names by no proxy.
func (sh *Shell) ReachNames() {
	for _, name := range []string{"NO_PROXY", "no_proxy"} {
		sh.Set(name, sh.Var(name)+","+ownDomains)
	}
}

// SetKey gives the commands to come an access key.
func (sh *Shell) SetKey(key Key) {
	sh.Set("AWS_ACCESS_KEY_ID", key.AccessKeyId)
	sh.Set("AWS_SECRET_ACCESS_KEY", key.SecretAccessKey)
}

// CertsDir is a folder with s's authority, as podman and skopeo take it by
// --cert-dir.
func (s *Server) CertsDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	s.putCA(t, dir)
	return dir
}

// TrustForDocker puts s's authority where dockerd looks for that of a host. It
// takes it from there with the next command, also in place of another. After the test it
// is gone, since skopeo and podman look there too.
func (s *Server) TrustForDocker(t testing.TB, host string) {
	t.Helper()
	dir := filepath.Join("/etc/docker/certs.d", host)
	s.putCA(t, dir)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
}

func (s *Server) putCA(t testing.TB, dir string) {
	t.Helper()
	pem, err := os.ReadFile(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "ca.crt"), pem)
}
