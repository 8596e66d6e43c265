package token

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// maxSession is the greatest length of a session token, half of what clients
// and proxies commonly allow a header.
const maxSession = 4 << 10

// Session is a temporary access key. Its token carries it whole, sealed, so
// that no server keeps it.
type Session struct {
	KeyID      string `json:"k"`
	Secret     string `json:"s"`           // hidden when a Session is printed
	Parent     string `json:"p"`           // access key that it derives from and dies with
	ParentMark string `json:"m,omitempty"` // what must still be true of that key, as the issuer chose
	Account    string `json:"a"`
	Issued     int64  `json:"i"` // seconds since 1970; set by SealSession
	Expires    int64  `json:"x"` // seconds since 1970; set by SealSession
}

// String names the key and hides its secret.
func (s Session) String() string { return "session of " + s.KeyID }

// GoString is String, for %#v.
func (s Session) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// SealSession makes the session token of s, which holds from now on for life.
func (r *Ring) SealSession(s Session, life time.Duration) (token string, expires time.Time, err error) {
	now := r.now()
	s.Issued, s.Expires = now.Unix(), now.Add(life).Unix()
	body, err := json.Marshal(s)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("token: encode session: %w", err)
	}
	head, key := r.head(useSession)
	aead, err := newAEAD(key)
	if err != nil {
		return "", time.Time{}, err
	}
	token = encode(aead.Seal(head, nil, body, head))
	if len(token) > maxSession {
		return "", time.Time{}, fmt.Errorf("token: session token of %d characters, want at most %d", len(token), maxSession)
	}
	return token, time.Unix(s.Expires, 0).UTC(), nil
}

// OpenSession returns the temporary key of a session token. The error is
// ErrMalformed, ErrForged, ErrExpired, ErrNotYet, or a fault.
func (r *Ring) OpenSession(token string) (Session, error) {
	head, rest, key, err := r.open(useSession, token, maxSession)
	if err != nil {
		return Session{}, err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return Session{}, err
	}
	body, err := aead.Open(nil, nil, rest, head)
	if err != nil {
		return Session{}, ErrForged
	}
	var s Session
	if err := json.Unmarshal(body, &s); err != nil {
		return Session{}, ErrMalformed
	}
	if err := r.checkTimes(s.Issued, s.Expires); err != nil {
		return Session{}, err
	}
	return s, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return aead, nil
}
