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

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/shell"
)

func newEnv() *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Print what a shell needs to use the server with AWS's tools",
		Long: `Print what a shell needs to use the server with AWS's tools:

    eval "$(berth env)"

The key is that of a server for development, the root pair of the environment,
or else one that is made for this purpose once and shown by "berth key list".`,
		Args: withUsage(cobra.NoArgs),
	}
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		var e admin.Environment
		err := withKeeper(c.Context(), src, func(k admin.Keeper, running bool) (err error) {
			e, err = k.Environment(c.Context())
			if err == nil && !running {
				fmt.Fprintf(c.ErrOrStderr(), "# No server is running; this holds for one that listens as configured, on %s.\n", e.Endpoint)
			}
			return err
		})
		if err != nil {
			_, werr := io.WriteString(c.OutOrStdout(), shell.Nowhere)
			return errors.Join(err, werr)
		}
		return printEnv(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), e)
	}
	return c
}

func printEnv(ctx context.Context, out, errOut io.Writer, e admin.Environment) error {
	text := shell.Environment{Endpoint: e.Endpoint, Region: e.Region, KeyID: e.Key.ID, Secret: e.Key.Secret.Reveal()}.Exports(os.Environ())
	if cli, old := oldCLI(ctx); old {
		text += shell.AWSFunction
		fmt.Fprintf(errOut, "# %s does not know AWS_ENDPOINT_URL, so that \"aws\" is now a shell function that adds --endpoint-url.\n"+
			"# What calls aws without this shell or bash does not see it: a newer one (1.29, 2.13) is safer.\n", cli)
	}
	_, err := io.WriteString(out, text)
	return err
}

// oldCLI says whether there is an aws that does not know AWS_ENDPOINT_URL, and
// what it calls itself.
func oldCLI(ctx context.Context) (name string, old bool) {
	path, err := exec.LookPath("aws")
	if err != nil {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// The first ones print their version to the standard error.
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	name, _, _ = strings.Cut(string(out), " ")
	if err != nil || !strings.HasPrefix(name, "aws-cli/") {
		name = path
	}
	return name, !shell.KnowsEndpointURL(string(out))
}
