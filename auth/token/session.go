package token

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

const (
	// maxSession is the greatest length of a session token: half of what Go's servers
	// and common proxies allow all headers of a request.
	maxSession = 8 << 10
	// maxUnpacked is the greatest length of what a token unpacks to. Only what this
	// server packed is unpacked.
	maxUnpacked = 256 << 10
	// MaxPacked is the length, packed, that the policies and tags of a session may
	// have. The rest of a token has room beside it.
	MaxPacked = 4 << 10
)

// ErrTooLong says that a session carries more than a token of its, or a registry
// password, can.
var ErrTooLong = errors.New("token: too long")

// Session is a temporary access key. Its token carries it whole, sealed, so
// that no server keeps it.
type Session struct {
	KeyID   string `json:"k"`
	Secret  string `json:"s"`           // hidden when a Session is printed
	Account string `json:"a"`           // that the session is of
	Issued  int64  `json:"i"`           // seconds since 1970; set by SealSession
	Expires int64  `json:"x"`           // seconds since 1970; set by SealSession
	Name    string `json:"n,omitempty"` // of the session, with a role
	Lineage
	Carried
	SourceIdentity string `json:"y,omitempty"`
	Provider       string `json:"w,omitempty"` // issuer of a web identity
	Subject        string `json:"u,omitempty"`
}

// Lineage is what a session derives from, and dies with.
type Lineage struct {
	Parent     string `json:"p,omitempty"` // access key, "" with a robot key or a web identity
	ParentMark string `json:"m,omitempty"` // what must still be true of that key, as the issuer chose
	Robot      string `json:"b,omitempty"` // robot key instead of Parent
	// Roles are the roles that were assumed, one with the rights of the one before;
	// the session is of the last.
	Roles []Role `json:"r,omitempty"`
}

// Role is one that was assumed.
type Role struct {
	Account string `json:"a"`
	Name    string `json:"n"`
	Mark    string `json:"m"` // what must still be true of it, as the issuer chose
}

// Carried is what callers have a session carry, of any length up to MaxPacked.
type Carried struct {
	Policies   []string          `json:"o,omitempty"`
	PolicyARNs []string          `json:"q,omitempty"`
	Tags       map[string]string `json:"t,omitempty"`
	Transitive []string          `json:"v,omitempty"` // keys of the tags that go on to the next role
}

// Packed is how long c is packed.
func (c Carried) Packed() (int, error) {
	if len(c.Policies)+len(c.PolicyARNs)+len(c.Tags) == 0 {
		return 0, nil
	}
	packed, err := pack(c)
	return len(packed), err
}

// String names the key and hides its secret.
func (s Session) String() string { return "session of " + s.KeyID }

// GoString is String, for %#v.
func (s Session) GoString() string { return s.String() }

// LogValue is String, for slog.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// SealSession makes the session token of s, which holds from now on for life. The
// error is an ErrTooLong or a fault.
func (r *Ring) SealSession(s Session, life time.Duration) (token string, expires time.Time, err error) {
	now := r.now()
	s.Issued, s.Expires = now.Unix(), now.Add(life).Unix()
	if token, err = r.seal(useSession, s, maxSession); err != nil {
		return "", time.Time{}, err
	}
	return token, time.Unix(s.Expires, 0).UTC(), nil
}

// OpenSession returns the temporary key of a session token. The error is
// ErrMalformed, ErrForged, ErrExpired, ErrNotYet, or a fault.
func (r *Ring) OpenSession(token string) (Session, error) {
	var s Session
	if err := r.unseal(useSession, token, maxSession, &s); err != nil {
		return Session{}, err
	}
	if err := r.checkTimes(s.Issued, s.Expires); err != nil {
		return Session{}, err
	}
	return s, nil
}

// seal makes a token for u of what v is, packed and hidden. The error is an
// ErrTooLong for one of more than limit characters, or a fault.
func (r *Ring) seal(u use, v any, limit int) (token string, err error) {
	body, err := pack(v)
	if err != nil {
		return "", fmt.Errorf("token: encode %s: %w", uses[u], err)
	}
	head, key := r.head(u)
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	token = encode(aead.Seal(head, nil, body, head))
	if len(token) > limit {
		return "", fmt.Errorf("%w: %d characters, want at most %d", ErrTooLong, len(token), limit)
	}
	return token, nil
}

// unseal reads into v what seal made.
func (r *Ring) unseal(u use, token string, limit int, v any) error {
	head, rest, key, err := r.open(u, token, limit)
	if err != nil {
		return err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return err
	}
	body, err := aead.Open(nil, nil, rest, head)
	if err != nil {
		return ErrForged
	}
	if unpack(body, v) != nil {
		return ErrMalformed
	}
	return nil
}

// packedForm begins what is packed. What an older server sealed is JSON, and begins
// with a brace.
const packedForm = 1

// pack writes v as JSON, compressed: policies are long and full of the same words.
func pack(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteByte(packedForm)
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unpack(body []byte, v any) error {
	if len(body) > 0 && body[0] != packedForm {
		return json.Unmarshal(body, v)
	}
	if len(body) == 0 {
		return io.ErrUnexpectedEOF
	}
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(body[1:])), maxUnpacked))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
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
