package credentials_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// session issues a temporary key.
func (f *fixture) session(t *testing.T, life time.Duration) sigv4test.Key {
	t.Helper()
	s, err := f.GetSessionToken(context.Background(), f.principal(), life)
	if err != nil {
		t.Fatal(err)
	}
	k := f.key
	k.ID, k.Secret, k.Token = s.KeyID, s.Secret.Reveal(), s.Token
	return k
}

func TestSession(t *testing.T) {
	f := setUp(t)
	s := f.session(t, time.Hour)
	if !strings.HasPrefix(s.ID, "ASIA") || len(s.ID) != 20 || len(s.Secret) != 40 {
		t.Errorf("key %s with a secret of %d characters", s.ID, len(s.Secret))
	}
	p, err := f.signed(t, s, "{}")
	if p.Session == nil || p.Session.ID != s.ID || p.Session.Limited() {
		t.Errorf("session %+v", p.Session)
	}
	if p.Session = nil; err != nil || p != f.principal() {
		t.Errorf("Signed = %+v, %v; want the principal of the key behind it", p, err)
	}
	f.now = f.now.Add(time.Hour)
	_, err = f.signed(t, s, "{}")
	wantError(t, err, credentials.ExpiredToken, 400)
	if want := "The security token included in the request is expired"; err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

func TestPresignedSession(t *testing.T) {
	f := setUp(t)
	s := f.session(t, time.Hour)
	r := httptest.NewRequest("GET", "http://localhost:5000/", nil)
	s.Presign(r, f.now, time.Minute)
	if _, _, err := f.Signed(r, "ecr", limit); err != nil {
		t.Error(err)
	}
	if !credentials.Temporary(r) {
		t.Error("is not taken for temporary")
	}
}

func TestBadSessions(t *testing.T) {
	f := setUp(t)
	good, other := f.session(t, time.Hour), f.session(t, time.Hour)
	stranger := f.verifier(t, func(o *credentials.Options) { o.TokenKeys = [][]byte{key32(9)} })
	theirs, err := stranger.GetSessionToken(context.Background(), f.principal(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	password, _, err := f.Password(context.Background(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(*sigv4test.Key){
		"without its token":          func(k *sigv4test.Key) { k.Token = "" },
		"with another's token":       func(k *sigv4test.Key) { k.Token = other.Token },
		"with a truncated token":     func(k *sigv4test.Key) { k.Token = k.Token[:len(k.Token)-1] },
		"with a password as token":   func(k *sigv4test.Key) { k.Token = password },
		"of another server":          func(k *sigv4test.Key) { k.ID, k.Secret, k.Token = theirs.KeyID, theirs.Secret.Reveal(), theirs.Token },
		"token beside permanent key": func(k *sigv4test.Key) { k.ID, k.Secret = f.key.ID, f.key.Secret },
	}
	for name, change := range tests {
		k := good
		change(&k)
		_, err := f.signed(t, k, "{}")
		if wantError(t, err, credentials.UnrecognizedClient, 400); t.Failed() {
			t.Fatal(name)
		}
	}
	f.now = f.now.Add(-time.Second)
	_, err = f.signed(t, good, "{}")
	wantError(t, err, credentials.UnrecognizedClient, 400)
	f.now = f.now.Add(time.Second)
	f.deleteKey(t)
	_, err = f.signed(t, good, "{}")
	wantError(t, err, credentials.UnrecognizedClient, 400)
}

func TestSessionDurations(t *testing.T) {
	f := setUp(t)
	for seconds, ok := range map[int]bool{0: true, 899: false, 900: true, 129600: true, 129601: false, -1: false} {
		s, err := f.GetSessionToken(context.Background(), f.principal(), time.Duration(seconds)*time.Second)
		if !ok {
			wantError(t, err, credentials.ValidationError, 400)
			continue
		}
		if seconds == 0 {
			seconds = 43200
		}
		if want := start.Add(time.Duration(seconds) * time.Second); err != nil || !s.Expires.Equal(want) {
			t.Errorf("%d seconds: expires %s, %v", seconds, s.Expires, err)
		}
	}
}

func TestPassword(t *testing.T) {
	f := setUp(t)
	ctx := context.Background()
	password, expires, err := f.Password(context.Background(), f.principal())
	if err != nil || strings.Contains(password, ":") || len(password) >= 2048 || !expires.Equal(start.Add(12*time.Hour)) {
		t.Fatalf("password of %d characters, expires %s, %v", len(password), expires, err)
	}
	if p, err := f.Basic(ctx, "AWS", password); err != nil || p != f.principal() {
		t.Errorf("Basic = %+v, %v", p, err)
	}
	bad := func(name, user, password string) {
		t.Helper()
		if p, err := f.Basic(ctx, user, password); !errors.Is(err, credentials.ErrBadPassword) || !p.IsZero() {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, user := range []string{"", "aws", "AWS ", "root", f.key.ID} {
		bad("user "+user, user, password)
	}
	for i := range password {
		for bit := range 8 {
			b := []byte(password)
			b[i] ^= 1 << bit
			bad("a bit flipped", "AWS", string(b))
		}
		bad("truncated", "AWS", password[:i])
	}
	bad("the key's own secret", "AWS", f.key.Secret)
	bad("the key itself", f.key.ID, f.key.Secret)
	bad("a session token", "AWS", f.session(t, time.Hour).Token)
	stranger := f.verifier(t, func(o *credentials.Options) { o.TokenKeys = [][]byte{key32(9)} })
	theirs, _, err := stranger.Password(context.Background(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	bad("another server's", "AWS", theirs)

	f.now = start.Add(-time.Second)
	bad("issued in the future", "AWS", password)
	f.now = start.Add(12*time.Hour - time.Second)
	if _, err := f.Basic(ctx, "AWS", password); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	f.now = start.Add(12 * time.Hour)
	bad("expired", "AWS", password)
	f.now = start.Add(12*time.Hour + time.Second)
	bad("expired by a second", "AWS", password)
}

func TestPasswordDiesWithItsKey(t *testing.T) {
	f := setUp(t)
	ctx := context.Background()
	password, _, err := f.Password(context.Background(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.accounts.SetActive(ctx, f.key.ID, false); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Basic(ctx, "AWS", password); !errors.Is(err, credentials.ErrBadPassword) {
		t.Errorf("of an inactive key: %v", err)
	}
	if err := f.accounts.SetActive(ctx, f.key.ID, true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Basic(ctx, "AWS", password); err != nil {
		t.Errorf("of a key that is active again: %v", err)
	}
	f.deleteKey(t)
	if _, err := f.Basic(ctx, "AWS", password); !errors.Is(err, credentials.ErrBadPassword) {
		t.Errorf("of a deleted key: %v", err)
	}
}

// TestRootPairChanges gives the environment's pair another secret, and then
// its id to another account: what the old one issued is dead.
func TestRootPairChanges(t *testing.T) {
	f := setUp(t)
	ctx := context.Background()
	use := func(secret, account string) {
		t.Helper()
		pair, err := accounts.ParseRootPair("admin", secret)
		if err != nil {
			t.Fatal(err)
		}
		pair.Account = account
		f.accounts = f.openAccounts(t, pair)
		f.Verifier = f.verifier(t, nil)
	}
	use("first-secret", account)
	p := f.principal()
	p.KeyID = "admin"
	password, _, err := f.Password(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	query, err := f.SignLink(context.Background(), p, link, f.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.GetSessionToken(context.Background(), p, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	session := sigv4test.Key{ID: s.KeyID, Secret: s.Secret.Reveal(), Token: s.Token, Region: "us-east-1", Service: "ecr"}
	check := func(name string, alive bool) {
		t.Helper()
		_, basicErr := f.Basic(ctx, "AWS", password)
		_, linkErr := f.VerifyLink(ctx, link, values)
		_, signedErr := f.signed(t, session, "{}")
		for what, err := range map[string]error{"password": basicErr, "link": linkErr, "session": signedErr} {
			if (err == nil) != alive {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
	}
	use("first-secret", account)
	check("after a restart", true)
	use("other-secret", account)
	check("after the secret changed", false)
	f.accounts = f.openAccounts(t)
	f.Verifier = f.verifier(t, nil)
	check("after the pair was taken away", false)
	use("first-secret", "000000000000")
	if _, err := f.Basic(ctx, "AWS", password); !errors.Is(err, credentials.ErrBadPassword) {
		t.Errorf("after the id went to another account: %v", err)
	}
}

var link = credentials.Link{Account: account, Region: "us-east-1", Repository: "team/app", Digest: "sha256:" + strings.Repeat("ab", 32)}

func sign(t *testing.T, f *fixture, l credentials.Link, expires time.Time) url.Values {
	t.Helper()
	return signAs(t, f, f.principal(), l, expires)
}

func signAs(t *testing.T, f *fixture, p auth.Principal, l credentials.Link, expires time.Time) url.Values {
	t.Helper()
	query, err := f.SignLink(context.Background(), p, l, expires)
	if err != nil {
		t.Fatal(err)
	}
	values, err := url.ParseQuery(query)
	if err != nil || len(values["expires"]) != 1 || len(values["signature"]) != 1 || len(values) != 2 {
		t.Fatalf("query %q, %v", query, err)
	}
	return values
}

func TestLink(t *testing.T) {
	f := setUp(t)
	ctx := context.Background()
	query := sign(t, f, link, f.now.Add(time.Hour))
	for _, method := range []string{"", "GET", "HEAD"} {
		l := link
		l.Method = method
		if p, err := f.VerifyLink(ctx, l, query); err != nil || p != f.principal() {
			t.Errorf("method %q: %+v, %v", method, p, err)
		}
	}
	refused := func(name string, l credentials.Link, query url.Values) {
		t.Helper()
		_, err := f.VerifyLink(ctx, l, query)
		var e *credentials.Error
		if !errors.As(err, &e) || e.Status != 403 || e.Code != credentials.AccessDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "POST", "PATCH", "get", "OPTIONS"} {
		l := link
		l.Method = method
		refused("method "+method, l, query)
	}
	for name, change := range map[string]func(*credentials.Link){
		"other account":    func(l *credentials.Link) { l.Account = "000000000000" },
		"other region":     func(l *credentials.Link) { l.Region = "cn-north-1" },
		"other repository": func(l *credentials.Link) { l.Repository = "team/other" },
		"other digest":     func(l *credentials.Link) { l.Digest = "sha256:" + strings.Repeat("ac", 32) },
	} {
		l := link
		change(&l)
		refused(name, l, query)
	}
	e, s := query.Get("expires"), query.Get("signature")
	password, _, err := f.Password(context.Background(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]url.Values{
		"nothing":        {},
		"no signature":   {"expires": {e}},
		"no expiry":      {"signature": {s}},
		"two expiries":   {"expires": {e, e}, "signature": {s}},
		"two signatures": {"expires": {e}, "signature": {s, s}},
		"later expiry":   {"expires": {"9" + e}, "signature": {s}},
		"expiry +":       {"expires": {"+" + e}, "signature": {s}},
		"expiry 0":       {"expires": {"0" + e}, "signature": {s}},
		"expiry of text": {"expires": {"soon"}, "signature": {s}},
		"a password":     {"expires": {e}, "signature": {password}},
	} {
		refused(name, link, q)
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		refused("a byte changed", link, url.Values{"expires": {e}, "signature": {base64.RawURLEncoding.EncodeToString(raw)}})
		raw[i] ^= 1
	}
	f.now = f.now.Add(time.Hour)
	refused("expired", link, query)
	f.now = start
	f.deleteKey(t)
	refused("key gone", link, query)
}

func TestNobodySignsLinks(t *testing.T) {
	f := setUp(t)
	p := f.principal()
	p.KeyID = ""
	if query, err := f.SignLink(context.Background(), p, link, f.now.Add(time.Hour)); err == nil {
		t.Errorf("query %q", query)
	}
}
