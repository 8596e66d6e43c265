package peer

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/remote"
)

// challenge is one way of saying who one is that an answer offers (RFC 9110,
// section 11.6.1).
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// choose is the first challenge that can be answered here; a token before a
// password.
func choose(headers []string) (challenge, bool) {
	var all []challenge
	for _, h := range headers {
		all = append(all, parseChallenges(h)...)
	}
	for _, scheme := range []string{"bearer", "basic"} {
		if i := slices.IndexFunc(all, func(c challenge) bool { return c.scheme == scheme }); i >= 0 {
			return all[i], true
		}
	}
	return challenge{}, false
}

// parseChallenges reads a header. What it cannot read ends it.
func parseChallenges(text string) []challenge {
	var all []challenge
	for {
		text = strings.TrimLeft(text, " \t,")
		word, rest := cutToken(text)
		if word == "" {
			return all
		}
		value, after, ok := cutValue(rest)
		switch {
		case !ok:
			all = append(all, challenge{strings.ToLower(word), map[string]string{}})
			text = rest
		case len(all) == 0:
			return nil
		default:
			all[len(all)-1].params[strings.ToLower(word)] = value
			text = after
		}
	}
}

// cutToken is the token that a text begins with (RFC 9110, section 5.6.2).
func cutToken(text string) (token, rest string) {
	end := strings.IndexFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
	if end < 0 {
		end = len(text)
	}
	return text[:end], text[end:]
}

// cutValue is the value behind a parameter's name, if it is one.
func cutValue(text string) (value, rest string, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimLeft(text, " \t"), "=")
	if !ok {
		return "", "", false
	}
	text = strings.TrimLeft(text, " \t")
	if !strings.HasPrefix(text, `"`) {
		value, rest = cutToken(text)
		return value, rest, true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return b.String(), "", true
			}
		}
		b.WriteByte(text[i])
	}
	return b.String(), "", true
}

// identity is the user of an identity token.
const identity = "<token>"

// ask asks the token service of a challenge for a token, and how long it holds. The
// service sees the credentials if it is bound to the registry. One that is not is
// asked by nobody who has any: it could give a token of its own choice.
func (s *sender) ask(ctx context.Context, c challenge, scopes []string) (string, time.Duration, error) {
	realm, err := s.realm(c.params["realm"])
	if err != nil {
		return "", 0, err
	}
	user, secret, err := s.login(ctx)
	if err != nil {
		return "", 0, err
	}
	s.conceal(secret.Reveal())
	fields := url.Values{"service": {c.params["service"]}, "scope": scopes}
	if user == identity {
		fields.Set("refresh_token", secret.Reveal())
		return s.exchange(tokenForm(ctx, realm, fields))
	}
	req, err := tokenQuery(ctx, realm, fields)
	if err == nil && user != "" {
		req.SetBasicAuth(user, secret.Reveal())
	}
	return s.exchange(req, err)
}

// realm is the address of a token service that may be asked.
func (s *sender) realm(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, s.denied("its token service has no address: %.200q", text)
	}
	if u.Scheme == "http" && s.base.Scheme == "https" {
		return nil, s.denied("its token service %s has no TLS, as the registry has", u.Host)
	}
	if s.credentials != nil && !s.bound(u) {
		return nil, s.denied("its token service %s is not bound to it: the credentials are not sent there", u.Host)
	}
	return u, nil
}

// bound says whether a token service may see the credentials.
func (s *sender) bound(realm *url.URL) bool {
	return slices.ContainsFunc(append([]string{s.base.Host}, s.realms...), func(host string) bool {
		return remote.SameOrigin(&url.URL{Scheme: realm.Scheme, Host: host}, realm)
	})
}

// tokenQuery is a request as distribution's specification of tokens has it.
func tokenQuery(ctx context.Context, realm *url.URL, fields url.Values) (*http.Request, error) {
	u := *realm
	q := u.Query()
	for name, values := range fields {
		for _, v := range values {
			if v != "" {
				q.Add(name, v)
			}
		}
	}
	u.RawQuery = q.Encode()
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

// tokenForm is a request for a token by an identity token, as distribution's
// specification of OAuth2 has it. Its body is never sent twice.
func tokenForm(ctx context.Context, realm *url.URL, fields url.Values) (*http.Request, error) {
	fields.Set("grant_type", "refresh_token")
	fields.Set("client_id", "berth")
	fields.Set("scope", strings.Join(fields["scope"], " "))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(fields.Encode()))
	if err == nil {
		req.GetBody = nil
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, err
}

const (
	maxTokenAnswer = 128 << 10
	tokenTime      = 30 * time.Second
	usualLife      = time.Minute // of a token that does not say (distribution's specification of tokens)
	maxLife        = time.Hour
	lifeMargin     = 10 * time.Second
)

// exchange sends a request for a token.
func (s *sender) exchange(req *http.Request, err error) (string, time.Duration, error) {
	if err != nil {
		return "", 0, s.denied("its token service cannot be asked")
	}
	ctx, cancel := context.WithTimeoutCause(req.Context(), tokenTime, errTime)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", "berth")
	answer, err := s.client.Do(req)
	if err != nil {
		return "", 0, failed(req, err)
	}
	if answer.StatusCode != http.StatusOK {
		e := s.refusal(answer)
		if f, ok := s.credentials.(forgetful); ok && e.Status == http.StatusUnauthorized {
			f.Forget()
		}
		return "", 0, e
	}
	defer answer.Body.Close()
	body, err := remote.ReadAll(answer.Body, maxTokenAnswer)
	if err != nil {
		return "", 0, failed(req, err)
	}
	return s.readToken(body)
}

// readToken reads an answer. Nothing of it is shown.
func (s *sender) readToken(body []byte) (string, time.Duration, error) {
	var said struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return "", 0, wrong(s.base.Host, "its token service answers no JSON")
	}
	token := cmp.Or(said.Token, said.AccessToken)
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", 0, wrong(s.base.Host, "its token service gives no token")
	}
	life := usualLife
	if said.ExpiresIn > 0 {
		life = time.Duration(min(said.ExpiresIn, maxLife.Seconds()) * float64(time.Second))
	}
	return token, max(life-lifeMargin, life/2), nil
}

// denied is an error that asking again does not mend.
func (s *sender) denied(format string, args ...any) error {
	e := &Error{Host: s.base.Host, Message: line(fmt.Sprintf(format, args...)), cause: ErrDenied}
	s.log.Warn("a registry is not logged in at", "host", e.Host, "reason", e.Message)
	return e
}
