package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// maxLink is the greatest length of a link's signature: room for a chain of roles.
const maxLink = 4 << 10

// Link is what the signature of a link to a layer covers: the thing, and the
// access key in whose name it is opened. It is good for reading alone, by GET
// and HEAD; the caller sees to that.
type Link struct {
	KeyID                               string // access key that signed it and that it dies with, or words of the issuer's for a role
	Mark                                string // what must still be true of that key, as the issuer chose
	Account, Region, Repository, Digest string
	Expires                             time.Time // to the second
}

// bytes writes l so that no two links are written alike.
func (l Link) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(l.Expires.Unix()))
	for _, s := range []string{l.KeyID, l.Mark, l.Account, l.Region, l.Repository, l.Digest, "GET,HEAD"} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// SignLink makes the signature of l. It names the access key in the clear.
func (r *Ring) SignLink(l Link) string {
	head, key := r.head(useLink)
	sum := mac(key, head, l.bytes())
	return encode(append(append(head, sum...), l.KeyID...))
}

// LinkKey returns the access key that a signature says it is by. It proves
// nothing. The error is ErrMalformed or ErrForged.
func (r *Ring) LinkKey(signature string) (keyID string, err error) {
	_, rest, _, err := r.open(useLink, signature, maxLink)
	if err != nil {
		return "", err
	}
	if len(rest) <= sha256.Size {
		return "", ErrMalformed
	}
	return string(rest[sha256.Size:]), nil
}

// VerifyLink checks the signature of l. The error is ErrMalformed, ErrForged
// or ErrExpired.
func (r *Ring) VerifyLink(l Link, signature string) error {
	head, rest, key, err := r.open(useLink, signature, maxLink)
	if err != nil {
		return err
	}
	if len(rest) <= sha256.Size || string(rest[sha256.Size:]) != l.KeyID {
		return ErrMalformed
	}
	if !hmac.Equal(mac(key, head, l.bytes()), rest[:sha256.Size]) {
		return ErrForged
	}
	if r.now().Unix() >= l.Expires.Unix() {
		return ErrExpired
	}
	return nil
}
