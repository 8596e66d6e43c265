package accounts

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a secret access key. However it is printed, logged or marshalled,
// it shows "[secret]"; only Reveal gives it away. The zero value is none.
type Secret struct {
	// A pointer, because fmt prints the unexported members of a struct that
	// holds a Secret without asking its methods.
	p *string
}

const hidden = "[secret]"

// NewSecret wraps a secret.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// String hides the secret.
func (s Secret) String() string { return hidden }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return hidden }

// Format hides the secret from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON hides the secret.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }

// MarshalText hides the secret from encoders other than JSON's.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
