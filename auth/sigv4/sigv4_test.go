package sigv4_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/sigv4"
)

const body = `{"repositoryNames":["team/app"]}`

// inDate sends the time of a signature in the Date header.
func inDate(layout string) func(*signer) {
	return func(s *signer) {
		s.timeHeader, s.timeLayout = "Date", layout
		s.signed = []string{"content-type", "date", "host", "x-amz-target"}
	}
}

func at(d time.Duration) func(*signer) {
	return func(s *signer) { s.time = now.Add(d); s.date = s.time.Format("20060102") }
}

var noTarget = []string{"content-type", "host", "x-amz-date"}

var headerTests = []struct {
	name   string
	signer func(*signer)
	before func(*http.Request) // before signing
	after  func(*http.Request) // after it
	kind   sigv4.Kind          // 0: verified
	text   string              // part of the error
}{
	{name: "good"},
	{name: "time in Date, ISO 8601", signer: inDate("20060102T150405Z")},
	{name: "time in Date, RFC 1123", signer: inDate(http.TimeFormat)},
	{name: "time in Date, RFC 1123 with an offset", signer: inDate(time.RFC1123Z)},
	{name: "time in Date, RFC 850", signer: inDate(time.RFC850), kind: sigv4.Incomplete, text: "Date must be"},
	{name: "X-Amz-Date goes before Date", after: func(r *http.Request) { r.Header.Set("Date", "yesterday") }},
	{name: "content hash", before: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hash(body)) }},
	{name: "15 minutes old", signer: at(-15 * time.Minute)},
	{name: "15 minutes ahead", signer: at(15 * time.Minute)},
	{name: "parameters in another order", after: func(r *http.Request) {
		scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		p := strings.Split(rest, ", ")
		r.Header.Set("Authorization", scheme+" "+p[2]+","+p[0]+","+p[1])
	}},

	{name: "length signed", signer: func(s *signer) { s.signed = append([]string{"content-length"}, s.signed...) },
		before: set("Content-Length", strconv.Itoa(len(body))), after: del("Content-Length")}, // as HTTP/2 has it
	{name: "length signed and changed", signer: func(s *signer) { s.signed = append([]string{"content-length"}, s.signed...) },
		before: set("Content-Length", "1"), after: del("Content-Length"), kind: sigv4.Invalid},
	{name: "chunks signed", signer: func(s *signer) { s.signed = []string{"host", "transfer-encoding", "x-amz-date", "x-amz-target"} },
		before: set("Transfer-Encoding", "chunked"), after: func(r *http.Request) {
			r.Header.Del("Transfer-Encoding") // net/http takes it out
			r.TransferEncoding, r.ContentLength = []string{"chunked"}, -1
		}},

	{name: "no header", after: del("Authorization"), kind: sigv4.Missing, text: "Missing Authentication Token"},
	{name: "empty header", after: set("Authorization", ""), kind: sigv4.Incomplete, text: "cannot be empty"},
	{name: "Basic", after: set("Authorization", "Basic QVdTOng="), kind: sigv4.Incomplete, text: "'Basic'"},
	{name: "Bearer", after: set("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30."), kind: sigv4.Incomplete, text: "'Bearer'"},
	{name: "garbled", after: set("Authorization", "AWS4-HMAC-SHA256 \x01\xff,,="), kind: sigv4.Incomplete},
	{name: "scheme alone", after: set("Authorization", "AWS4-HMAC-SHA256"), kind: sigv4.Incomplete},
	{name: "no Credential", after: cut("Credential=" + keyID + "/20260301/us-east-1/ecr/aws4_request, "), kind: sigv4.Incomplete, text: "'Credential'"},
	{name: "no SignedHeaders", after: cut("SignedHeaders=content-type;host;x-amz-date;x-amz-target, "), kind: sigv4.Incomplete, text: "'SignedHeaders'"},
	{name: "Credential twice", after: swap("Signature=", "Credential=x, Signature="), kind: sigv4.Incomplete},
	{name: "first Credential empty", after: swap("Credential=", "Credential=, Credential="), kind: sigv4.Incomplete},
	{name: "unknown parameter", after: swap("Signature=", "Region=x, Signature="), kind: sigv4.Incomplete},
	{name: "scope of four parts", after: swap("/ecr/", "/"), kind: sigv4.Incomplete, text: "5 slash-delimited"},
	{name: "upper-case signature", after: upperSignature, kind: sigv4.Incomplete},
	{name: "short signature", after: shortSignature, kind: sigv4.Incomplete},
	{name: "two headers", after: func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, kind: sigv4.Incomplete},
	{name: "SigV4A", signer: func(s *signer) { s.algorithm = "AWS4-ECDSA-P256-SHA256" }, kind: sigv4.Incomplete, text: "AWS4-ECDSA-P256-SHA256"},
	{name: "credentials in the query too", after: query("X-Amz-Credential=x"), kind: sigv4.Incomplete, text: "both"},
	{name: "signature in the query too", after: query("x-amz-signature=x"), kind: sigv4.Incomplete, text: "both"},
	{name: "token in the query", after: query("X-Amz-Security-Token=x"), kind: sigv4.Incomplete, text: "both"},

	{name: "host not signed", signer: func(s *signer) { s.signed = []string{"content-type", "x-amz-date", "x-amz-target"} },
		kind: sigv4.Invalid, text: "'Host' or ':authority' must be a 'SignedHeader'"},
	{name: "target not signed", signer: func(s *signer) { s.signed = noTarget }, kind: sigv4.Invalid, text: "'X-Amz-Target' must be"},
	{name: "target added", signer: func(s *signer) { s.signed = noTarget }, before: del("X-Amz-Target"),
		after: set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"), kind: sigv4.Invalid, text: "'X-Amz-Target' must be"},
	{name: "target signed but absent", after: del("X-Amz-Target"), kind: sigv4.Invalid, text: "'x-amz-target' is not in the request"},
	{name: "target changed", after: set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository"), kind: sigv4.Invalid},
	{name: "date not signed", signer: func(s *signer) { s.signed = []string{"content-type", "host", "x-amz-target"} }, kind: sigv4.Invalid, text: "'X-Amz-Date' must be"},
	{name: "Date used and not signed", signer: func(s *signer) {
		inDate("20060102T150405Z")(s)
		s.signed = []string{"content-type", "host", "x-amz-target"}
	}, kind: sigv4.Invalid, text: "'Date' must be"},
	{name: "token not signed", after: set("X-Amz-Security-Token", "x"), kind: sigv4.Invalid, text: "'X-Amz-Security-Token' must be"},
	{name: "target twice", after: add("X-Amz-Target", "x"), kind: sigv4.Invalid, text: "more than once"},
	{name: "target twice, signed so", before: add("X-Amz-Target", "x"), kind: sigv4.Invalid, text: "more than once"},
	{name: "X-Amz-Date twice", after: add("X-Amz-Date", "x"), kind: sigv4.Invalid, text: "more than once"},
	{name: "Date twice", signer: inDate("20060102T150405Z"), after: add("Date", "x"), kind: sigv4.Invalid, text: "more than once"},
	{name: "token twice", after: func(r *http.Request) { r.Header["X-Amz-Security-Token"] = []string{"", "x"} }, kind: sigv4.Invalid, text: "more than once"},
	{name: "host twice", after: func(r *http.Request) { r.Header["Host"] = []string{"evil"} }, kind: sigv4.Invalid, text: "more than once"},
	{name: "signed header twice", after: add("Content-Type", "text/html"), kind: sigv4.Invalid, text: "does not match"},
	{name: "signed headers out of order", signer: func(s *signer) { s.signed = []string{"host", "content-type", "x-amz-date", "x-amz-target"} }, kind: sigv4.Incomplete},
	{name: "signed header named twice", signer: func(s *signer) { s.signed = append([]string{"content-type"}, s.signed...) }, kind: sigv4.Incomplete},
	{name: "signed header in capitals", after: swap("host;", "Host;"), kind: sigv4.Incomplete},
	{name: "other host", after: func(r *http.Request) { r.Host = "evil" }, kind: sigv4.Invalid},
	{name: "other method", after: func(r *http.Request) { r.Method = "PUT" }, kind: sigv4.Invalid},
	{name: "query added", after: query("a=b"), kind: sigv4.Invalid},
	{name: "other secret", signer: func(s *signer) { s.secret = "x" }, kind: sigv4.Invalid, text: "The request signature we calculated"},

	{name: "other service", signer: func(s *signer) { s.service = "s3" }, kind: sigv4.OtherService, text: "Credential should be scoped to correct service: 'ecr'."},
	{name: "unknown region", signer: func(s *signer) { s.region = "mars-1" }, kind: sigv4.Invalid, text: "valid region"},
	{name: "region of the scope changed", after: swap("/us-east-1/", "/eu-central-1/"), kind: sigv4.Invalid, text: "does not match"},
	{name: "other terminator", signer: func(s *signer) { s.final = "aws5_request" }, kind: sigv4.Invalid, text: "valid terminator: 'aws4_request'"},
	{name: "date of another day", signer: func(s *signer) { s.date = "20260228" }, kind: sigv4.Invalid,
		text: "'20260228' != '20260301', from '20260301T120000Z'"},
	{name: "too old", signer: at(-15*time.Minute - time.Second), kind: sigv4.Invalid,
		text: "Signature expired: 20260301T114459Z is now earlier than 20260301T114500Z (20260301T120000Z - 15 min.)"},
	{name: "too new", signer: at(15*time.Minute + time.Second), kind: sigv4.Invalid,
		text: "Signature not yet current: 20260301T121501Z is still later than 20260301T121500Z (20260301T120000Z + 15 min.)"},
	{name: "a day old", signer: at(-24 * time.Hour), kind: sigv4.Invalid, text: "Signature expired: "},
	{name: "no time", signer: func(s *signer) { s.timeHeader = ""; s.signed = noTarget[:2] }, kind: sigv4.Incomplete, text: "'X-Amz-Date' or a 'Date'"},
	{name: "fraction of a second", signer: func(s *signer) { s.timeLayout = "20060102T150405.0Z" }, kind: sigv4.Incomplete, text: "Date must be"},

	{name: "content hash of another body", before: set("X-Amz-Content-Sha256", hash("x")), kind: sigv4.Invalid, text: "x-amz-content-sha256"},
	{name: "content hash of another body, signed for", signer: func(s *signer) { s.payload = hash("x") },
		before: set("X-Amz-Content-Sha256", hash("x")), kind: sigv4.Invalid, text: "x-amz-content-sha256"},
	{name: "unsigned payload", signer: func(s *signer) { s.payload = "UNSIGNED-PAYLOAD" },
		before: set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), kind: sigv4.Invalid, text: "unsigned and streaming"},
	{name: "unsigned payload, not sent", signer: func(s *signer) { s.payload = "UNSIGNED-PAYLOAD" }, kind: sigv4.Invalid},
	{name: "streaming payload", signer: func(s *signer) { s.payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },
		before: set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), kind: sigv4.Invalid, text: "unsigned and streaming"},
	{name: "query sorted wrong", signer: func(s *signer) { s.query = "b=1&a=2" }, before: query("b=1&a=2"), kind: sigv4.Invalid},
	{name: "query encoded wrong", signer: func(s *signer) { s.query = "a=b/c" }, before: query("a=b/c"), kind: sigv4.Invalid},
	{name: "query in another order", signer: func(s *signer) { s.query = "a=2&b=1" }, before: query("b=1&a=2")},
	{name: "query with a semicolon", signer: func(s *signer) { s.query = "a=1%3Bb" }, before: query("a=1;b"), kind: sigv4.Incomplete, text: "query string"},
	{name: "query with a bad escape", before: query("a=%zz"), kind: sigv4.Incomplete, text: "query string"},
}

func TestHeader(t *testing.T) {
	for _, tt := range headerTests {
		t.Run(tt.name, func(t *testing.T) {
			s, r := newSigner(), newRequest(body)
			if tt.signer != nil {
				tt.signer(&s)
			}
			if tt.before != nil {
				tt.before(r)
			}
			s.header(r, body)
			if tt.after != nil {
				tt.after(r)
			}
			check(t, verify(r, body), tt.kind, tt.text)
		})
	}
}

func check(t *testing.T, err error, kind sigv4.Kind, text string) {
	t.Helper()
	if got := kindOf(t, err); got != kind {
		t.Fatalf("kind %d, want %d: %v", got, kind, err)
	}
	if err != nil && !strings.Contains(err.Error(), text) {
		t.Errorf("error %q, want %q in it", err, text)
	}
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func add(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

func del(name string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Del(name) }
}

func query(raw string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = raw }
}

func swap(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func cut(part string) func(*http.Request) { return swap(part, "") }

func upperSignature(r *http.Request) {
	head, mac, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(mac))
}

func shortSignature(r *http.Request) {
	h := r.Header.Get("Authorization")
	r.Header.Set("Authorization", h[:len(h)-2])
}

func TestPresigned(t *testing.T) {
	tests := []struct {
		name   string
		signer func(*signer)
		extra  url.Values
		after  func(*http.Request)
		kind   sigv4.Kind
		text   string
	}{
		{name: "good"},
		{name: "token", extra: url.Values{"X-Amz-Security-Token": {"a+b/c=="}}},
		{name: "odd parameters", extra: url.Values{"a b": {"*", "c+d"}, "z é": {"€"}}},
		{name: "older than 15 minutes within its life", extra: url.Values{"X-Amz-Expires": {"3600"}},
			signer: func(s *signer) { s.time = now.Add(-time.Hour) }},
		{name: "past its life", extra: url.Values{"X-Amz-Expires": {"60"}}, signer: func(s *signer) { s.time = now.Add(-61 * time.Second) },
			kind: sigv4.Invalid, text: "Signature expired: 20260301T115859Z is now earlier than 20260301T115900Z (20260301T120000Z - 1 min.)"},
		{name: "past a life of odd seconds", extra: url.Values{"X-Amz-Expires": {"61"}}, signer: func(s *signer) { s.time = now.Add(-62 * time.Second) },
			kind: sigv4.Invalid, text: "- 61 sec.)"},
		{name: "no life given, too old", signer: func(s *signer) { s.time = now.Add(-901 * time.Second) }, kind: sigv4.Invalid, text: "Signature expired"},
		{name: "life of no time", extra: url.Values{"X-Amz-Expires": {"0"}}, kind: sigv4.Incomplete, text: "X-Amz-Expires"},
		{name: "life of eight days", extra: url.Values{"X-Amz-Expires": {"691200"}}, kind: sigv4.Incomplete, text: "X-Amz-Expires"},
		{name: "life twice", extra: url.Values{"X-Amz-Expires": {"60", "3600"}}, kind: sigv4.Incomplete, text: "X-Amz-Expires"},
		{name: "life added", after: more("&X-Amz-Expires=3600"), kind: sigv4.Invalid},
		{name: "date ahead", signer: func(s *signer) { s.time = now.Add(901 * time.Second) }, kind: sigv4.Invalid, text: "not yet current"},
		{name: "bad date", after: func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "T120000Z", "", 1) }, kind: sigv4.Incomplete, text: "Date must be"},
		{name: "parameter added", after: more("&a=b"), kind: sigv4.Invalid},
		{name: "signature twice", after: more("&X-Amz-Signature=x"), kind: sigv4.Incomplete},
		{name: "token twice", extra: url.Values{"X-Amz-Security-Token": {"a", "b"}}, kind: sigv4.Incomplete},
		{name: "token in a header", after: set("X-Amz-Security-Token", "x"), kind: sigv4.Incomplete, text: "both"},
		{name: "Authorization too", after: set("Authorization", "AWS4-HMAC-SHA256 x"), kind: sigv4.Incomplete, text: "both"},
		{name: "SigV4A", signer: func(s *signer) { s.algorithm = "AWS4-ECDSA-P256-SHA256" }, kind: sigv4.Incomplete, text: "AWS4-ECDSA-P256-SHA256"},
		{name: "host not signed", signer: func(s *signer) { s.signed = []string{"content-type"} }, kind: sigv4.Invalid, text: "'Host'"},
		{name: "target added", after: set("X-Amz-Target", "x"), kind: sigv4.Invalid, text: "'X-Amz-Target' must be"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, r := newSigner(), newRequest("")
			r.Header = http.Header{"Content-Type": {"text/plain"}}
			s.signed = []string{"host"}
			if tt.signer != nil {
				tt.signer(&s)
			}
			s.presign(r, tt.extra)
			if tt.after != nil {
				tt.after(r)
			}
			check(t, verify(r, ""), tt.kind, tt.text)
		})
	}
}

func more(tail string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += tail }
}

func TestPresignedNeedsEveryParameter(t *testing.T) {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		s, r := newSigner(), newRequest("")
		s.signed = []string{"content-type", "host", "x-amz-target"}
		s.presign(r, nil)
		q := r.URL.Query()
		q.Del(name)
		r.URL.RawQuery = q.Encode()
		check(t, verify(r, ""), sigv4.Incomplete, name)
	}
}

func TestClaim(t *testing.T) {
	s, r := newSigner(), newRequest(body)
	r.Header.Set("X-Amz-Security-Token", "token")
	s.signed = []string{"host", "x-amz-date", "x-amz-security-token", "x-amz-target"}
	s.header(r, body)
	got, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if got.KeyID != keyID || got.Region != "us-east-1" || got.Service != "ecr" || got.Date != "20260301" || !got.Time.Equal(now) || got.Token != "token" {
		t.Errorf("Parse = %+v", got)
	}
}
