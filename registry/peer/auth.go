package peer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Credentials log in at a registry. A value may be used side by side.
type Credentials interface {
	// Login returns the user and his password, or another secret that serves as
	// one. It is called whenever they are shown anew, so it keeps what is costly to
	// get until that ends. The user "<token>" means that the secret is an identity
	// token (docker's credential helpers have that name for it).
	Login(ctx context.Context) (user string, secret accounts.Secret, err error)
}

// forgetful are Credentials that keep what they got. A registry that does not take
// it has them get it anew.
type forgetful interface{ Forget() }

// authorised sends a request with what is known to be wanted. When the registry
// itself wants something else it is sent once more with that, and never a third
// time.
func (s *sender) authorised(req *http.Request) (*http.Response, error) {
	if !s.own(req.URL) {
		return s.client.Do(req)
	}
	scopes := auth.GetAllScopesForHost(req.Context(), s.base.Host)
	before, err := s.known(req.Context(), scopes)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	answer, err := s.client.Do(with(req, before))
	if err != nil || answer.StatusCode != http.StatusUnauthorized || !s.own(answer.Request.URL) {
		return answer, err
	}
	wanted, ok := choose(answer.Header.Values("Www-Authenticate"))
	if !ok {
		return answer, nil
	}
	proof, err := s.prove(req.Context(), wanted, scopes, before)
	if err != nil {
		_ = answer.Body.Close() // it has said what it had to
		return nil, err
	}
	if proof == "" || proof == before || !rewind(req) {
		return answer, nil
	}
	if err := answer.Body.Close(); err != nil {
		return nil, err
	}
	return s.client.Do(with(req, proof))
}

// with is the request with what proves who asks.
func with(req *http.Request, proof string) *http.Request {
	if proof == "" {
		return req
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", proof)
	return req
}

// known is what proves who asks, from what was wanted before; "" for nothing.
func (s *sender) known(ctx context.Context, scopes []string) (string, error) {
	s.mu.Lock()
	basic, kept := s.basic, s.tokens[strings.Join(scopes, " ")]
	s.mu.Unlock()
	if basic {
		return s.password(ctx)
	}
	if kept == nil {
		return "", nil
	}
	return kept.valid(s.now()), nil
}

// prove answers a challenge. What is "before" was just refused.
func (s *sender) prove(ctx context.Context, c challenge, scopes []string, before string) (string, error) {
	if c.scheme == "bearer" {
		return s.token(ctx, c, scopes, before)
	}
	s.mu.Lock()
	s.basic = s.credentials != nil
	s.mu.Unlock()
	if f, ok := s.credentials.(forgetful); ok && before != "" {
		f.Forget()
	}
	return s.password(ctx)
}

// password is the credentials as such, "" if there are none.
func (s *sender) password(ctx context.Context) (string, error) {
	user, secret, err := s.login(ctx)
	if err != nil || user == "" {
		return "", err
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret.Reveal()))
	s.conceal(secret.Reveal(), encoded)
	return "Basic " + encoded, nil
}

// login asks the credentials. Without any the user is "".
func (s *sender) login(ctx context.Context) (string, accounts.Secret, error) {
	if s.credentials == nil {
		return "", accounts.Secret{}, nil
	}
	user, secret, err := s.credentials.Login(ctx)
	if err != nil && !errors.As(err, new(*Error)) && ctx.Err() == nil {
		err = &Error{Host: s.base.Host, Message: line("its credentials: " + err.Error()), cause: fmt.Errorf("%w: %w", ErrDenied, err)}
	}
	return user, secret, err
}

// conceal notes what must stand in no text.
func (s *sender) conceal(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" && !slices.Contains(s.shown, secret) {
			s.shown = append(s.shown, secret)
		}
	}
	s.shown = s.shown[max(0, len(s.shown)-maxShown):]
}

// maxShown bounds how many secrets are remembered to be hidden.
const maxShown = 64

// hide is text of the registry's without what was shown to it.
func (s *sender) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.shown {
		text = strings.ReplaceAll(text, secret, "[secret]")
	}
	return text
}

// slot is the token for some scopes.
type slot struct {
	asking chan struct{} // has a value while somebody asks for the token, for whom others wait

	mu    sync.Mutex
	proof string
	until time.Time
}

// valid is the token, if it has not ended.
func (s *slot) valid(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !now.Before(s.until) {
		return ""
	}
	return s.proof
}

func (s *slot) set(proof string, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proof, s.until = proof, until
}

// maxSlots bounds how many tokens are kept.
const maxSlots = 1000

func (s *sender) slot(scopes string) *slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kept, ok := s.tokens[scopes]; ok {
		return kept
	}
	if len(s.tokens) >= maxSlots {
		clear(s.tokens)
	}
	made := &slot{asking: make(chan struct{}, 1)}
	s.tokens[scopes] = made
	return made
}

// token is that of a token service for the scopes of the request and of the
// challenge. Of requests side by side one asks for it.
func (s *sender) token(ctx context.Context, c challenge, scopes []string, before string) (string, error) {
	kept := s.slot(strings.Join(scopes, " "))
	select {
	case kept.asking <- struct{}{}:
		defer func() { <-kept.asking }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if proof := kept.valid(s.now()); proof != "" && proof != before {
		return proof, nil // another has got it meanwhile
	}
	all := auth.CleanScopes(append(slices.Clone(scopes), strings.Fields(c.params["scope"])...))
	token, life, err := s.ask(ctx, c, all)
	if err != nil {
		return "", err
	}
	s.conceal(token)
	proof := "Bearer " + token
	kept.set(proof, s.now().Add(life))
	return proof, nil
}
