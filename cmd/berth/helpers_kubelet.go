package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/ecrlogin"
	"github.com/seed-78150930/berth/cmd/internal/kubelet"
	"github.com/seed-78150930/berth/cmd/internal/logins"
)

// runKubeletProvider answers Kubernetes' node agent. An error goes to the
// standard error, from where the agent logs it.
func runKubeletProvider(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	c := newKubeletProvider()
	c.SetArgs(args)
	c.SetIn(in)
	c.SetOut(out)
	c.SetErr(errOut)
	return report(c.ExecuteContext(ctx), kubeletProvider, errOut)
}

func newKubeletProvider() *cobra.Command {
	c := &cobra.Command{
		Use:   kubeletProvider,
		Short: "Answer Kubernetes' node agent, which asks for passwords of registries on the standard input",
		Args:  withUsage(cobra.NoArgs), SilenceUsage: true, SilenceErrors: true, Version: thisVersion(),
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	t := addTarget(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		req, err := kubelet.Read(c.InOrStdin())
		if err != nil {
			return err
		}
		token, err := t.tokenOf(c.Context(), req.Host())
		if err != nil {
			return fmt.Errorf("no password for %s: %w", req.Host(), err)
		}
		p := kubelet.Password{User: token.User, Secret: token.Password, Expires: token.Expires}
		return req.Answer(c.OutOrStdout(), p, time.Now())
	}
	return c
}

// tokenOf asks for a password of a host: as is remembered of it, unless
// something else is said by flags.
func (t *target) tokenOf(ctx context.Context, host string) (ecrlogin.Token, error) {
	l, by, err := t.remembered(ctx, host)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	client, err := ecrlogin.NewClient(l.CA)
	if err != nil {
		return ecrlogin.Token{}, err
	}
	return by.token(ctx, client, l)
}

func (t *target) remembered(ctx context.Context, host string) (l logins.Login, by asker, err error) {
	// The agent may run without a home folder, and then nothing is remembered.
	if store, err := logins.Open(); err == nil && t.saysNothing() {
		l, ok, err := store.Of(host)
		if err != nil {
			return l, by, err
		}
		if ok {
			by, err = keyOf(ctx, l)
			return l, by, err
		}
	}
	// The images that match are chosen by who sets the variables, too.
	t.endpoint = cmp.Or(t.endpoint, saidEndpoint())
	_, l, by, err = t.login(ctx, host)
	return l, by, err
}

// saysNothing says that no flag was given.
func (t *target) saysNothing() bool {
	return t.profile == "" && t.region == "" && t.endpoint == "" && t.registryID == "" && t.ca == "" && len(t.src.Flags) == 0
}
