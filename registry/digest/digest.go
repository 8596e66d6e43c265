// Package digest gives a [Digest] that can only come from parsing or from
// bytes, so whoever holds one holds a well-formed sha256 or sha512 digest.
//
// It is a thin shell over opencontainers/go-digest, whose own type is a bare
// string: JSON fills that unchecked, and its methods panic on what is not a
// digest.
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	godigest "github.com/opencontainers/go-digest"
)

// ErrInvalid says that a string is no digest that this registry takes.
var ErrInvalid = errors.New("invalid digest")

// Algorithm is a hash that digests are made with. The zero value is no
// algorithm.
type Algorithm string

// The algorithms that the OCI image specification registers.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// maxLength is the length of a sha512 digest, the longest.
const maxLength = len(SHA512) + len(":") + 2*sha512.Size

// ParseAlgorithm reads an algorithm's name, such as "sha512".
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", fmt.Errorf("%w: algorithm %.100q is neither sha256 nor sha512", ErrInvalid, s)
}

// New starts a hash. Its state can be kept and restored, since it implements
// encoding.BinaryMarshaler and encoding.BinaryUnmarshaler.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Digest names content by its hash. Digests are comparable; the zero value
// names nothing.
type Digest struct{ text string }

// Parse reads a digest such as "sha256:" and 64 lower-case hexadecimal
// characters. The error wraps ErrInvalid.
func Parse(s string) (Digest, error) {
	d, err := Of(godigest.Digest(s))
	if err != nil {
		return Digest{}, fmt.Errorf("%w: %.200q", ErrInvalid, s)
	}
	return d, nil
}

// Of takes a digest over from go-digest's type, checking it as Parse does.
func Of(d godigest.Digest) (Digest, error) {
	if isWell(string(d)) {
		return Digest{string(d)}, nil
	}
	if len(d) > maxLength { // or a long one would take long to check
		return Digest{}, fmt.Errorf("%w: %d characters", ErrInvalid, len(d))
	}
	if err := d.Validate(); err != nil {
		return Digest{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	_, err := ParseAlgorithm(d.Algorithm().String())
	return Digest{}, err
}

// isWell says whether a text is a digest of one of our algorithms. Every request has
// some, and go-digest takes a regular expression to each.
func isWell(text string) bool {
	name, encoded, _ := strings.Cut(text, ":")
	switch Algorithm(name) {
	case SHA256:
		return len(encoded) == 2*sha256.Size && isHex(encoded)
	case SHA512:
		return len(encoded) == 2*sha512.Size && isHex(encoded)
	}
	return false
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// FromBytes is the digest of b. The algorithm is SHA256 or SHA512.
func FromBytes(a Algorithm, b []byte) Digest {
	h := a.New()
	h.Write(b)
	return FromHash(a, h)
}

// FromHash is the digest of what was written to h, which a.New made.
func FromHash(a Algorithm, h hash.Hash) Digest {
	return Digest{string(a) + ":" + hex.EncodeToString(h.Sum(nil))}
}

// Algorithm is the hash that d was made with.
func (d Digest) Algorithm() Algorithm {
	name, _, _ := strings.Cut(d.text, ":")
	return Algorithm(name)
}

// Encoded is the hash in lower-case hexadecimal.
func (d Digest) Encoded() string {
	_, encoded, _ := strings.Cut(d.text, ":")
	return encoded
}

// IsZero says that d names nothing.
func (d Digest) IsZero() bool { return d.text == "" }

// Matches says whether b is the content that d names.
func (d Digest) Matches(b []byte) bool {
	return !d.IsZero() && FromBytes(d.Algorithm(), b) == d
}

// String is the digest as it is written, or "" for the zero value.
func (d Digest) String() string { return d.text }

// OCI is d in the type that the wire structs of image-spec use.
func (d Digest) OCI() godigest.Digest { return godigest.Digest(d.String()) }

// MarshalText writes d as String does, so a Digest is a JSON string.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote: a digest or, for the zero value,
// nothing.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	parsed, err := Parse(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}
