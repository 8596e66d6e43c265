package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// LetsEncrypt is the directory that is asked where none is set.
const LetsEncrypt = acme.LetsEncryptURL

// ACMEOptions are the settings of certificates by ACME (RFC 8555).
type ACMEOptions struct {
	Hosts     []string // public host names that lead to this server's port 443; at least one
	Email     string   // where the authority may write to; "" for nowhere
	Directory string   // URL of the authority's directory; "" means LetsEncrypt
	// CacheDir keeps the account's key and the certificates with their keys.
	// "" keeps them in memory: every start then asks for new ones, of which
	// public authorities give a few a week.
	CacheDir string
	Client   *http.Client // speaks to the authority; nil means http.DefaultClient
	Log      *slog.Logger // told of what fails; nil means nobody is
}

// ACME has certificates made by a public authority, each when it is first asked
// for, and renews them in the background before they end. That the hosts are
// ours is shown by TLS-ALPN-01 (RFC 8737), for which the authority connects to
// port 443 of the host; port 80 is not needed.
//
// By using it the operator agrees to the authority's terms of service.
type ACME struct {
	hosts   []string
	manager *autocert.Manager
	log     *slog.Logger

	mu    sync.Mutex
	noted map[string]time.Time // when something of a host was last said
}

// NewACME checks the options and makes the folder for what is kept. It asks the
// authority for nothing yet.
func NewACME(o ACMEOptions) (*ACME, error) {
	hosts, err := publicHosts(o.Hosts)
	if err != nil {
		return nil, err
	}
	a := &ACME{hosts: hosts, log: o.Log, noted: map[string]time.Time{}, manager: &autocert.Manager{
		Prompt: autocert.AcceptTOS,
		Email:  o.Email,
		Client: &acme.Client{DirectoryURL: o.Directory, HTTPClient: o.Client, UserAgent: "berth"},
	}}
	a.manager.HostPolicy = func(_ context.Context, host string) error { _, err := a.admit(host); return err }
	if o.Log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Directory == "" {
		a.manager.Client.DirectoryURL = LetsEncrypt
	}
	if o.CacheDir == "" {
		return a, nil
	}
	if err := ownFolder(o.CacheDir); err != nil {
		return nil, err
	}
	a.manager.Cache = autocert.DirCache(o.CacheDir)
	return a, nil
}

// publicHosts checks names that a public authority is to vouch for.
func publicHosts(list []string) ([]string, error) {
	if len(list) == 0 {
		return nil, errors.New("ACME needs the host names that certificates are for")
	}
	var hosts []string
	for _, s := range list {
		host, ok := canonicalHost(s)
		if !ok || !strings.Contains(host, ".") || host == "localhost" || isBelowLocalhost(host) {
			return nil, fmt.Errorf("ACME: %q is not a public host name", s)
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// admit returns a host that was asked for as it was set, the first one for
// none, or says that it is not ours.
func (a *ACME) admit(asked string) (host string, err error) {
	if asked == "" {
		return a.hosts[0], nil
	}
	if host, ok := canonicalHost(asked); ok && slices.Contains(a.hosts, host) {
		return host, nil
	}
	return "", fmt.Errorf("no TLS certificate for %q: it is not among the hosts set for ACME (%s)", asked, strings.Join(a.hosts, ", "))
}

// Certificate implements Source. A client that names no host gets the
// certificate of the first one set. The first handshake for a host waits until
// its certificate is there.
func (a *ACME) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host, err := a.admit(hello.ServerName)
	if err != nil {
		return nil, err
	}
	asked := *hello
	asked.ServerName = host
	cert, err := a.manager.GetCertificate(&asked)
	if err != nil {
		// autocert does not pass on what the authority says of a host that it did not reach.
		err = fmt.Errorf("TLS certificate for %q by ACME, whose authority must reach port 443 of that host: %w", host, err)
		if !slices.Contains(hello.SupportedProtos, acme.ALPNProto) { // anybody may pretend to be the authority
			a.noteFailed(host, err, time.Now())
		}
		return nil, err
	}
	if cert.Leaf != nil { // those that answer challenges have none
		a.noteLate(cert.Leaf, host, time.Now())
	}
	return cert, nil
}

// noteFailed warns once a minute, which is how often autocert tries. What else
// fails in handshakes is the clients' affair, and this is the operator's.
func (a *ACME) noteFailed(host string, err error, now time.Time) {
	if a.once("failed "+host, time.Minute, now) {
		a.log.Warn("no TLS certificate by ACME", "host", host, "error", err)
	}
}

// noteLate warns once a day of a certificate that is near its end. They are
// renewed when a third of their life is left, in the background, where autocert
// tells nobody of what fails.
func (a *ACME) noteLate(leaf *x509.Certificate, host string, now time.Time) {
	near := leaf.NotAfter.Sub(now) <= leaf.NotAfter.Sub(leaf.NotBefore)/6
	if near && a.once("late "+host, 24*time.Hour, now) {
		a.log.Warn("the TLS certificate has not been renewed by ACME", "host", host, "ends", leaf.NotAfter)
	}
}

// once says whether something was not noted for a while, and that it now is.
func (a *ACME) once(what string, while time.Duration, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.noted[what]; ok && now.Sub(last) < while {
		return false
	}
	a.noted[what] = now
	return true
}
