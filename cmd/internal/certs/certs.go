// Package certs gives a server's TLS listeners their certificates: from files
// that somebody else renews ([Files]), from a certificate authority of the
// server's own for machines that are told to trust it ([Local]), or from a
// public one by ACME ([ACME]).
//
// A source decides at each handshake, so a certificate is renewed without a
// restart and without a connection lost.
package certs

import (
	"crypto/tls"

	"golang.org/x/crypto/acme"
)

// Source chooses the certificate of a handshake. It is safe for use by several
// goroutines, and its answer is not changed by anybody.
type Source interface {
	Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
}

var (
	_ Source = (*Files)(nil)
	_ Source = (*Local)(nil)
	_ Source = (*ACME)(nil)
)

// Config is how a server speaks TLS with the certificates of a source: TLS 1.2
// and up, HTTP/2 and HTTP/1.1, cipher suites and curves as Go chooses them. The
// caller may change what it gets, and must not change it when it is in use.
func Config(src Source) *tls.Config {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: src.Certificate,
	}
	if _, ok := src.(*ACME); ok {
		c.NextProtos = append(c.NextProtos, acme.ALPNProto)
	}
	return c
}
