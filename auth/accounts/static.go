package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// Static is a key given from outside.
type Static struct {
	ID      string
	Secret  Secret
	Account string
}

// IsZero says that no key was given.
func (k Static) IsZero() bool { return k.ID == "" }

func (k Static) key() Key {
	return Key{ID: k.ID, Secret: k.Secret, Account: k.Account, Active: true, Static: true}
}

// ParseRootPair checks a root key as given by the environment: an id of 3 to
// 128 letters and digits and a secret of 8 to 128 characters. If neither is
// given the result is zero. The caller sets the account.
func ParseRootPair(id, secret string) (Static, error) {
	switch n := utf8.RuneCountInString(secret); {
	case id == "" && secret == "":
		return Static{}, nil
	case id == "":
		return Static{}, errors.New("a root secret access key is given without a root access key id")
	case secret == "":
		return Static{}, errors.New("a root access key id is given without a root secret access key")
	case !keySyntax.MatchString(id):
		return Static{}, errors.New("a root access key id has 3 to 128 letters and digits")
	case n < 8 || n > 128:
		return Static{}, errors.New("a root secret access key has 8 to 128 characters")
	}
	return Static{ID: id, Secret: NewSecret(secret)}, nil
}

// devKeys are those that test suites for AWS commonly use.
var devKeys = []Static{
	{ID: "test", Secret: NewSecret("test"), Account: "000000000000"},
	{ID: "testing", Secret: NewSecret("testing"), Account: "123456789012"},
}

// staticKey finds a key given from outside. With Options.Dev an account id is
// a key of its account.
func (s *Store) staticKey(id string) (Static, bool) {
	if k, ok := s.static[id]; ok {
		return k, true
	}
	if s.dev && isAccount(id) {
		return Static{ID: id, Secret: NewSecret("test"), Account: id}, true
	}
	return Static{}, false
}

// IsStatic says whether an id is that of a key given from outside.
func (s *Store) IsStatic(id string) bool {
	_, ok := s.staticKey(id)
	return ok
}

// Guessable says whether an id is that of a key whose secret somebody chose. Those that
// are made here are not to be guessed, those of a development server everybody knows.
func (s *Store) Guessable(id string) bool { return s.IsStatic(id) && !s.dev }

func (s *Store) hasStatic(account string) bool {
	if s.dev && isAccount(account) {
		return true
	}
	for _, k := range s.static {
		if k.Account == account {
			return true
		}
	}
	return false
}

// staticMark changes when a static key is given another secret under the same id.
func (s *Store) staticMark(k Static) string {
	h := hmac.New(sha256.New, s.seal.markKey)
	h.Write([]byte(k.ID + "\x00" + k.Secret.Reveal()))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}
