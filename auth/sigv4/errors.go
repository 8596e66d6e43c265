package sigv4

import "fmt"

// Kind says what sort of refusal an Error is.
type Kind int

// The kinds of refusal. AWS's name for each differs from protocol to protocol.
const (
	Missing      Kind = iota + 1 // no credentials at all
	Incomplete                   // credentials that cannot be read, or two sets of them
	Invalid                      // credentials that do not fit the request, its time or the secret
	OtherService                 // Invalid, because the scope names another service
)

// Error is a refusal of a signature. Its text is AWS's where one is known, and
// holds nothing secret.
type Error struct {
	Kind Kind
	Msg  string
}

// Error implements error.
func (e *Error) Error() string { return e.Msg }

func refuse(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}
