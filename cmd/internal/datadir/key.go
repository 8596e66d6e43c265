package datadir

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// keySize is the length of the master key and of those derived from it.
const keySize = 32

// Key is a master key. What protects something is never the key itself but one
// derived from it for that purpose. It does not show itself when printed.
type Key struct {
	id     string
	secret [keySize]byte
}

// NewKey makes a random key.
func NewKey() Key {
	var k Key
	var id [4]byte
	rand.Read(id[:]) // does not fail: crypto/rand
	rand.Read(k.secret[:])
	k.id = hex.EncodeToString(id[:])
	return k
}

// Derive makes the key for a purpose, 32 bytes, always the same.
func (k Key) Derive(purpose string) []byte {
	key, err := hkdf.Expand(sha256.New, k.secret[:], "berth "+purpose, keySize)
	if err != nil {
		panic(err) // only for a length that HKDF cannot make
	}
	return key
}

// String names the key without showing it.
func (k Key) String() string { return "master key " + k.id }

// Format hides the secret from every verb of fmt.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, k.String()) }

// LogValue hides the secret from slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// loadKey reads the master key, and makes it in a folder that holds no data.
func (d *Dir) loadKey() (Key, error) {
	name := filepath.Join(d.path, keysFile)
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.makeKey(name)
	case err != nil:
		return Key{}, fmt.Errorf("read the master key: %w", err)
	}
	if err := ownerOnly(name, 0o600); err != nil {
		return Key{}, err
	}
	k, ok := parseKey(string(text))
	if !ok {
		return Key{}, fmt.Errorf("%s is damaged: it holds no master key; bring it back from a backup", name)
	}
	return k, nil
}

// ReadKey reads the master key of the data folder at a path, for those who only
// read there, beside the server that has the folder. The error is fs.ErrNotExist
// where there is none.
func ReadKey(path string) (Key, error) {
	name := filepath.Join(path, keysFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return Key{}, fmt.Errorf("read the master key: %w", err)
	}
	k, ok := parseKey(string(text))
	if !ok {
		return Key{}, fmt.Errorf("%s holds no master key", name)
	}
	return k, nil
}

func (d *Dir) makeKey(name string) (Key, error) {
	if _, err := os.Lstat(d.Index()); err == nil {
		return Key{}, fmt.Errorf("%s is missing, and the access keys in %s cannot be opened without it; bring it back from a backup",
			name, d.Index())
	}
	k := NewKey()
	return k, privatefile.WriteDurably(name, k.text())
}

func parseKey(text string) (Key, bool) {
	id, encoded, _ := strings.Cut(strings.TrimSpace(text), " ")
	secret, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(secret) != keySize || id == "" {
		return Key{}, false
	}
	return Key{id: id, secret: [keySize]byte(secret)}, true
}
