package token_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/token"
)

func TestBearerSaysWhatItWasMadeOf(t *testing.T) {
	r := newRing(t, &clock{start.Add(time.Millisecond)}, master(1))
	s, issued, expires, err := r.SealBearer(bearer)
	if err != nil || !issued.Equal(start) || !expires.Equal(start.Add(300*time.Second)) {
		t.Fatalf("from %v to %v, %v", issued, expires, err)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(s) {
		t.Errorf("token %s", s)
	}
	got, err := r.OpenBearer(s, service)
	want := bearer
	want.Claims.Issued, want.Claims.Expires = issued.Unix(), expires.Unix()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("OpenBearer: %v (-want +got):\n%s", err, diff)
	}
	for _, other := range []string{"", "localhost", "localhost:5001", "LOCALHOST:5000", "123456789012.dkr.ecr.us-east-1.localhost:5000"} {
		if _, err := r.OpenBearer(s, other); !errors.Is(err, token.ErrForged) {
			t.Errorf("for %q: %v", other, err)
		}
	}
}

// A bearer token ends with the password that it was got with.
func TestBearerEndsWithItsOrigin(t *testing.T) {
	c := &clock{start}
	r := newRing(t, c, master(1))
	short := bearer
	short.Claims.Expires = start.Add(10 * time.Second).Unix()
	s, _, expires, err := r.SealBearer(short)
	if err != nil || !expires.Equal(start.Add(10*time.Second)) {
		t.Fatalf("until %v, %v", expires, err)
	}
	c.t = start.Add(10 * time.Second)
	if _, err := r.OpenBearer(s, service); !errors.Is(err, token.ErrExpired) {
		t.Error(err)
	}
}

func TestBearerThatIsTooLong(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	long := bearer
	for i := range 2000 {
		long.Grants = append(long.Grants, token.Grant{Type: "repository", Name: strings.Repeat("x", i%97) + time.Duration(i*i*i).String()})
	}
	if _, _, _, err := r.SealBearer(long); !errors.Is(err, token.ErrTooLong) {
		t.Error(err)
	}
}
