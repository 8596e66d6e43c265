// Package sigv4 verifies requests signed with AWS Signature Version 4, by
// header or as a presigned URL, and signs those that are sent by header. It is
// pure: a request, a secret and a time go in, a verdict or a signature comes out.
//
// Verifying takes two steps, so that a caller can turn away a request before
// he reads its body: [Parse] reads what the request claims, [Signature.CheckScope]
// and [Signature.CheckTime] judge the claim, and [Signature.Verify] takes the
// secret and the hash of the body.
//
// The canonical request is built from the headers that the signature lists,
// and from them alone. Those that say what a request means must be listed:
// host, and x-amz-date, x-amz-target and x-amz-security-token when sent.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeLayout = "20060102T150405Z" // ISO 8601 basic
	dateLayout = "20060102"
)

// MaxSkew is how far the time of a signature may be from the server's, either
// way (AWS Signature Version 4, "Troubleshooting").
const MaxSkew = 15 * time.Minute

// Signature is what a request claims about who signed it, and when and for
// what. Nothing of it is proven before Verify returns nil.
type Signature struct {
	KeyID   string
	Date    string // of the credential scope, yyyymmdd
	Region  string // of the credential scope
	Service string // of the credential scope
	Time    time.Time
	Token   string // session token, "" if none was sent

	terminator string
	life       time.Duration // how long after Time it holds
	headers    []string      // signed, in order
	mac        []byte
	canonical  string // canonical request up to the hash of the body
	bodyHash   string // X-Amz-Content-Sha256, "" if not sent
}

// Parse reads the credentials of r and checks that their form is right and
// that all is signed that has to be. It does not touch the body. The error is
// an *Error.
func Parse(r *http.Request) (*Signature, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	s, err := parseCredentials(r, q)
	if err != nil {
		return nil, err
	}
	if err := checkSingle(r); err != nil {
		return nil, err
	}
	if err := s.checkSigned(r); err != nil {
		return nil, err
	}
	if err := s.readBodyHash(r); err != nil {
		return nil, err
	}
	s.canonical, err = canonicalRequest(r, q, s.headers)
	return s, err
}

// CheckScope says whether the credential scope is that of a request to service
// in a region that exists, on the day of its time. The error is an *Error.
func (s *Signature) CheckScope(service string, regionExists func(string) bool) error {
	switch day := s.Time.Format(dateLayout); {
	case !regionExists(s.Region):
		return refuse(Invalid, "Credential should be scoped to a valid region.")
	case s.Service != service:
		return refuse(OtherService, "Credential should be scoped to correct service: '%s'.", service)
	case s.terminator != terminator:
		return refuse(Invalid, "Credential should be scoped with a valid terminator: '%s'.", terminator)
	case s.Date != day:
		return refuse(Invalid, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.",
			s.Date, day, s.Time.Format(timeLayout))
	}
	return nil
}

// CheckTime says whether the signature holds at now: from MaxSkew before its
// time to MaxSkew after it, or to the end of X-Amz-Expires for a presigned
// URL. The error is an *Error with AWS's wording, which clients read to mend
// their clocks.
func (s *Signature) CheckTime(now time.Time) error {
	now = now.UTC().Truncate(time.Second)
	if first := now.Add(-s.life); s.Time.Before(first) {
		return refuse(Invalid, "Signature expired: %s is now earlier than %s (%s - %s)",
			s.Time.Format(timeLayout), first.Format(timeLayout), now.Format(timeLayout), minutes(s.life))
	}
	if last := now.Add(MaxSkew); s.Time.After(last) {
		return refuse(Invalid, "Signature not yet current: %s is still later than %s (%s + %s)",
			s.Time.Format(timeLayout), last.Format(timeLayout), now.Format(timeLayout), minutes(MaxSkew))
	}
	return nil
}

func minutes(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min.", d/time.Minute)
	}
	return fmt.Sprintf("%d sec.", d/time.Second)
}

// Verify says whether the request was signed with secret and has a body whose
// SHA-256 is body. The error is an *Error.
func (s *Signature) Verify(secret string, body [sha256.Size]byte) error {
	sum := hex.EncodeToString(body[:])
	if s.bodyHash != "" && s.bodyHash != sum {
		return refuse(Invalid, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	if !hmac.Equal(s.compute(secret, sum), s.mac) {
		return refuse(Invalid, "The request signature we calculated does not match the signature you provided. "+
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	return nil
}

// scope is the credential scope.
func (s *Signature) scope() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + s.terminator
}

// compute is the signature that a secret makes, with the hash of the body.
func (s *Signature) compute(secret, body string) []byte {
	request := sha256.Sum256([]byte(s.canonical + body))
	toSign := algorithm + "\n" + s.Time.Format(timeLayout) + "\n" + s.scope() + "\n" + hex.EncodeToString(request[:])

	key := []byte("AWS4" + secret)
	for _, part := range []string{s.Date, s.Region, s.Service, s.terminator} {
		key = mac(key, part)
	}
	return mac(key, toSign)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
