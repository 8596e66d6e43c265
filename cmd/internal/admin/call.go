package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Call is something that commands ask of a keeper about identities: a question of
// type Q, which has an answer of type A. The zero Call asks nothing.
type Call[Q, A any] struct{ name string }

// Ask puts a question to a keeper.
func (c Call[Q, A]) Ask(ctx context.Context, k Keeper, q Q) (a A, err error) {
	question, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	answer, err := k.Call(ctx, c.name, question)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return a, fmt.Errorf("read the answer to %s: %w", c.name, err)
	}
	return a, nil
}

// ErrNoCall says that a keeper does not know a call: it is of another version.
var ErrNoCall = errors.New("the server does not know this call; is it of another version?")

// answers are calls by name, each with who answers it.
type answers map[string]func(context.Context, []byte) (any, error)

// answered enters a call.
func answered[Q, A any](all answers, c Call[Q, A], fn func(context.Context, Q) (A, error)) {
	all[c.name] = func(ctx context.Context, question []byte) (any, error) {
		var q Q
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, fmt.Errorf("read the question of %s: %w", c.name, err)
		}
		a, err := fn(ctx, q)
		if about, ok := any(q).(subject); err != nil && ok && about.subject() != "" {
			err = fmt.Errorf("%s: %w", about.subject(), err)
		}
		return a, err
	}
}

// subject is a question that can say what it is about.
type subject interface{ subject() string }

// done enters a call that has nothing to say when it is done.
func done[Q any](all answers, c Call[Q, None], fn func(context.Context, Q) error) {
	answered(all, c, func(ctx context.Context, q Q) (None, error) { return None{}, fn(ctx, q) })
}

// call answers one question.
func (a answers) call(ctx context.Context, name string, question []byte) ([]byte, error) {
	fn, ok := a[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrNoCall)
	}
	answer, err := fn(ctx, question)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// Changes says whether a call changes anything that a record should tell of, or gives
// out credentials. A hold that is renewed is the one that it was.
func Changes(call string) bool {
	return !slices.ContainsFunc([]string{"list-", "show-", "explain", "renew-"}, func(verb string) bool { return strings.HasPrefix(call, verb) })
}

// Service is the service that records of a call name: "ecr" for what is about images
// and their store, else "iam".
func Service(call string) string {
	if slices.ContainsFunc([]string{"-trash", "-cache", "-gc", "-scrub", "-read-only", "-backup", "-replication"}, func(noun string) bool { return strings.HasSuffix(call, noun) }) {
		return "ecr"
	}
	return "iam"
}

// None is a question or an answer without content.
type None struct{}

// InAccount asks about an account; "" means the server's own.
type InAccount struct {
	Account string `json:"account,omitempty"`
}

// Named asks about something of an account by its name; "" means the server's own
// account.
type Named struct {
	Account string `json:"account,omitempty"`
	Name    string `json:"name"`
}

func (n Named) subject() string { return n.Name }

// ByID asks about something that has an id of its own.
type ByID struct {
	ID string `json:"id"`
}

func (b ByID) subject() string { return b.ID }

// Shown is a secret that crosses the socket once, from who made it to who asked for
// it. Unlike that of an accounts.Secret its JSON form is the secret itself; however
// it is printed or logged it hides.
type Shown struct{ accounts.Secret }

// Show makes a secret one that may cross the socket.
func Show(s accounts.Secret) Shown { return Shown{s} }

// MarshalJSON reveals the secret.
func (s Shown) MarshalJSON() ([]byte, error) { return json.Marshal(s.Reveal()) }

// MarshalText hides the secret from encoders other than JSON's.
func (s Shown) MarshalText() ([]byte, error) { return s.Secret.MarshalText() }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Shown) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("a secret is a string")
	}
	s.Secret = accounts.NewSecret(text)
	return nil
}

// IsZero says that there is no secret.
func (s Shown) IsZero() bool { return s.Reveal() == "" }

// Call implements Keeper.
func (c *Client) Call(ctx context.Context, name string, question []byte) ([]byte, error) {
	var answer json.RawMessage
	err := c.ask(ctx, http.MethodPost, "/calls/"+url.PathEscape(name), json.RawMessage(question), &answer)
	return answer, err
}

func (h handler) call(w http.ResponseWriter, r *http.Request) error {
	var question json.RawMessage
	if err := readJSON(r.Body, &question); err != nil {
		return err
	}
	answer, err := h.Call(r.Context(), r.PathValue("name"), question)
	if err == nil {
		writeJSON(w, http.StatusOK, json.RawMessage(answer))
	}
	return err
}
