package bench

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// login is how requests to a registry show who sends them: by a password each
// time, or by a token that a server beside the registry gives for it
// (distribution's specification of token authentication), or not at all.
type login struct {
	user     string // "" for nobody
	password accounts.Secret
	own      string       // Authorization by that password
	client   *http.Client // asks for tokens

	realm, service string // of the server of tokens; "" if there is none

	mu     sync.Mutex
	tokens map[string]bearer // by what they are for
}

// bearer is a token and when another is to be asked for.
type bearer struct {
	header string
	until  time.Time
}

// newLogin finds out from the answer to GET /v2/ how a registry wants to be
// spoken to.
func newLogin(t Target, client *http.Client, first response) (*login, error) {
	l := &login{user: t.User, password: t.Password, client: client, tokens: map[string]bearer{}}
	if l.user != "" {
		l.own = "Basic " + base64.StdEncoding.EncodeToString([]byte(l.user+":"+l.password.Reveal()))
	}
	switch {
	case first.status == http.StatusOK:
		// What need not be shown to read may be to write.
		return l, nil
	case first.status != http.StatusUnauthorized:
		return nil, &statusError{http.MethodGet, "/v2/", first.status, string(first.body)}
	}
	scheme, rest, _ := strings.Cut(first.challenge, " ")
	if strings.EqualFold(scheme, "Bearer") {
		said := parameters(rest)
		if l.realm, l.service = said["realm"], said["service"]; l.realm == "" {
			return nil, fmt.Errorf("the registry asks for a token and does not say where to get one: %.200q", first.challenge)
		}
		return l, nil
	}
	if l.user == "" {
		return nil, ErrNoLogin
	}
	return l, nil
}

var parameter = regexp.MustCompile(`([a-zA-Z]+)="([^"]*)"`)

// parameters are those of a challenge (RFC 9110, section 11.2).
func parameters(challenge string) map[string]string {
	all := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(challenge, -1) {
		all[strings.ToLower(m[1])] = m[2]
	}
	return all
}

// header is the value of the Authorization header of a request about some
// repositories; "" for none.
func (l *login) header(ctx context.Context, repos ...string) (string, error) {
	if l.realm == "" {
		return l.own, nil
	}
	scopes := make([]string, 0, len(repos))
	for _, r := range repos {
		scopes = append(scopes, "repository:"+r+":pull,push,delete")
	}
	return l.scoped(ctx, scopes...)
}

// catalog is header for a request to list repositories.
func (l *login) catalog(ctx context.Context) (string, error) {
	if l.realm == "" {
		return l.own, nil
	}
	return l.scoped(ctx, "registry:catalog:*")
}

// scoped is a token for some scopes, the last one while it holds.
func (l *login) scoped(ctx context.Context, scopes ...string) (string, error) {
	name := strings.Join(scopes, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	if t, ok := l.tokens[name]; ok && time.Now().Before(t.until) {
		return t.header, nil
	}
	t, err := l.ask(ctx, scopes)
	if err == nil {
		l.tokens[name] = t
	}
	return t.header, err
}

// ask asks for a token.
func (l *login) ask(ctx context.Context, scopes []string) (bearer, error) {
	u, err := url.Parse(l.realm)
	if err != nil {
		return bearer{}, fmt.Errorf("the server of tokens: %w", err)
	}
	q := u.Query()
	if l.service != "" {
		q.Set("service", l.service)
	}
	for _, s := range scopes {
		q.Add("scope", s)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return bearer{}, err
	}
	if l.user != "" {
		req.SetBasicAuth(l.user, l.password.Reveal())
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return bearer{}, fmt.Errorf("ask for a token: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, longestBody))
	if err != nil {
		return bearer{}, fmt.Errorf("ask for a token: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return bearer{}, fmt.Errorf("%s gives no token: %s", u.Host, resp.Status)
	}
	return readToken(text, time.Now())
}

// shortest is how long a token holds that does not say (distribution's
// specification of token authentication: expires_in).
const shortest = time.Minute

// readToken reads the answer of a server of tokens, of which either name may be
// used.
func readToken(text []byte, now time.Time) (bearer, error) {
	var said struct {
		Token     string  `json:"token"`
		Access    string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return bearer{}, fmt.Errorf("the answer of the server of tokens is no JSON: %w", err)
	}
	token := said.Token
	if token == "" {
		token = said.Access
	}
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return bearer{}, fmt.Errorf("the server of tokens answers without a token")
	}
	life := max(shortest, time.Duration(said.ExpiresIn)*time.Second)
	return bearer{"Bearer " + token, now.Add(life * 3 / 4)}, nil
}
