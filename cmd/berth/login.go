package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/dockerconfig"
	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/logins"
	"github.com/seed-78150930/berth/cmd/internal/shell"
)

func newLogin() *cobra.Command {
	var plain bool
	var links string
	c := &cobra.Command{
		Use:   "login HOST",
		Short: "Log docker, podman and skopeo in to a registry",
		Long: `Log docker, podman and skopeo in to a registry:

    berth login localhost:5000

The password is asked for with the key that every AWS tool would take (of the
environment, of a profile), or else with that of the server on this machine. It
ends after twelve hours, so Docker's configuration is told to ask for a new one
by docker-credential-berth, if that is on the PATH; else it gets the password.`,
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	t := addTarget(c)
	c.Flags().BoolVar(&plain, "password", false, "write the password itself to Docker's configuration, until it ends")
	c.Flags().StringVar(&links, "install-helpers", "", "first link docker-credential-berth and berth-credential-provider into this folder, which should be on the PATH")
	c.RunE = func(c *cobra.Command, args []string) error {
		if links != "" {
			if err := installHelpers(c.OutOrStdout(), c.ErrOrStderr(), links); err != nil {
				return err
			}
		}
		switch {
		case len(args) == 1:
			return logIn(c, t, args[0], plain)
		case links == "":
			return usageError{errors.New("login takes a host, such as localhost:5000")}
		}
		return nil
	}
	return c
}

// logIn logs in and says what was done. Nothing is written before the password
// has opened the registry.
func logIn(c *cobra.Command, t *target, address string, plain bool) error {
	host, l, by, err := t.login(c.Context(), address)
	if err != nil {
		return err
	}
	if l.Registry == "" {
		scheme, _, _ := parseRegistry(address) // was right above
		if l.Registry, err = findURL(c.Context(), l.CA, scheme, host); err != nil {
			return err
		}
	}
	token, err := provenToken(c.Context(), l, by)
	if err != nil {
		return withAdvice(err, by)
	}
	if _, err := exec.LookPath(dockerHelper); err != nil && !plain {
		plain = true
		sayHowToInstall(c.ErrOrStderr())
	}
	if l.CA != "" && strings.HasPrefix(l.Registry, "https:") {
		fmt.Fprintf(c.ErrOrStderr(), "The certificate of %s is trusted by %s: docker and others have to trust it too.\n", host, l.CA)
	}
	if plain {
		return logInUntil(c.Context(), c.OutOrStdout(), host, token)
	}
	return logInForGood(c.OutOrStdout(), host, l, token)
}

// provenToken asks for a password and tries it.
func provenToken(ctx context.Context, l logins.Login, by asker) (ecrlogin.Token, error) {
	client, err := ecrlogin.NewClient(l.CA)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	token, err := by.token(ctx, client, l)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	opens, err := client.Opens(ctx, l.Registry, token)
	if err == nil && !opens {
		err = fmt.Errorf("the password that %s gives does not open %s/v2/; is the one the API of the other?", l.Endpoint, l.Registry)
	}
	return token, err
}

// withAdvice adds to an error what a key that nobody knows may come from.
func withAdvice(err error, by asker) error {
	var refused *ecrlogin.Refusal
	if errors.As(err, &refused) && refused.Stranger() && by.server == nil {
		return fmt.Errorf("%w\nThe key is the one that AWS's tools take here. For that of a server on this machine: berth login --data FOLDER", err)
	}
	return err
}

// logInForGood has the credential helper asked from now on.
func logInForGood(w io.Writer, host string, l logins.Login, t ecrlogin.Token) error {
	store, err := logins.Open()
	if err != nil {
		return err
	}
	file, err := openDockerConfig()
	if err != nil {
		return err
	}
	if err := store.Put(host, l); err != nil {
		return err
	}
	// Without it the next pull asks again.
	_ = logins.OpenCache().Keep(host, l, logins.Password{User: t.User, Secret: t.Password, Expires: t.Expires})
	file.SetHelper(host, helperName)
	if err := file.Save(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Logged in to %s: docker, podman and skopeo ask %s for its passwords (%s).\n", host, dockerHelper, file.Path())
	return err
}

// logInUntil gives Docker the password itself, or the helper that keeps all of
// its passwords.
func logInUntil(ctx context.Context, w io.Writer, host string, t ecrlogin.Token) error {
	file, err := openDockerConfig()
	if err != nil {
		return err
	}
	where := file.Path()
	if keeper := file.Store(); keeper != "" && keeper != helperName {
		where = "docker-credential-" + keeper
		file.SetElsewhere(host)
		err = dockerconfig.StoreIn(ctx, keeper, host, t.User, t.Password.Reveal())
	} else {
		file.SetPassword(host, t.User, t.Password.Reveal())
	}
	if err := errors.Join(err, file.Save(), forgetLogin(host)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "Logged in to %s until %s; the password is in %s.\n", host, t.Expires.Format(time.RFC3339), where)
	return err
}

func openDockerConfig() (*dockerconfig.File, error) {
	path, err := dockerconfig.Path()
	if err != nil {
		return nil, err
	}
	return dockerconfig.Open(path)
}

// forgetLogin drops a remembered login and its password, if there are any.
func forgetLogin(host string) error {
	store, err := logins.Open()
	if err != nil {
		return err
	}
	_, err = store.Forget(host)
	return errors.Join(err, logins.OpenCache().Forget(host))
}

func newLogout() *cobra.Command {
	return &cobra.Command{
		Use:   "logout HOST",
		Short: "Undo a login",
		Args:  withUsage(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			_, host, err := parseRegistry(args[0])
			if err != nil {
				return err
			}
			return logOut(c.Context(), c.OutOrStdout(), host)
		},
	}
}

func logOut(ctx context.Context, w io.Writer, host string) error {
	file, err := openDockerConfig()
	if err != nil {
		return err
	}
	store, err := logins.Open()
	if err != nil {
		return err
	}
	_, known, err := store.Of(host)
	if err != nil {
		return err
	}
	there, err := logOutOfDocker(ctx, file, host)
	if err := errors.Join(err, forgetLogin(host)); err != nil {
		return err
	}
	said := "Logged out of %s.\n"
	if !there && !known {
		said = "Not logged in to %s.\n"
	}
	_, err = fmt.Fprintf(w, said, host)
	return err
}

// logOutOfDocker drops what Docker's configuration has of a host, and says
// whether there was anything.
func logOutOfDocker(ctx context.Context, file *dockerconfig.File, host string) (was bool, err error) {
	helper, keeper := file.Helper(host), file.Store()
	if helper != "" && helper != helperName {
		return false, fmt.Errorf("%s has docker-credential-%s asked for %s, which no login of berth's did", file.Path(), helper, host)
	}
	was = file.Forget(host)
	if was && helper == "" && keeper != "" && keeper != helperName {
		err = dockerconfig.EraseFrom(ctx, keeper, host)
	}
	return was, errors.Join(err, file.Save())
}

func sayHowToInstall(w io.Writer) {
	self, err := os.Executable()
	if err != nil {
		self = "berth"
	}
	fmt.Fprintf(w, "%s is not on the PATH, so docker is given a password that ends. For one that is renewed, log in again after\n"+
		"    berth login --install-helpers /usr/local/bin\nor\n    ln -s %s /usr/local/bin/%s\n", dockerHelper, shell.Quote(self), dockerHelper)
}
