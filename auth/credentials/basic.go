package credentials

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
)

// Forms says what Basic takes beside registry passwords.
type Forms struct {
	Keys   bool // an access key's id with its secret
	People bool // a user's name with the user's password
	Robots bool // a robot key's id with its secret
}

// SetForms puts other forms in force, from the next request on. At first there are
// none but registry passwords.
func (v *Verifier) SetForms(f Forms) { v.forms.Store(&f) }

// Basic verifies the user name and password of a Basic header: the user AWS with a
// registry password or, as Forms says, an access key's id or a robot key's with the
// secret, or the name of a user ("alice" in the server's own account, else
// "123456789012/alice") with a password. The error is ErrBadPassword whatever is wrong
// with them, also an ErrExpiredPassword; a *throttle.Exceeded after too many guesses; or
// a fault.
//
// The Principal's Region is the one that issued a registry password; others are good
// in all, and have "".
//
// How long it takes tells nothing of which users and keys there are: what was not made
// by this server is refused without a look-up, and a name that is not there takes as
// long as one that is.
func (v *Verifier) Basic(ctx context.Context, name, password string) (auth.Principal, error) {
	p, err := v.basic(ctx, name, password)
	if err != nil {
		return auth.Principal{}, v.noteGuess(ctx, name, err)
	}
	return p, nil
}

// BasicHeader is Basic for the value of an Authorization header; ok is false if it is
// none of Basic. One with a registry password that was right is known as it stands: a
// client sends it with each request. Only such texts are held, which end within hours
// and can all be made with the key that the server holds anyway.
func (v *Verifier) BasicHeader(ctx context.Context, header string) (p auth.Principal, ok bool, err error) {
	shown, known := v.headers.Known(header)
	if !known {
		name, password, ok := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
		if !ok {
			return auth.Principal{}, false, nil
		}
		if name != User {
			p, err = v.Basic(ctx, name, password)
			return p, true, err
		}
		shown, err = v.headers.Get(header, func() (shownPassword, error) { return v.look(ctx, password) })
	}
	if err == nil {
		p, err = v.inTime(shown)
	}
	if err != nil {
		return auth.Principal{}, true, v.noteGuess(ctx, User, err)
	}
	return p, true, nil
}

func (v *Verifier) basic(ctx context.Context, name, password string) (auth.Principal, error) {
	forms := *v.forms.Load()
	switch {
	case name == User:
		return v.open(ctx, password)
	case isRobotID(name):
		return allowed(forms.Robots, func() (auth.Principal, error) { return v.basicRobot(ctx, name, password) })
	case v.isKeyID(name):
		return allowed(forms.Keys, func() (auth.Principal, error) { return v.keyPair(ctx, name, password, "") })
	}
	return allowed(forms.People, func() (auth.Principal, error) { return v.basicPerson(ctx, name, password) })
}

func allowed(form bool, verify func() (auth.Principal, error)) (auth.Principal, error) {
	if !form {
		return auth.Principal{}, errGuess
	}
	p, err := verify()
	if errors.Is(err, errDead) || errors.Is(err, accounts.ErrBadPassword) {
		err = errGuess
	}
	return p, err
}

func isRobotID(name string) bool { return strings.HasPrefix(name, accounts.PrefixRobot) }

// isKeyID says whether a user name is meant as the id of an access key.
func (v *Verifier) isKeyID(name string) bool {
	return strings.HasPrefix(name, accounts.PrefixKey) && len(name) == 20 || v.accounts.IsStatic(name)
}

func (v *Verifier) basicRobot(ctx context.Context, id, secret string) (auth.Principal, error) {
	robot, u, err := v.accounts.CheckRobot(ctx, id, accounts.NewSecret(secret))
	return robotUser(robot, u, ""), err
}

func (v *Verifier) basicPerson(ctx context.Context, name, password string) (auth.Principal, error) {
	account, rest, ok := strings.Cut(name, "/")
	if !ok {
		account, rest = v.home, name
	}
	if u, ok := v.people.find(ctx, v.accounts, account, rest, password, v.now()); ok {
		return user(u, "", ""), nil
	}
	if err := v.people.enter(ctx); err != nil {
		return auth.Principal{}, err
	}
	defer v.people.leave()
	if err := v.blocked(ctx, name); err != nil { // asked here, or all that wait would be let through at once
		return auth.Principal{}, err
	}
	u, err := v.accounts.CheckPassword(ctx, account, rest, accounts.NewSecret(password))
	if err != nil {
		return auth.Principal{}, err
	}
	v.people.remember(u, password, v.now())
	return user(u, "", ""), nil
}

const (
	// hashesAtOnce bounds the memory and the processors that people's passwords take.
	hashesAtOnce = 2
	// rememberFor is how long a password that was right is known without its hash: a
	// pull shows it with each of its requests.
	rememberFor = time.Minute
	// maxRemembered bounds how many are.
	maxRemembered = 10_000
)

// people remembers passwords that were right a moment ago, by a keyed hash of name,
// password and the user's mark, so that what revokes the user ends them too.
type people struct {
	key    []byte
	places chan struct{}

	mu    sync.Mutex
	right map[[sha256.Size]byte]time.Time // until when
}

func newPeople() *people {
	p := &people{key: make([]byte, sha256.Size), places: make(chan struct{}, hashesAtOnce), right: map[[sha256.Size]byte]time.Time{}}
	rand.Read(p.key) // does not fail: crypto/rand
	return p
}

func (p *people) enter(ctx context.Context) error {
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *people) leave() { <-p.places }

func (p *people) sum(u accounts.User, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, p.key)
	for _, s := range []string{u.Account, u.Name, u.Mark, password} {
		n := len(s)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		h.Write([]byte(s))
	}
	h.Sum(sum[:0])
	return sum
}

// find returns the user if the password was right a moment ago. Whoever's password is
// not among those, because there is none or it is wrong, has to wait for its hash.
func (p *people) find(ctx context.Context, store *accounts.Store, account, name, password string, now time.Time) (accounts.User, bool) {
	u, err := store.User(ctx, account, name)
	if err != nil || u.Disabled || !u.HasPassword {
		return accounts.User{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return u, now.Before(p.right[p.sum(u, password)])
}

func (p *people) remember(u accounts.User, password string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.right) >= maxRemembered {
		clear(p.right)
	}
	p.right[p.sum(u, password)] = now.Add(rememberFor)
}
