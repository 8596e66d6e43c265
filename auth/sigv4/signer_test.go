package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4"
)

const (
	keyID  = "AKIDEXAMPLE"
	secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signer signs a request by the letter of AWS's description, sharing no code
// with what is tested. Its members are what an attacker, or a client gone
// wrong, would set.
type signer struct {
	algorithm, key, secret       string
	date, region, service, final string
	time                         time.Time
	timeHeader, timeLayout       string // "" for a time that is not sent
	signed                       []string
	query                        string // canonical query string
	payload                      string // hashed payload, "" for that of the body
}

func newSigner() signer {
	return signer{
		algorithm: "AWS4-HMAC-SHA256", key: keyID, secret: secret,
		date: "20260301", region: "us-east-1", service: "ecr", final: "aws4_request",
		time: now, timeHeader: "X-Amz-Date", timeLayout: "20060102T150405Z",
		signed: []string{"content-type", "host", "x-amz-date", "x-amz-target"},
	}
}

func hash(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func sum(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	io.WriteString(h, text)
	return string(h.Sum(nil))
}

func (s signer) signature(r *http.Request, body string) string {
	var lines strings.Builder
	for _, name := range s.signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		lines.WriteString(name + ":" + value + "\n")
	}
	payload := s.payload
	if payload == "" {
		payload = hash(body)
	}
	canonical := strings.Join([]string{r.Method, "/", s.query, lines.String(), strings.Join(s.signed, ";"), payload}, "\n")
	toSign := strings.Join([]string{s.algorithm, s.time.Format("20060102T150405Z"), s.scope(), hash(canonical)}, "\n")
	return fmt.Sprintf("%x", sum(sum(sum(sum(sum("AWS4"+s.secret, s.date), s.region), s.service), s.final), toSign))
}

func (s signer) scope() string {
	return strings.Join([]string{s.date, s.region, s.service, s.final}, "/")
}

// header signs r by an Authorization header.
func (s signer) header(r *http.Request, body string) {
	if s.timeHeader != "" {
		r.Header.Set(s.timeHeader, s.time.Format(s.timeLayout))
	}
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s, SignedHeaders=%s, Signature=%s",
		s.algorithm, s.key, s.scope(), strings.Join(s.signed, ";"), s.signature(r, body)))
}

// presign signs r by its query, with the parameters of extra beside the usual.
func (s signer) presign(r *http.Request, extra url.Values) {
	q := url.Values{
		"X-Amz-Algorithm": {s.algorithm}, "X-Amz-Credential": {s.key + "/" + s.scope()},
		"X-Amz-Date": {s.time.Format("20060102T150405Z")}, "X-Amz-SignedHeaders": {strings.Join(s.signed, ";")},
	}
	for name, values := range extra {
		q[name] = values
	}
	s.query = strings.ReplaceAll(q.Encode(), "+", "%20")
	r.URL.RawQuery = s.query + "&X-Amz-Signature=" + s.signature(r, "")
}

func newRequest(body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Host = "localhost:5000"
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
	return r
}

// verify does what a server does, at now.
func verify(r *http.Request, body string) error {
	return verifyAt(r, body, "ecr", now)
}

func verifyAt(r *http.Request, body, service string, at time.Time) error {
	s, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	if err := s.CheckScope(service, regionExists); err != nil {
		return err
	}
	if err := s.CheckTime(at); err != nil {
		return err
	}
	return s.Verify(secret, sha256.Sum256([]byte(body)))
}

func regionExists(region string) bool {
	return slices.Contains([]string{"us-east-1", "eu-central-1"}, region)
}

func kindOf(t *testing.T, err error) sigv4.Kind {
	t.Helper()
	if err == nil {
		return 0
	}
	e, ok := err.(*sigv4.Error)
	if !ok {
		t.Fatalf("error %v is a %T", err, err)
	}
	return e.Kind
}
