package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// leafDays is short enough for every client: Apple's refuse more than 825
	// days, also from authorities that the user added.
	leafDays = 90
	leafLife = leafDays * 24 * time.Hour
	// maxLeaves bounds what strangers can have kept by asking for many names.
	maxLeaves = 256
)

// LocalOptions are the settings of a local authority.
type LocalOptions struct {
	// Names are hosts and addresses that the server is known by beside this
	// machine's own, each with or without a port.
	Names []string
	// Trusts says whether a host name, in lower case and without a port, is one
	// of the server's; asked of names that are neither localhost or below it,
	// nor this machine's, nor among Names. It is called by several goroutines.
	// Nil means that AWS-shaped names are.
	Trusts func(host string) bool
	Now    func() time.Time // nil means time.Now
}

// Local makes certificates by an authority of the server's own. They are made
// when they are asked for, kept in memory, and made anew when two thirds of
// their 90 days are over.
//
// A client that names none of the server's hosts, or none at all, gets the
// default certificate: localhost, this machine's names and addresses, and those
// that were set. There is never one for a name that is not trusted, so the
// authority cannot be made to vouch for other people's hosts.
type Local struct {
	authority *authority
	trusts    func(host string) bool
	now       func() time.Time

	mu     sync.Mutex
	own    names            // replaced, never changed
	leaves map[string]*leaf // by what they are for
}

// leaf is a certificate that is kept.
type leaf struct {
	*tls.Certificate
	renew time.Time
	used  time.Time
}

// OpenLocal opens the authority in dir, which is made if there is none: the
// certificate that clients are to trust is ca.crt, for ten years. No other
// process may open dir at the same time for the first time. The error says
// which file is damaged; it is for the operator to mend, since a new authority
// would leave every client behind.
func OpenLocal(dir string, o LocalOptions) (*Local, error) {
	l := prepareLocal(o)
	a, err := openAuthority(dir, l.now())
	if err != nil {
		return nil, err
	}
	l.authority = a
	return l, nil
}

// NewLocal makes an authority that is kept in memory alone, and ends with the
// process.
func NewLocal(o LocalOptions) (*Local, error) {
	l := prepareLocal(o)
	a, err := newAuthority(l.now())
	if err != nil {
		return nil, err
	}
	l.authority = a
	return l, nil
}

func prepareLocal(o LocalOptions) *Local {
	l := &Local{trusts: o.Trusts, now: o.Now}
	if l.trusts == nil {
		l.trusts = isAWSShaped
	}
	if l.now == nil {
		l.now = time.Now
	}
	l.SetNames(o.Names)
	return l
}

// SetNames replaces LocalOptions.Names, and looks anew for this machine's names
// and addresses.
func (l *Local) SetNames(extra []string) {
	own := machineNames()
	own.add(extra...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.own, l.leaves = own, map[string]*leaf{}
}

// CertificatePEM is the authority's certificate, which clients are to trust.
func (l *Local) CertificatePEM() []byte { return encodeCert(l.authority.cert.Raw) }

// Authority is the authority's certificate. It must not be changed.
func (l *Local) Authority() *x509.Certificate { return l.authority.cert }

// Certificate implements Source.
func (l *Local) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host, ok := canonicalHost(hello.ServerName)
	switch {
	case !ok:
		return l.byDefault(hello.Conn)
	case l.ownNames().hasHost(host):
		return l.leaf("")
	case isBelowLocalhost(host) || l.trusts(host):
		key, more := certifiedWith(host)
		return l.leaf(key, more...)
	}
	return l.byDefault(hello.Conn)
}

// byDefault is the certificate for clients that name no host of the server's.
// They may have come to an address that the machine was given since it started.
func (l *Local) byDefault(conn net.Conn) (*tls.Certificate, error) {
	if ip, ok := localIP(conn); ok && !l.ownNames().hasIP(ip) {
		return l.leaf(ip.String(), ip.String())
	}
	return l.leaf("")
}

func (l *Local) ownNames() names {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.own
}

// leaf returns the certificate of the server's own names and some more, which
// is kept under a key. The lock is held while one is made: that takes less time
// than the handshake that it is for.
func (l *Local) leaf(key string, more ...string) (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	kept := l.leaves[key]
	if kept == nil || !now.Before(kept.renew) || now.Before(kept.Leaf.NotBefore) {
		made, err := l.authority.sign(l.own.with(more...), now)
		if err != nil {
			return nil, err
		}
		kept = &leaf{Certificate: made, renew: now.Add(leafLife * 2 / 3)}
		l.makeRoom()
		l.leaves[key] = kept
	}
	kept.used = now
	return kept.Certificate, nil
}

// makeRoom forgets the leaf that was not asked for the longest.
func (l *Local) makeRoom() {
	if len(l.leaves) < maxLeaves {
		return
	}
	oldest := ""
	for key, kept := range l.leaves {
		if first := l.leaves[oldest]; first == nil || kept.used.Before(first.used) {
			oldest = key
		}
	}
	delete(l.leaves, oldest)
}

// sign makes a key and its certificate. It does not outlast the authority's.
func (a *authority) sign(n names, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a TLS key: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Berth"}, // hosts are in the names; some tools want a subject
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(leafLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              n.hosts,
		IPAddresses:           n.ips,
	}
	if end := a.cert.NotAfter; template.NotAfter.After(end) {
		template.NotAfter = end
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make a TLS certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make a TLS certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}, nil
}
