package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/bench"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
	"github.com/seed-78150930/berth/registry/endpoint"
)

// benchTarget is what bench is told of the registry and of who measures it.
type benchTarget struct {
	*target
	user  string
	stdin bool
}

func addBenchTarget(c *cobra.Command) *benchTarget {
	b := &benchTarget{}
	c.Flags().StringVar(&b.user, "user", "", "user of a registry that knows no keys of AWS's")
	c.Flags().BoolVar(&b.stdin, "password-stdin", false, "read the password of --user from the standard input")
	b.target = addTarget(c)
	return b
}

// find is the registry that is meant, and what opens it.
func (b *benchTarget) find(c *cobra.Command, args []string) (bench.Target, error) {
	if b.stdin && b.user == "" {
		return bench.Target{}, usageError{errors.New("--password-stdin: whose password is it? --user names them")}
	}
	if len(args) == 0 {
		return b.ownServer(c.Context())
	}
	if _, _, err := parseRegistry(args[0]); err != nil {
		return bench.Target{}, err
	}
	if b.user != "" {
		password, err := readPassword(c, b.stdin)
		if err != nil {
			return bench.Target{}, err
		}
		return b.opened(c.Context(), args[0], b.user, password)
	}
	return b.byKey(c.Context(), args[0])
}

// ownServer is the server of the data folder.
func (b *benchTarget) ownServer(ctx context.Context) (bench.Target, error) {
	if b.user != "" {
		return bench.Target{}, usageError{errors.New("--user: of which registry? Give its address")}
	}
	st, err := b.status(ctx)
	if err != nil {
		return bench.Target{}, fmt.Errorf("%w (an address says which registry is meant)", err)
	}
	at, err := locate(b.src)
	if err != nil {
		return bench.Target{}, err
	}
	by, err := keyOfServer(ctx, at)
	if err != nil {
		return bench.Target{}, err
	}
	return b.entered(ctx, st.URL, by)
}

func (b *benchTarget) status(ctx context.Context) (admin.Status, error) {
	client, err := findServer(b.src)
	if err != nil {
		return admin.Status{}, err
	}
	return client.Status(ctx)
}

// byKey is the registry at an address, entered with a key of AWS's or of the
// server itself, or else with what Docker's configuration has.
func (b *benchTarget) byKey(ctx context.Context, address string) (bench.Target, error) {
	by, err := b.key(ctx, address)
	if err == nil {
		var t bench.Target
		if t, err = b.entered(ctx, address, by); err == nil {
			return t, nil
		}
	}
	var refused *ecrlogin.Refusal
	if b.mustBeECR(address) || errors.As(err, &refused) && refused.Code != "" {
		return bench.Target{}, err
	}
	return b.byDocker(ctx, address)
}

// mustBeECR says that what was asked for has no other way in than a key.
func (b *benchTarget) mustBeECR(address string) bool {
	_, host, _ := parseRegistry(address)
	return endpoint.ParseHost(host).Kind != endpoint.Other || b.profile != "" || b.endpoint != "" || len(b.src.Flags) > 0
}

// key is the key to enter a registry with: that of the server on this machine if
// that is the one, else the one that AWS's tools would take. What only the
// machine itself might have is looked for at names of Amazon's alone: elsewhere
// that takes seconds, and nobody answers.
func (b *benchTarget) key(ctx context.Context, address string) (asker, error) {
	if b.mustBeECR(address) {
		return chooseKey(ctx, b.src, b.profile)
	}
	if st, err := b.status(ctx); err == nil && isAt(st, address) {
		at, err := locate(b.src)
		if err != nil {
			return asker{}, err
		}
		return keyOfServer(ctx, at)
	}
	id, err := ecrlogin.Identify(ctx, "")
	if err == nil && id.Guessed {
		err = errNoCredentials
	}
	return asker{Identity: id}, err
}

// isAt says whether a server on this machine is the one at an address.
func isAt(st admin.Status, address string) bool {
	_, host, err := parseRegistry(address)
	if err != nil || !ecrlogin.IsLoopback((&url.URL{Host: host}).Hostname()) {
		return false
	}
	for _, l := range st.Listeners {
		if _, port, err := net.SplitHostPort(l.Address); err == nil && port == (&url.URL{Host: host}).Port() {
			return true
		}
	}
	return false
}

// entered is the registry and the API at an address, for who has a key.
func (b *benchTarget) entered(ctx context.Context, address string, by asker) (bench.Target, error) {
	host, l, err := b.loginBy(ctx, address, by)
	if err != nil {
		return bench.Target{}, err
	}
	client, err := ecrlogin.NewClient(l.CA)
	if err != nil {
		return bench.Target{}, err
	}
	token, err := by.token(ctx, client, l)
	if err != nil {
		return bench.Target{}, withAdvice(err, by)
	}
	if endpoint.ParseHost(host).Kind == endpoint.API {
		l.Registry = token.Registry // which has a name of its own
	}
	if l.Registry == "" {
		scheme, _, _ := parseRegistry(address) // was right above
		if l.Registry, err = findURL(ctx, l.CA, scheme, host); err != nil {
			return bench.Target{}, err
		}
	}
	return b.withProcess(ctx, bench.Target{
		Registry: bare(l.Registry), API: bare(l.Endpoint), CA: l.CA, User: token.User, Password: token.Password,
		Signer: ecrlogin.Signer{Credentials: by.Credentials, Region: l.Region},
	}, address), nil
}

func bare(address string) string { return strings.TrimSuffix(address, "/") }

// byDocker is the registry at an address, opened with what Docker's
// configuration has of it, or with nothing.
func (b *benchTarget) byDocker(ctx context.Context, address string) (bench.Target, error) {
	file, err := openDockerConfig()
	if err != nil {
		return bench.Target{}, err
	}
	user, password, err := file.Password(ctx, logins.Host(address))
	if err != nil {
		return bench.Target{}, err
	}
	return b.opened(ctx, address, user, password)
}

// opened is the registry at an address, without an API.
func (b *benchTarget) opened(ctx context.Context, address, user string, password accounts.Secret) (bench.Target, error) {
	scheme, host, err := parseRegistry(address)
	if err != nil {
		return bench.Target{}, err
	}
	ca, err := absolute(cmp.Or(b.ca, os.Getenv("AWS_CA_BUNDLE")))
	if err != nil {
		return bench.Target{}, err
	}
	at, err := findURL(ctx, ca, scheme, host)
	if err != nil {
		return bench.Target{}, err
	}
	return b.withProcess(ctx, bench.Target{Registry: at, CA: ca, User: user, Password: password}, address), nil
}

// withProcess adds what the server takes of this machine's processors, if it is
// the one of the data folder.
func (b *benchTarget) withProcess(ctx context.Context, t bench.Target, address string) bench.Target {
	if st, err := b.status(ctx); err == nil && isAt(st, address) {
		t.CPU = bench.CPUOf(st.PID)
	}
	return t
}
