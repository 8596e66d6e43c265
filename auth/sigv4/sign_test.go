package sigv4_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/sigv4"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// TestSign: a signature is that of another signer, letter by letter, and is
// verified.
func TestSign(t *testing.T) {
	for _, tt := range []struct{ token, query, body string }{
		{"", "", ""}, {"", "", "{}"}, {"session/token+=", "", "{}"}, {"", "b=2&a=1%20x&a=%2F", "{}"},
	} {
		request := func() *http.Request {
			r := httptest.NewRequest(http.MethodPost, "https://api.ecr.us-east-1.amazonaws.com/?"+tt.query, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", "a.b")
			r.Header.Set("Accept", "not signed")
			return r
		}
		ours, theirs := request(), request()
		key := sigv4.Key{ID: keyID, Secret: secret, Token: tt.token, Region: "us-east-1", Service: "ecr"}
		if err := key.Sign(ours, []byte(tt.body), now); err != nil {
			t.Fatal(err)
		}
		sigv4test.Key{ID: keyID, Secret: secret, Token: tt.token, Region: "us-east-1", Service: "ecr"}.Sign(theirs, tt.body, now)
		if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
			t.Errorf("%+v is signed\n%s, want\n%s", tt, got, want)
		}
		s, err := sigv4.Parse(ours)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.CheckTime(now), s.Verify(secret, sha256.Sum256([]byte(tt.body)))); err != nil || s.Token != tt.token {
			t.Errorf("%+v: %v", tt, err)
		}
		if err := s.Verify(secret, sha256.Sum256([]byte(tt.body+"x"))); err == nil {
			t.Errorf("%+v: another body is signed, too", tt)
		}
	}
	bad := httptest.NewRequest(http.MethodPost, "https://example/?a=1;b", nil)
	if err := (sigv4.Key{}).Sign(bad, nil, now); err == nil {
		t.Error("a request is signed that cannot be verified")
	}
}
