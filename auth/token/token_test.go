package token_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/token"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a time that tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func master(b byte) []byte { return bytes.Repeat([]byte{b}, token.MinKey) }

func newRing(t testing.TB, c *clock, masters ...[]byte) *token.Ring {
	t.Helper()
	r, err := token.NewRing(c.now, masters...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var claims = token.Claims{
	KeyID: "AKIAEXAMPLE", Mark: "m", Account: "123456789012", Region: "us-east-1",
	ARN: "arn:aws:iam::123456789012:root", UserID: "123456789012",
}

var session = token.Session{
	KeyID: "ASIAEXAMPLE", Secret: "sesame", Account: "123456789012", Lineage: token.Lineage{Parent: "AKIAEXAMPLE", ParentMark: "m"},
}

var link = token.Link{
	KeyID: "AKIAEXAMPLE", Mark: "m", Account: "123456789012", Region: "us-east-1",
	Repository: "team/app", Digest: "sha256:abc", Expires: start.Add(time.Hour),
}

func password(t testing.TB, r *token.Ring) string {
	t.Helper()
	s, _, err := r.Password(claims, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, r *token.Ring) string {
	t.Helper()
	s, _, err := r.SealSession(session, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const service = "localhost:5000"

var bearer = token.Bearer{Claims: claims, Service: service, Grants: []token.Grant{{Type: "repository", Name: "team/app", Actions: []string{"pull"}}}}

func borne(t testing.TB, r *token.Ring) string {
	t.Helper()
	s, _, _, err := r.SealBearer(bearer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// kinds are the kinds of token, made and opened alike.
var kinds = []struct {
	name string
	life time.Duration
	make func(testing.TB, *token.Ring) string
	open func(*token.Ring, string) error
}{
	{"password", token.PasswordLife, password, func(r *token.Ring, s string) error { _, err := r.OpenPassword(s); return err }},
	{"session", time.Hour, sealed, func(r *token.Ring, s string) error { _, err := r.OpenSession(s); return err }},
	{"bearer", token.BearerLife, borne, func(r *token.Ring, s string) error { _, err := r.OpenBearer(s, service); return err }},
	{"link", time.Hour, func(_ testing.TB, r *token.Ring) string { return r.SignLink(link) },
		func(r *token.Ring, s string) error { return r.VerifyLink(link, s) }},
}

func TestPasswordSaysWhatItWasMadeOf(t *testing.T) {
	r := newRing(t, &clock{start.Add(time.Millisecond)}, master(1))
	s, expires, err := r.Password(claims, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := start.Add(12 * time.Hour); !expires.Equal(want) {
		t.Errorf("expires %s, want %s", expires, want)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]+$`).MatchString(s) || len(s) >= 2048 {
		t.Errorf("password of %d characters: %s", len(s), s)
	}
	got, err := r.OpenPassword(s)
	want := claims
	want.Issued, want.Expires = start.Unix(), start.Add(12*time.Hour).Unix()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("OpenPassword: %v (-want +got):\n%s", err, diff)
	}
}

func TestLongestClaims(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	long := claims
	long.KeyID, long.ARN, long.UserID = strings.Repeat("K", 128), strings.Repeat("a", 600), strings.Repeat("u", 128)
	s, _, err := r.Password(long, 0)
	if err != nil || len(s) >= token.MaxPassword {
		t.Fatalf("password of %d characters, %v", len(s), err)
	}
	if _, err := r.OpenPassword(s); err != nil {
		t.Error(err)
	}
	long.ARN = strings.Repeat("a", 2000)
	if s, _, err := r.Password(long, 0); err == nil {
		t.Errorf("password of %d characters was made", len(s))
	}
}

func TestSessionSaysWhatItWasMadeOf(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	s, expires, err := r.SealSession(session, time.Hour)
	if err != nil || !expires.Equal(start.Add(time.Hour)) {
		t.Fatalf("expires %s, %v", expires, err)
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(s); bytes.Contains(raw, []byte(session.Secret)) || bytes.Contains(raw, []byte(session.Parent)) {
		t.Error("the token shows what it carries")
	}
	got, err := r.OpenSession(s)
	if err != nil || got.KeyID != session.KeyID || got.Secret != session.Secret || got.Parent != session.Parent ||
		got.ParentMark != session.ParentMark || got.Account != session.Account {
		t.Errorf("OpenSession = %v, %v", got, err)
	}
}

func TestSessionCarriesPolicies(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	want := session
	want.Roles = []token.Role{{Account: "123456789012", Name: "build", Mark: "AROA1.0"}, {Account: "210987654321", Name: "deploy", Mark: "AROA2.3"}}
	want.Name, want.SourceIdentity, want.Provider, want.Subject = "run", "jo", "issuer.example", "repo:team/app"
	want.Carried = token.Carried{
		Policies: []string{strings.Repeat(`{"Effect":"Allow","Action":"ecr:PutImage"},`, 47)}, PolicyARNs: []string{"arn:aws:iam::aws:policy/x"},
		Tags: map[string]string{"team": "red"}, Transitive: []string{"team"},
	}
	s, expires, err := r.SealSession(want, time.Hour)
	if err != nil || len(s) > 1<<10 {
		t.Fatalf("token of %d characters, %v", len(s), err)
	}
	want.Issued, want.Expires = start.Unix(), expires.Unix()
	got, err := r.OpenSession(s)
	if d := cmp.Diff(want, got, cmp.Transformer("all", func(s token.Session) map[string]any {
		return map[string]any{"key": s.KeyID, "roles": s.Roles, "name": s.Name, "carried": s.Carried, "source": s.SourceIdentity, "provider": s.Provider, "subject": s.Subject, "times": []int64{s.Issued, s.Expires}}
	})); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

func TestLongestSession(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	noise := make([]byte, 16<<10)
	rand.Read(noise)
	long := func(n int) token.Session {
		s := session
		s.Policies = []string{base64.StdEncoding.EncodeToString(noise[:n])}
		return s
	}
	fits := long(token.MaxPacked - 200)
	if n, err := fits.Packed(); err != nil || n > token.MaxPacked || n < token.MaxPacked-400 {
		t.Errorf("packed to %d, %v", n, err)
	}
	fits.Name, fits.SourceIdentity, fits.Subject = strings.Repeat("n", 64), strings.Repeat("i", 64), strings.Repeat("s", 255)
	if s, _, err := r.SealSession(fits, time.Hour); err != nil || len(s) > 8<<10 {
		t.Errorf("token of %d characters, %v", len(s), err)
	}
	if s, _, err := r.SealSession(long(8<<10), time.Hour); !errors.Is(err, token.ErrTooLong) {
		t.Errorf("token of %d characters, %v", len(s), err)
	}
	if n, err := (token.Carried{}).Packed(); n != 0 || err != nil {
		t.Errorf("nothing is packed to %d, %v", n, err)
	}
}

func TestSessionHidesItsSecret(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "session", session)
	for _, s := range []string{fmt.Sprint(session), fmt.Sprintf("%+v %#v %s", session, session, session), log.String()} {
		if strings.Contains(s, session.Secret) {
			t.Errorf("secret in %q", s)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, k := range kinds {
		c := &clock{start}
		r := newRing(t, c, master(1))
		s := k.make(t, r)
		for _, tt := range []struct {
			after time.Duration
			want  error
		}{
			{0, nil},
			{k.life - time.Second, nil},
			{k.life, token.ErrExpired},
			{k.life + time.Second, token.ErrExpired},
		} {
			c.t = start.Add(tt.after)
			if err := k.open(r, s); !errors.Is(err, tt.want) {
				t.Errorf("%s after %s: %v, want %v", k.name, tt.after, err, tt.want)
			}
		}
		c.t = start.Add(-time.Second)
		if err := k.open(r, s); k.name != "link" && !errors.Is(err, token.ErrNotYet) {
			t.Errorf("%s a second before it was made: %v", k.name, err)
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	for _, k := range kinds {
		s := k.make(t, r)
		for i := range s {
			for bit := range 8 {
				b := []byte(s)
				b[i] ^= 1 << bit
				if k.open(r, string(b)) == nil {
					t.Errorf("%s passes with bit %d of character %d flipped", k.name, bit, i)
				}
			}
			if k.open(r, s[:i]) == nil || k.open(r, s[i+1:]) == nil {
				t.Errorf("%s passes cut at %d", k.name, i)
			}
		}
		for _, changed := range []string{"", s + "A", s + "=", s + "\n", " " + s, s[:9] + "\r\n" + s[9:], s + s} {
			if k.open(r, changed) == nil {
				t.Errorf("%s passes as %q", k.name, changed)
			}
		}
	}
}

// TestSpareBits changes the bits of the last character that carry nothing.
func TestSpareBits(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := newRing(t, &clock{start}, master(1))
	for _, k := range kinds {
		s := k.make(t, r)
		for _, last := range alphabet {
			changed := s[:len(s)-1] + string(last)
			if changed != s && k.open(r, changed) == nil {
				t.Errorf("%s passes with %q as its last character", k.name, last)
			}
		}
	}
}

func TestOneUseIsNotAnother(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	for _, made := range kinds {
		for _, opened := range kinds {
			s := made.make(t, r)
			if err := opened.open(r, s); (err == nil) != (made.name == opened.name) {
				t.Errorf("%s opened as %s: %v", made.name, opened.name, err)
			}
			// A forger would also change the byte that names the use.
			raw, _ := base64.RawURLEncoding.DecodeString(s)
			other, _ := base64.RawURLEncoding.DecodeString(opened.make(t, r))
			raw[1] = other[1]
			if opened.open(r, base64.RawURLEncoding.EncodeToString(raw)) == nil && made.name != opened.name {
				t.Errorf("%s named a %s passes", made.name, opened.name)
			}
		}
	}
}

func TestKeysRotate(t *testing.T) {
	c := &clock{start}
	old, rotated := newRing(t, c, master(1)), newRing(t, c, master(2), master(1))
	fresh, other := newRing(t, c, master(2)), newRing(t, c, master(3))
	for _, k := range kinds {
		was, is := k.make(t, old), k.make(t, rotated)
		for _, tt := range []struct {
			name string
			ring *token.Ring
			s    string
			want error
		}{
			{"old token after rotation", rotated, was, nil},
			{"new token after rotation", rotated, is, nil},
			{"new token by the new key alone", fresh, is, nil},
			{"old token by the new key alone", fresh, was, token.ErrForged},
			{"another server's", other, was, token.ErrForged},
		} {
			if err := k.open(tt.ring, tt.s); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", k.name, tt.name, err, tt.want)
			}
		}
	}
}

func TestLinkCoversAll(t *testing.T) {
	r := newRing(t, &clock{start}, master(1))
	signature := r.SignLink(link)
	if id, err := r.LinkKey(signature); err != nil || id != link.KeyID {
		t.Errorf("LinkKey = %q, %v", id, err)
	}
	changes := map[string]func(*token.Link){
		"key":        func(l *token.Link) { l.KeyID = "AKIAOTHER" },
		"mark":       func(l *token.Link) { l.Mark = "" },
		"account":    func(l *token.Link) { l.Account = "000000000000" },
		"region":     func(l *token.Link) { l.Region = "eu-central-1" },
		"repository": func(l *token.Link) { l.Repository = "team/other" },
		"digest":     func(l *token.Link) { l.Digest = "sha256:abd" },
		"expiry":     func(l *token.Link) { l.Expires = l.Expires.Add(time.Second) },
		"border":     func(l *token.Link) { l.Repository, l.Digest = "team/apps", "ha256:abc" },
	}
	for name, change := range changes {
		l := link
		change(&l)
		if r.VerifyLink(l, signature) == nil {
			t.Errorf("passes with another %s", name)
		}
	}
}

func TestNewRingWantsGoodKeys(t *testing.T) {
	if _, err := token.NewRing(nil); err == nil {
		t.Error("a ring without keys")
	}
	if _, err := token.NewRing(nil, make([]byte, token.MinKey-1)); err == nil {
		t.Error("a ring of a short key")
	}
	if r, err := token.NewRing(nil, master(1)); err != nil {
		t.Error(err)
	} else if _, err := r.OpenPassword(password(t, r)); err != nil {
		t.Errorf("by the real clock: %v", err)
	}
}

// FuzzOpen shows strings to all three; none may pass, whatever it is.
func FuzzOpen(f *testing.F) {
	c := &clock{start}
	r := newRing(f, c, master(1))
	for _, k := range kinds {
		f.Add(k.make(f, r))
		f.Add(k.make(f, newRing(f, c, master(2))))
	}
	f.Add("AQE")
	known := newRing(f, c, master(3))
	f.Fuzz(func(t *testing.T, s string) {
		for _, k := range kinds {
			err := k.open(known, s)
			if !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrForged) {
				t.Errorf("%s %q: %v", k.name, s, err)
			}
		}
		if id, err := known.LinkKey(s); err == nil && id == "" {
			t.Errorf("link %q is by no key", s)
		}
	})
}
