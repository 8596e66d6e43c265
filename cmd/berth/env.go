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
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/shell"
)

func newEnv() *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Print what a shell needs to use the server with AWS's tools",
		Long: `Print what a shell needs to use the server with AWS's tools:

    eval "$(berth env)"                                                   sh, bash, zsh
    berth env --shell fish | source                                       fish
    berth env --shell powershell | Out-String | Invoke-Expression         PowerShell
    berth env --shell github >>"$GITHUB_ENV"                              a step of GitHub Actions

The key is that of a server for development, the root pair of the environment,
or else one that is made for this purpose once and shown by "berth key list".`,
		Args: withUsage(cobra.NoArgs),
	}
	name := c.Flags().String("shell", "sh", "what is to read it: "+strings.Join(shell.Names(), ", "))
	src := addPlace(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		lang, ok := shell.Named(*name)
		if !ok {
			return usageError{fmt.Errorf("--shell: %q is none of %s", *name, strings.Join(shell.Names(), ", "))}
		}
		e, err := environment(c, src)
		if err != nil {
			_, werr := io.WriteString(c.OutOrStdout(), lang.Nowhere())
			return errors.Join(err, werr)
		}
		fmt.Fprint(c.ErrOrStderr(), lang.Remarks(e, os.Environ()))
		return printEnv(c, lang, e)
	}
	return c
}

// environment is what clients of the server on this machine need.
func environment(c *cobra.Command, src config.Sources) (shell.Environment, error) {
	var e admin.Environment
	err := withKeeper(c.Context(), src, func(k admin.Keeper, running bool) (err error) {
		e, err = k.Environment(c.Context())
		if err == nil && !running {
			fmt.Fprintf(c.ErrOrStderr(), "# No server is running; this holds for one that listens as configured, on %s.\n", e.Endpoint)
		}
		return err
	})
	return shell.Environment{Endpoint: e.Endpoint, Region: e.Region, KeyID: e.Key.ID, Secret: e.Key.Secret.Reveal(), CA: e.CA}, err
}

func printEnv(c *cobra.Command, lang shell.Language, e shell.Environment) error {
	text := lang.Exports(e, os.Environ())
	switch cli, old := oldCLI(c.Context()); {
	case old && lang.Function == "":
		fmt.Fprintf(c.ErrOrStderr(), "# %s does not know AWS_ENDPOINT_URL: give each call --endpoint-url \"$AWS_ENDPOINT_URL\", or have a newer one (1.29, 2.13).\n", cli)
	case old:
		text += lang.Function
		fmt.Fprintf(c.ErrOrStderr(), "# %s does not know AWS_ENDPOINT_URL, so that \"aws\" is now a shell function that adds --endpoint-url.\n"+
			"# What calls aws without this shell or bash does not see it: a newer one (1.29, 2.13) is safer.\n", cli)
	}
	_, err := io.WriteString(c.OutOrStdout(), text)
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
