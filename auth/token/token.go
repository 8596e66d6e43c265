// Package token makes and checks the strings that stand for credentials: a
// registry password, the session token of a temporary key, a bearer token, the
// signature of a link. They are opaque to whoever holds them. It is pure: keys and a clock go
// in, and no token is kept anywhere.
//
// A token proves that this server, or one that shares its keys, made it, and
// when. Whether the access key behind it is still alive is for the caller to
// see, on each use.
//
// Each use has a key of its own, derived from the master key, so that a token
// made for one use is a forgery for another. A token begins with a version and
// the id of its master key, so that keys and forms can change while old tokens
// run out.
package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// What can be wrong with a token.
var (
	ErrMalformed = errors.New("token: malformed")
	ErrForged    = errors.New("token: not made with a key of this server")
	ErrExpired   = errors.New("token: expired")
	ErrNotYet    = errors.New("token: issued in the future")
)

// MinKey is the least length of a master key in bytes.
const MinKey = 32

const (
	version = 1
	idSize  = 4
	// headSize is the length of what every token begins with: version, use,
	// and id of the master key.
	headSize = 2 + idSize
)

// use is what a token is for.
type use byte

const (
	usePassword use = iota + 1
	useSession
	useLink
	useBearer
)

var uses = map[use]string{
	usePassword: "registry password",
	useSession:  "session token",
	useLink:     "signed link",
	useBearer:   "bearer token",
}

// Ring makes tokens with one master key and checks those of several. It is
// safe for use by several goroutines.
type Ring struct {
	now  func() time.Time
	keys []masterKey // the first makes tokens
}

type masterKey struct {
	id      [idSize]byte
	derived map[use][]byte
}

// NewRing returns a ring of master keys, of at least MinKey random bytes each.
// The first makes tokens; the others are those that made tokens which may
// still be shown. A nil now is time.Now.
func NewRing(now func() time.Time, masters ...[]byte) (*Ring, error) {
	if len(masters) == 0 {
		return nil, errors.New("token: no master key")
	}
	if now == nil {
		now = time.Now
	}
	r := &Ring{now: now}
	for _, m := range masters {
		k, err := newMasterKey(m)
		if err != nil {
			return nil, err
		}
		r.keys = append(r.keys, k)
	}
	return r, nil
}

func newMasterKey(master []byte) (masterKey, error) {
	k := masterKey{derived: map[use][]byte{}}
	if len(master) < MinKey {
		return k, fmt.Errorf("token: master key of %d bytes, want at least %d", len(master), MinKey)
	}
	id, err := hkdf.Key(sha256.New, master, nil, "berth token key id", idSize)
	if err != nil {
		return k, fmt.Errorf("token: derive key id: %w", err)
	}
	copy(k.id[:], id)
	for u, name := range uses {
		if k.derived[u], err = hkdf.Key(sha256.New, master, nil, "berth token "+name, sha256.Size); err != nil {
			return k, fmt.Errorf("token: derive key of %s: %w", name, err)
		}
	}
	return k, nil
}

// head begins a token for u by the ring's first key.
func (r *Ring) head(u use) ([]byte, []byte) {
	k := r.keys[0]
	return append([]byte{version, byte(u)}, k.id[:]...), k.derived[u]
}

// open decodes a token for u and finds its key. The rest of the token is not
// yet proven.
func (r *Ring) open(u use, s string, limit int) (head, rest, key []byte, err error) {
	raw, err := decode(s, limit)
	if err != nil || len(raw) < headSize || raw[0] != version {
		return nil, nil, nil, ErrMalformed
	}
	head, rest = raw[:headSize:headSize], raw[headSize:]
	for _, k := range r.keys {
		if string(head[2:]) == string(k.id[:]) && head[1] == byte(u) {
			return head, rest, k.derived[u], nil
		}
	}
	return nil, nil, nil, ErrForged
}

// checkTimes says whether now lies between two times of a token that is
// proven. It holds from issued on, and no longer at expires.
func (r *Ring) checkTimes(issued, expires int64) error {
	switch now := r.now().Unix(); {
	case now < issued:
		return ErrNotYet
	case now >= expires:
		return ErrExpired
	}
	return nil
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// decode accepts only what encode writes: base64 as Go reads it skips line
// breaks and spare bits, and a token must have one form.
func decode(s string, limit int) ([]byte, error) {
	if len(s) > limit {
		return nil, ErrMalformed
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || encode(raw) != s {
		return nil, ErrMalformed
	}
	return raw, nil
}
