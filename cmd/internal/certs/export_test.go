package certs

import (
	"crypto/x509"
	"time"
)

// OpenFilesAt is OpenFiles with a clock, which tests turn.
var OpenFilesAt = openFiles

// MaxLeaves is how many certificates are kept.
const MaxLeaves = maxLeaves

// NoteLate has a source look, at a time, at a certificate that is valid from
// and to others.
func NoteLate(a *ACME, from, to, now time.Time) {
	a.noteLate(&x509.Certificate{NotBefore: from, NotAfter: to}, "berth.example", now)
}
