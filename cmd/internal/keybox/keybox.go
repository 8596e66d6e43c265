// Package keybox encrypts the files that a backup must not show to whoever can read it:
// the master key of a store and the private keys of its certificates. The format is that of
// age (age-encryption.org), so that its tools open a box too.
package keybox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Files are the contents of files by their names, which are paths with slashes.
type Files map[string][]byte

// ErrLocked says that what was given does not open a box.
var ErrLocked = errors.New("the keys in the backup cannot be opened with this")

// maxSize bounds what is in a box.
const maxSize = 8 << 20

// Lock is what a box is closed with.
type Lock struct{ recipients []age.Recipient }

// Recipients closes a box for public keys of age, such as "age1…"; the holder of any of
// the private keys opens it.
func Recipients(keys ...string) (Lock, error) {
	var l Lock
	for _, key := range keys {
		all, err := age.ParseRecipients(strings.NewReader(key))
		if err != nil {
			return l, fmt.Errorf("the recipient %.80q: %w", key, err)
		}
		l.recipients = append(l.recipients, all...)
	}
	return l, nil
}

// Passphrase closes a box with a passphrase.
func Passphrase(text accounts.Secret) (Lock, error) {
	r, err := age.NewScryptRecipient(text.Reveal())
	if err != nil {
		return Lock{}, fmt.Errorf("the passphrase: %w", err)
	}
	return Lock{[]age.Recipient{r}}, nil
}

// Seal puts files into a box.
func (l Lock) Seal(files Files) ([]byte, error) {
	text, err := json.Marshal(files)
	if err != nil {
		return nil, err
	}
	var box bytes.Buffer
	w, err := age.Encrypt(&box, l.recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt keys: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("encrypt keys: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encrypt keys: %w", err)
	}
	return box.Bytes(), nil
}

// Opener is what a box is opened with.
type Opener struct{ identities []age.Identity }

// Identities opens boxes with private keys: the text of a file as age-keygen writes it.
func Identities(text accounts.Secret) (Opener, error) {
	ids, err := age.ParseIdentities(strings.NewReader(text.Reveal()))
	if err != nil {
		return Opener{}, errors.New("the identity file holds no private key of age") // the error might show it
	}
	return Opener{ids}, nil
}

// ByPassphrase opens boxes with a passphrase.
func ByPassphrase(text accounts.Secret) (Opener, error) {
	id, err := age.NewScryptIdentity(text.Reveal())
	if err != nil {
		return Opener{}, fmt.Errorf("the passphrase: %w", err)
	}
	return Opener{[]age.Identity{id}}, nil
}

// Open takes the files out of a box. Their names lead to no other place than below the one
// that they are put in. The error is ErrLocked if the box is for others.
func (o Opener) Open(box []byte) (Files, error) {
	r, err := age.Decrypt(bytes.NewReader(box), o.identities...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxSize))
	if err != nil {
		return nil, fmt.Errorf("read the keys in the backup: %w", err)
	}
	var files Files
	if err := json.Unmarshal(text, &files); err != nil {
		return nil, fmt.Errorf("read the keys in the backup: %w", err)
	}
	for name := range files {
		if !filepath.IsLocal(name) || strings.Contains(name, `\`) {
			return nil, fmt.Errorf("the keys in the backup have a file %q, which would lie elsewhere", name)
		}
	}
	return files, nil
}
