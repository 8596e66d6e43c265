package ecrlogin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/endpoint"
)

// Client speaks to registries and to the API beside them. It follows no
// redirect, since it sends what opens a registry.
type Client struct{ http *http.Client }

// answerTime is how long a server may take to answer.
const answerTime = 20 * time.Second

// NewClient returns a client that trusts the certificates in the file ca beside
// the system's; "" means no others.
func NewClient(ca string) (*Client, error) {
	t, err := Transport(ca)
	if err != nil {
		return nil, err
	}
	t.ResponseHeaderTimeout, t.DisableKeepAlives = answerTime, true // a command asks three times at most
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{&http.Client{Transport: t, CheckRedirect: stay, Timeout: 2 * answerTime}}, nil
}

// Transport reaches registries, by a proxy of the environment if they are not on
// this machine, and trusts the certificates in the file ca beside the system's; ""
// means no others.
func Transport(ca string) (*http.Transport, error) {
	pool, err := trusted(ca)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		Proxy: proxyOf, DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}, nil
}

func trusted(ca string) (*x509.CertPool, error) {
	if ca == "" {
		return nil, nil // the system's
	}
	text, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("certificates to trust: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", ca)
	}
	return pool, nil
}

// proxyOf is http.ProxyFromEnvironment, which does not know that all names
// below localhost are this machine.
func proxyOf(r *http.Request) (*url.URL, error) {
	if IsLoopback(r.URL.Hostname()) {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}

// dial leads names below localhost to this machine, which not every resolver
// does (RFC 6761, section 6.3).
func dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && strings.HasSuffix(strings.ToLower(host), ".localhost") {
		addr = net.JoinHostPort("localhost", port)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// IsLoopback says whether a host, without a port, is this machine for whoever
// asks for it.
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// ErrPlain says that a host on the network has no TLS.
var ErrPlain = errors.New("speaks plain HTTP, by which all between here and there can read the password")

// Find returns the URL of a host and port, by trying TLS first. A host on the
// network that has none is ErrPlain, since what makes a password cross the
// network in the clear has to be asked for.
func (c *Client) Find(ctx context.Context, host string) (string, error) {
	secure, plain := "https://"+host, "http://"+host
	err := c.answers(ctx, secure)
	var untrusted *tls.CertificateVerificationError
	if err == nil {
		return secure, nil
	}
	if errors.As(err, &untrusted) {
		return "", fmt.Errorf("%w (--ca names a file with the certificate to trust)", err)
	}
	if !IsLoopback(hostname(host)) {
		if errors.Is(err, http.ErrSchemeMismatch) {
			err = fmt.Errorf("%s %w: %s says that it is meant", host, ErrPlain, plain)
		}
		return "", err
	}
	if err := c.answers(ctx, plain); err != nil {
		return "", err
	}
	return plain, nil
}

// hostname is a host without its port.
func hostname(hostport string) string { return (&url.URL{Host: hostport}).Hostname() }

// answers says whether a server is there, whatever it answers.
func (c *Client) answers(ctx context.Context, registry string) error {
	resp, err := c.get(ctx, registry, Token{})
	if err == nil {
		_ = resp.Body.Close()
	}
	return err
}

// Opens says whether a password opens a registry. An error says that the
// registry could not be asked.
func (c *Client) Opens(ctx context.Context, registry string, t Token) (bool, error) {
	resp, err := c.get(ctx, registry, t)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode == http.StatusOK, err
}

// get asks for /v2/, as nobody if the token is the zero value.
func (c *Client) get(ctx context.Context, registry string, t Token) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(registry, "/")+"/v2/", nil)
	if err != nil {
		return nil, err
	}
	if t.User != "" {
		req.SetBasicAuth(t.User, t.Password.Reveal())
	}
	return c.http.Do(req)
}

// dualStack are the DNS suffixes of Amazon's registries with IPv6 too, and those
// of their API (the credential helper's v0.12 and botocore's 1.43).
var dualStack = map[string]string{
	"on.aws":                      "api.aws",
	"on.amazonwebservices.com.cn": "api.amazonwebservices.com.cn",
}

// API is the host, with the port of the registry's, that answers API calls for
// a registry's host: for an AWS-shaped name api.ecr of the same region and
// suffix, or Amazon's name of the API with IPv6 if the registry's is one; else
// the host itself.
func API(host string) string {
	h := endpoint.ParseHost(host)
	if h.Kind != endpoint.Registry {
		return host
	}
	api := "api.ecr." + h.Region + "." + h.Suffix
	if dual, ok := dualStack[h.Suffix]; ok {
		api = "ecr." + h.Region + "." + dual
	}
	if port := (&url.URL{Host: host}).Port(); port != "" {
		api += ":" + port
	}
	return api
}

// Region is the region that a host's name has; "" if it has none.
func Region(host string) string { return endpoint.ParseHost(host).Region }
