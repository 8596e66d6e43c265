package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/docker/docker-credential-helpers/credentials"

	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
)

// runDockerHelper answers docker, podman and others as their credential helper.
// An error goes to the standard output, where they look for it.
func runDockerHelper(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintf(errOut, "Usage: %s <get|list|store|erase|version>\n", dockerHelper)
		return exitUsage
	}
	if args[0] == credentials.ActionVersion || args[0] == "--version" || args[0] == "-v" {
		fmt.Fprintf(out, "%s (github.com/seed-78150930/berth) %s\n", dockerHelper, thisVersion())
		return 0
	}
	store, err := logins.Open()
	if err == nil {
		err = credentials.HandleCommand(helper{ctx, store, logins.OpenCache()}, args[0], in, out)
	}
	if err != nil {
		fmt.Fprintln(out, err)
		return exitFailed
	}
	return 0
}

// helper is the credential helper: for each remembered login it asks for
// passwords, and it keeps none that it is given.
type helper struct {
	ctx   context.Context // of the one command; the library's methods take none
	store logins.Store
	cache logins.Cache
}

var _ credentials.Helper = helper{}

// Get implements credentials.Helper.
func (h helper) Get(address string) (user, password string, err error) {
	host := logins.Host(address)
	l, ok, err := h.store.Of(host)
	if err != nil {
		return "", "", err
	}
	if !ok {
		return "", "", credentials.NewErrCredentialsNotFound()
	}
	t, err := h.password(host, l)
	if err != nil {
		return "", "", fmt.Errorf("%s: no password for %s: %w", dockerHelper, host, err)
	}
	return t.User, t.Password.Reveal(), nil
}

// password is the one that is kept, if it still opens the registry, which it
// does not once its key is revoked; else a new one.
func (h helper) password(host string, l logins.Login) (ecrlogin.Token, error) {
	client, err := ecrlogin.NewClient(l.CA)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	if t, ok := h.kept(client, host, l); ok {
		return t, nil
	}
	by, err := keyOf(h.ctx, l)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	t, err := by.token(h.ctx, client, l)
	if err != nil {
		return ecrlogin.Token{}, errors.Join(err, h.cache.Forget(host))
	}
	// Where nothing can be kept, each pull asks anew.
	_ = h.cache.Keep(host, l, logins.Password{User: t.User, Secret: t.Password, Expires: t.Expires})
	return t, nil
}

// kept is the password that was given last. Where nothing names a key, as in
// another shell than the one of the login, whose key it was does not matter.
func (h helper) kept(client *ecrlogin.Client, host string, l logins.Login) (ecrlogin.Token, bool) {
	p, ok := h.cache.Of(host, l, time.Now())
	if !ok && h.nobody(l) {
		p, ok = h.cache.Last(host, l, time.Now())
	}
	if !ok {
		return ecrlogin.Token{}, false
	}
	t := ecrlogin.Token{User: p.User, Password: p.Secret, Expires: p.Expires}
	opens, err := client.Opens(h.ctx, l.Registry, t)
	return t, err == nil && opens
}

// nobody says that neither the login nor anything else names a key.
func (h helper) nobody(l logins.Login) bool {
	if l.Server != nil || l.Profile != "" {
		return false
	}
	id, err := ecrlogin.Identify(h.ctx, "")
	return err == nil && id.Guessed
}

// List implements credentials.Helper.
func (h helper) List() (map[string]string, error) {
	all, err := h.store.All()
	users := make(map[string]string, len(all))
	for host := range all {
		users[host] = "AWS" // of every password of ECR's
	}
	return users, err
}

// Add implements credentials.Helper. `docker login` stores what it was given: of
// a host that is logged in to it is not needed; of another it would be lost,
// and somebody has to know.
func (h helper) Add(c *credentials.Credentials) error {
	host := logins.Host(c.ServerURL)
	if _, ok, err := h.store.Of(host); err != nil || ok {
		return err
	}
	return fmt.Errorf("%s keeps no passwords, it asks for them: berth login %s (or berth logout %[2]s, and docker keeps it itself)", dockerHelper, host)
}

// Delete implements credentials.Helper. After `docker logout` no password is
// asked for until `berth login` is run again.
func (h helper) Delete(address string) error {
	host := logins.Host(address)
	_, err := h.store.Forget(host)
	return errors.Join(err, h.cache.Forget(host))
}
