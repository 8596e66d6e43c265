package token

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// PasswordLife is how long a registry password holds, as ECR's
// (GetAuthorizationToken: "valid for 12 hours").
const PasswordLife = 12 * time.Hour

// MaxPassword is the greatest length of a registry password: Docker's helpers
// and Windows's credential store cut off longer ones.
const MaxPassword = 2 << 10

// Claims say whom a registry password stands for.
type Claims struct {
	ID string `json:"j,omitempty"` // of the password itself; passwords of old have none
	// One of the next three, or Session, is whom it derives from and dies with.
	KeyID   string `json:"k,omitempty"` // access key
	Robot   string `json:"b,omitempty"` // robot key
	User    string `json:"n,omitempty"` // name of a user, whatever he showed
	Mark    string `json:"m,omitempty"` // what must still be true of that one, as the issuer chose
	Account string `json:"a"`
	Region  string `json:"r"` // in which it is good
	ARN     string `json:"p"`
	UserID  string `json:"u"`
	Issued  int64  `json:"i"` // seconds since 1970; set by Password
	Expires int64  `json:"x"` // seconds since 1970; set by Password
	// Session is the session of a role instead of KeyID and Mark, without its secret
	// and its times.
	Session *Session `json:"s,omitempty"`
	Scope   *Scope   `json:"c,omitempty"` // what it is narrowed to; nil for nothing
}

// Scope is what a password opens alone: repositories, actions and networks as the
// issuer chose to write them.
type Scope struct {
	Repositories []string       `json:"r,omitempty"`
	Actions      []string       `json:"a,omitempty"`
	Networks     []netip.Prefix `json:"n,omitempty"`
}

// Password makes a registry password for c, which holds from now on for life, 0
// meaning PasswordLife. It has letters, digits, '-' and '_' only. The error is an ErrTooLong
// for claims that are too long for MaxPassword, or a fault.
func (r *Ring) Password(c Claims, life time.Duration) (password string, expires time.Time, err error) {
	now := r.now()
	c.Issued, c.Expires = now.Unix(), now.Add(cmp.Or(life, PasswordLife)).Unix()
	body, err := c.bytes()
	if err != nil {
		return "", time.Time{}, fmt.Errorf("token: encode claims: %w", err)
	}
	head, key := r.head(usePassword)
	password = encode(append(append(head, body...), mac(key, head, body)...))
	if len(password) >= MaxPassword {
		return "", time.Time{}, fmt.Errorf("%w: registry password of %d characters, want less than %d", ErrTooLong, len(password), MaxPassword)
	}
	return password, time.Unix(c.Expires, 0).UTC(), nil
}

// bytes are packed where there is a session, which may carry policies.
func (c Claims) bytes() ([]byte, error) {
	if c.Session == nil {
		return json.Marshal(c)
	}
	return pack(c)
}

// OpenPassword returns what a registry password claims. The error is
// ErrMalformed, ErrForged, ErrExpired or ErrNotYet.
func (r *Ring) OpenPassword(password string) (Claims, error) {
	head, rest, key, err := r.open(usePassword, password, MaxPassword)
	if err != nil {
		return Claims{}, err
	}
	if len(rest) < sha256.Size {
		return Claims{}, ErrMalformed
	}
	body, sum := rest[:len(rest)-sha256.Size], rest[len(rest)-sha256.Size:]
	if !hmac.Equal(mac(key, head, body), sum) {
		return Claims{}, ErrForged
	}
	var c Claims
	if err := unpack(body, &c); err != nil {
		return Claims{}, ErrMalformed
	}
	if err := r.CheckLife(c); err != nil {
		return Claims{}, err
	}
	return c, nil
}

// CheckLife says whether a password that was opened holds now. The error is ErrExpired
// or ErrNotYet.
func (r *Ring) CheckLife(c Claims) error { return r.checkTimes(c.Issued, c.Expires) }
