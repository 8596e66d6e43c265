package accounts

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrOtherSeal says that secrets in the index were sealed with another key
// than the one given.
var ErrOtherSeal = errors.New("accounts: the secrets in the index are sealed with another key")

// sealer encrypts secrets for the index. What it writes begins with the id of
// its key, and holds under the key id of its row only, so that a row cannot be
// passed off as another's.
type sealer struct {
	id      []byte
	aead    cipher.AEAD
	markKey []byte
}

func newSealer(key []byte) (*sealer, error) {
	if len(key) < 32 {
		return nil, fmt.Errorf("accounts: sealing key of %d bytes, want at least 32", len(key))
	}
	s := &sealer{}
	var secrets []byte
	for _, d := range []struct {
		to   *[]byte
		what string
		n    int
	}{{&s.id, "key id", 4}, {&secrets, "secrets", 32}, {&s.markKey, "marks", 32}} {
		var err error
		if *d.to, err = hkdf.Key(sha256.New, key, nil, "berth accounts "+d.what, d.n); err != nil {
			return nil, fmt.Errorf("accounts: derive %s: %w", d.what, err)
		}
	}
	block, err := aes.NewCipher(secrets)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	if s.aead, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	return s, nil
}

func (s *sealer) seal(keyID string, secret Secret) []byte {
	out := append([]byte(nil), s.id...)
	return s.aead.Seal(out, nil, []byte(secret.Reveal()), []byte(keyID))
}

// open returns the secret in a row. Its failure is a fault of the store, not
// of whoever asks.
func (s *sealer) open(keyID string, sealed []byte) (Secret, error) {
	rest, ok := bytes.CutPrefix(sealed, s.id)
	if !ok {
		return Secret{}, ErrOtherSeal
	}
	plain, err := s.aead.Open(nil, nil, rest, []byte(keyID))
	if err != nil {
		return Secret{}, fmt.Errorf("accounts: the secret of access key %s does not open: %w", keyID, err)
	}
	return NewSecret(string(plain)), nil
}
