package sigv4_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/sigv4"
)

// signedCase is a request as botocore or curl signed it; see
// testdata/generate.py.
type signedCase struct {
	Name, Service, Region, Token, Time, Request string
}

func corpus(t testing.TB) []signedCase {
	t.Helper()
	text, err := os.ReadFile("testdata/signed.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Key, Secret string
		Cases       []signedCase
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if file.Key != keyID || file.Secret != secret || len(file.Cases) == 0 {
		t.Fatalf("corpus of %d cases for key %q", len(file.Cases), file.Key)
	}
	return file.Cases
}

// verifyRaw verifies a request as read from the wire.
func verifyRaw(c signedCase, raw string) (*http.Request, string, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, "", err
	}
	at, err := time.Parse("20060102T150405Z", c.Time)
	if err != nil {
		return nil, "", err
	}
	return r, string(body), verifyAt(r, string(body), c.Service, at)
}

func TestClientsRequestsVerify(t *testing.T) {
	for _, c := range corpus(t) {
		r, body, err := verifyRaw(c, c.Request)
		if err != nil {
			t.Errorf("%s: %v\n%s", c.Name, err, c.Request)
			continue
		}
		s, err := sigv4.Parse(r)
		if err != nil || s.Region != c.Region || s.Token != c.Token {
			t.Errorf("%s: region %q, token %q, %v", c.Name, s.Region, s.Token, err)
		}
		if err := s.Verify(secret+"x", sha256.Sum256([]byte(body))); err == nil {
			t.Errorf("%s: verifies with another secret", c.Name)
		}
		if err := s.Verify(secret, sha256.Sum256([]byte(body+"x"))); err == nil {
			t.Errorf("%s: verifies with another body", c.Name)
		}
	}
}

// meaning is what the signature of a request stands for.
type meaning struct {
	Method, Host, Path string
	Query              map[string][]string
	Header             map[string]string
	Body               string
}

func meaningOf(r *http.Request, body string) meaning {
	m := meaning{r.Method, r.Host, r.URL.EscapedPath(), r.URL.Query(), map[string]string{}, body}
	for _, name := range []string{"Content-Type", "X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token", "X-Note"} {
		if strings.Contains(r.Header.Get("Authorization")+r.URL.RawQuery, strings.ToLower(name)) {
			m.Header[name] = strings.Join(strings.Fields(strings.Join(r.Header.Values(name), ",")), " ")
		}
	}
	return m
}

// TestNoByteChanges changes each byte of each request, and drops it or doubles
// it. A request that still verifies must mean what it meant.
func TestNoByteChanges(t *testing.T) {
	for _, c := range corpus(t) {
		r, body, err := verifyRaw(c, c.Request)
		if err != nil {
			t.Fatal(err)
		}
		want := meaningOf(r, body)
		for i := range min(len(c.Request), 1000) {
			for _, changed := range changes(c.Request, i) {
				r, body, err := verifyRaw(c, changed)
				if err != nil {
					continue
				}
				if diff := cmp.Diff(want, meaningOf(r, body)); diff != "" {
					t.Errorf("%s: verifies with byte %d changed (-was +is):\n%s", c.Name, i, diff)
				}
			}
		}
	}
}

func changes(s string, i int) []string {
	before, at, after := s[:i], s[i:i+1], s[i+1:]
	lost := before + after
	if i%2 == 0 {
		lost = before + at + at + after
	}
	return []string{before + string(at[0]^byte(1<<(i%6))) + after, lost}
}
