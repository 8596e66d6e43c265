package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files of a local authority, within its folder.
// AuthorityFile is the name of the certificate that clients are to trust, in
// the folder of OpenLocal.
const AuthorityFile = "ca.crt"

const (
	authorityKey = "ca.key"
)

const (
	authorityYears = 10
	// backdated is how much slower than ours a client's clock may go.
	backdated = time.Hour
)

// ErrNoAuthority says that a folder holds no certificate of a local authority.
var ErrNoAuthority = errors.New("there is no local CA")

// ReadAuthority reads the certificate of the local authority that a server
// keeps in dir, as PEM, checked to be one. It needs no running server, changes
// nothing and leaves the key alone. The error is ErrNoAuthority where no server
// has made one.
func ReadAuthority(dir string) ([]byte, error) {
	name := filepath.Join(dir, AuthorityFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is absent", ErrNoAuthority, name)
	}
	if err != nil {
		return nil, fmt.Errorf("local CA: %w", err)
	}
	cert, err := parseAuthority(text)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", name, err)
	}
	return encodeCert(cert.Raw), nil
}

// authority is a certificate authority for one server.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the local CA's key: %w", err)
	}
	return selfSigned(key, now)
}

func selfSigned(key *ecdsa.PrivateKey, now time.Time) (*authority, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: authorityName()},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.AddDate(authorityYears, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs leaves alone
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the local CA's certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the local CA's certificate: %w", err)
	}
	return &authority{cert, key}, nil
}

// authorityName says on which machine the authority was made: lists of trusted
// ones show little else. A common name has 64 characters (RFC 5280, appendix A.1).
func authorityName() string {
	host, err := os.Hostname()
	if err != nil || !isHostname(host) {
		host = "of an unnamed machine"
	}
	name := "Berth local CA " + host
	return name[:min(len(name), 64)]
}

// openAuthority reads the authority in dir, which no other process makes one in
// meanwhile, and makes it where there is none. What is there is never
// overwritten: clients trust it.
func openAuthority(dir string, now time.Time) (*authority, error) {
	if err := ownFolder(dir); err != nil {
		return nil, err
	}
	key, err := readAuthorityKey(filepath.Join(dir, authorityKey))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	cert, err := readAuthorityCert(filepath.Join(dir, AuthorityFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case cert == nil:
		return makeAuthority(dir, key, now)
	case key == nil:
		return nil, fmt.Errorf("%s is missing beside %s; bring it back from a backup, or remove both to have a new CA, "+
			"which every client must be told to trust", filepath.Join(dir, authorityKey), AuthorityFile)
	case !key.PublicKey.Equal(cert.PublicKey):
		return nil, fmt.Errorf("%s is not the key of %s; bring both back from a backup, or remove both to have a new CA, "+
			"which every client must be told to trust", filepath.Join(dir, authorityKey), AuthorityFile)
	}
	if err := validAt(cert, now); err != nil {
		return nil, fmt.Errorf("local CA in %s: %w; remove %s and %s to have a new one, which every client must be told to trust",
			dir, err, AuthorityFile, authorityKey)
	}
	return &authority{cert, key}, nil
}

// makeAuthority makes an authority, with a key that a first start left without a
// certificate if there is one: nobody can trust that key yet, or it is trusted
// under a certificate that this one is as good as.
func makeAuthority(dir string, key *ecdsa.PrivateKey, now time.Time) (*authority, error) {
	if key != nil {
		a, err := selfSigned(key, now)
		if err != nil {
			return nil, err
		}
		return a, writeNew(filepath.Join(dir, AuthorityFile), encodeCert(a.cert.Raw))
	}
	a, err := newAuthority(now)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("make the local CA's key: %w", err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeNew(filepath.Join(dir, authorityKey), text); err != nil {
		return nil, err
	}
	return a, writeNew(filepath.Join(dir, AuthorityFile), encodeCert(a.cert.Raw))
}

func readAuthorityKey(name string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("local CA: %w", err)
	}
	if err := ownerOnly(name, 0o600); err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s is damaged: it does not hold one key in PEM form; bring it back from a backup", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; bring it back from a backup", name, err)
	}
	if key, ok := key.(*ecdsa.PrivateKey); ok {
		return key, nil
	}
	return nil, fmt.Errorf("%s is damaged: it holds no ECDSA key; bring it back from a backup", name)
}

func readAuthorityCert(name string) (*x509.Certificate, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("local CA: %w", err)
	}
	cert, err := parseAuthority(text)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; bring it back from a backup", name, err)
	}
	return cert, nil
}

func parseAuthority(text []byte) (*x509.Certificate, error) {
	chain, err := parseChain(text)
	switch {
	case err != nil:
		return nil, err
	case len(chain) != 1 || !chain[0].IsCA:
		return nil, errors.New("it does not hold one certificate of a CA")
	}
	return chain[0], nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
