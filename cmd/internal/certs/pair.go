package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// readPair reads a chain and its key. The files may be of any size that memory
// holds: they are the operator's own.
func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	if _, err := parseChain(chain); err != nil {
		return nil, fmt.Errorf("TLS certificate %s: %w", certFile, err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS key: %w", err)
	}
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("TLS key %s: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil { // the chain was read already, so it is the key
		return nil, fmt.Errorf("TLS key %s, for the first certificate in %s: %w", keyFile, certFile, err)
	}
	return &pair, nil
}

// parseChain reads the certificates of a PEM file, at least one. It is harder
// to please than [tls.X509KeyPair], which takes a file that is still being
// written for a shorter one.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	blocks, err := pemBlocks(text)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("it holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)%s", butHolds(blocks))
	}
	return chain, nil
}

// checkKey says why a PEM file is no use as a key, as far as that is seen
// without the certificate. It never shows what the file holds.
func checkKey(text []byte) error {
	blocks, err := pemBlocks(text)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("the key in it is locked by a passphrase; a server needs it without one")
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			return nil
		}
	}
	return fmt.Errorf("it holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)%s", butHolds(blocks))
}

func pemBlocks(text []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		blocks = append(blocks, b)
	}
	if bytes.Count(text, []byte("-----BEGIN ")) > len(blocks) { // pem.Decode passes over what it cannot read
		return nil, errors.New("a PEM block in it is damaged, or not written to its end")
	}
	return blocks, nil
}

// butHolds tells of the commonest mistake, a file named in the other's place.
func butHolds(blocks []*pem.Block) string {
	if len(blocks) == 0 {
		return ""
	}
	return fmt.Sprintf(", but a %s", blocks[0].Type)
}
