package sigv4

import (
	"bufio"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzParse reads whole requests. Whatever passes has all that must be signed
// among its signed headers.
func FuzzParse(f *testing.F) {
	const scope = "AKIDEXAMPLE/20260301/us-east-1/ecr/aws4_request"
	mac := strings.Repeat("0a", 32)
	f.Add("POST", "AWS4-HMAC-SHA256 Credential="+scope+", SignedHeaders=host;x-amz-date, Signature="+mac, "20260301T120000Z", "")
	f.Add("POST", "AWS4-HMAC-SHA256 Credential="+scope+",SignedHeaders=host,Signature="+mac, "", "a=b&a=%20")
	f.Add("GET", "", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="+url.QueryEscape(scope)+
		"&X-Amz-Date=20260301T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature="+mac)
	f.Add("POST", "Basic QVdTOng=", "", "x-amz-signature=")
	f.Fuzz(func(t *testing.T, method, authorization, date, query string) {
		raw := method + " /?" + query + " HTTP/1.1\r\nHost: localhost\r\n"
		if authorization != "" {
			raw += "Authorization: " + authorization + "\r\n"
		}
		if date != "" {
			raw += "X-Amz-Date: " + date + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n")))
		if err != nil {
			return
		}
		s, err := Parse(r)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatalf("error %v is a %T", err, err)
			}
			return
		}
		if !slices.Contains(s.headers, "host") || r.Header.Get("X-Amz-Date") != "" && !slices.Contains(s.headers, "x-amz-date") {
			t.Errorf("passed with only %v signed", s.headers)
		}
		if s.KeyID == "" || s.Time.IsZero() || len(s.mac) != 32 || s.life <= 0 {
			t.Errorf("passed as %+v", s)
		}
		if s.Verify("secret", [32]byte{}) == nil {
			t.Error("a guess verified")
		}
	})
}

// FuzzQuery holds the reading of a query string to that of net/url, which the
// doors use, and its canonical form to what it says: the same parameters.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "a=b", "b&a=1&a=0", "a=b+c%20d", "%zz", "a;b", "=&&=x", "a=%C3%BC&é=€", "a-b=1&a=2&a.b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		want, wantErr := url.ParseQuery(raw)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("parseQuery(%q): %v; net/url: %v", raw, err, wantErr)
		}
		if err != nil {
			return
		}
		n := 0
		for name, values := range want {
			n += len(values)
			if got, count := q.get(name); got != values[0] || count != len(values) {
				t.Errorf("%q: %q is %q, %d times; net/url: %q", raw, name, got, count, values)
			}
		}
		if n != len(q) {
			t.Errorf("%q: %d parameters; net/url: %d", raw, len(q), n)
		}
		canonical := q.canonical()
		again, err := parseQuery(canonical)
		if err != nil || again.canonical() != canonical {
			t.Errorf("%q: canonical form %q is not its own: %q, %v", raw, canonical, again.canonical(), err)
		}
	})
}
