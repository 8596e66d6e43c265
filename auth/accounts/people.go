package accounts

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// ErrBadPassword says that a name and a password do not go together, or that the
// user is disabled or has none.
var ErrBadPassword = errors.New("accounts: bad name or password")

// The parameters of argon2id (RFC 9106, section 4, second choice, with the memory
// of OWASP's password storage cheat sheet: 19 MiB, two passes, one lane).
const (
	argonMemory = 19 << 10 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonSalt   = 16
	argonKey    = 32
	argonPrefix = "$argon2id$v=19$m=19456,t=2,p=1$"
)

// The least and the most characters of a person's password.
const (
	minPassword = 8
	maxPassword = 128
)

// hashIfAny is "" for no password.
func hashIfAny(password Secret) (string, error) {
	plain := password.Reveal()
	if plain == "" {
		return "", nil
	}
	if n := utf8.RuneCountInString(plain); n < minPassword || n > maxPassword || !utf8.ValidString(plain) {
		return "", invalid("a password has %d to %d characters", minPassword, maxPassword)
	}
	salt := make([]byte, argonSalt)
	rand.Read(salt) // does not fail: crypto/rand
	return hashWith(plain, salt), nil
}

// HashPassword is what a declaration has in place of a password, in the PHC string
// format. The error is ErrInvalid for one that is too short or too long.
func HashPassword(password Secret) (string, error) {
	if password.Reveal() == "" {
		return "", invalid("a password has %d to %d characters", minPassword, maxPassword)
	}
	return hashIfAny(password)
}

func hashWith(plain string, salt []byte) string {
	key := argon2.IDKey([]byte(plain), salt, argonPasses, argonMemory, argonLanes, argonKey)
	return argonPrefix + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(key)
}

// noHash is what is compared with where there is no hash, so that it takes as long
// to refuse a name that is not there as a wrong password. Nothing hashes to it.
var noHash = argonPrefix + base64.RawStdEncoding.EncodeToString(make([]byte, argonSalt)) + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, argonKey))

// checkHash refuses what hashWith did not write, so that a declaration cannot ask
// for more memory or time than one password may cost.
func checkHash(hash string) error {
	rest, ok := strings.CutPrefix(hash, argonPrefix)
	salt, key, two := strings.Cut(rest, "$")
	_, err1 := base64.RawStdEncoding.DecodeString(salt)
	_, err2 := base64.RawStdEncoding.DecodeString(key)
	if !ok || !two || err1 != nil || err2 != nil {
		return invalid("a password hash begins with %s", argonPrefix)
	}
	return nil
}

func matches(hash, plain string) bool {
	salt, _, _ := strings.Cut(strings.TrimPrefix(hash, argonPrefix), "$")
	raw, err := base64.RawStdEncoding.DecodeString(salt)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(hashWith(plain, raw)), []byte(hash)) == 1
}

// CheckPassword returns the user who has a password. It takes some tens of
// milliseconds and 19 MiB, as long for a name that is not there: the caller bounds
// how often. The error is ErrBadPassword or a fault.
func (s *Store) CheckPassword(ctx context.Context, account, name string, password Secret) (User, error) {
	var row userRow
	err := s.view(ctx, func(b book) (err error) {
		row, err = b.user(account, name)
		return err
	})
	if err != nil && !errors.Is(err, ErrNoUser) {
		return User{}, fmt.Errorf("look up user: %w", err)
	}
	hash := row.Password
	if hash == "" {
		hash = noHash
	}
	if !matches(hash, password.Reveal()) || row.Password == "" || row.Disabled {
		return User{}, ErrBadPassword
	}
	return s.asUser(account, name, row), nil
}
