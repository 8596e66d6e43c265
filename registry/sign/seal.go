package sign

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// errSealed says that a key in the index does not open.
var errSealed = errors.New("its key in the index does not open: it was sealed with another master key, or is damaged")

// sealer encrypts private keys for the index, as package accounts does secrets: what it
// writes begins with the id of its own key, and holds under one name only.
type sealer struct {
	id   []byte
	aead cipher.AEAD
}

func newSealer(key []byte) (*sealer, error) {
	if len(key) < 32 {
		return nil, fmt.Errorf("sign: sealing key of %d bytes, want at least 32", len(key))
	}
	id, err := hkdf.Key(sha256.New, key, nil, "berth signing key id", 4)
	if err != nil {
		return nil, fmt.Errorf("sign: derive the key id: %w", err)
	}
	secrets, err := hkdf.Key(sha256.New, key, nil, "berth signing secrets", 32)
	if err != nil {
		return nil, fmt.Errorf("sign: derive a key: %w", err)
	}
	block, err := aes.NewCipher(secrets)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return &sealer{id, aead}, nil
}

func (s *sealer) sealKey(name string, key crypto.PrivateKey) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return s.aead.Seal(bytes.Clone(s.id), nil, plain, []byte(name)), nil
}

// openKey returns the key in a row, or errSealed.
func (s *sealer) openKey(name string, sealed []byte) (crypto.PrivateKey, error) {
	rest, ok := bytes.CutPrefix(sealed, s.id)
	if !ok {
		return nil, errSealed
	}
	plain, err := s.aead.Open(nil, nil, rest, []byte(name))
	if err != nil {
		return nil, errSealed
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, errSealed
	}
	return key, nil
}
