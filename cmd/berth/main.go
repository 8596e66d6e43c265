// Berth is a container registry that the tools of Amazon ECR take for ECR. This
// package is its command line: flags and exit codes, nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version string

// What a command says by its exit code.
const (
	exitFailed = 1
	exitUsage  = 2
	// exitDamaged says that a backup was made and lacks what is damaged in the store, or
	// that a scrub was and something is.
	exitDamaged = 3
)

func main() {
	if helper := helperCalled(os.Args[0]); helper != nil {
		os.Exit(helper(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	return report(root.ExecuteContext(context.Background()), "berth", errOut)
}

// report prints the error of a program, if there is one, and is the exit code.
func report(err error, program string, w io.Writer) int {
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		complain(w, program, err)
		fmt.Fprintf(w, "Try '%s --help'.\n", program)
		return exitUsage
	}
	complain(w, program, err)
	if errors.As(err, new(damagedError)) {
		return exitDamaged
	}
	return exitFailed
}

// complain prints an error, each of its lines as one.
func complain(w io.Writer, program string, err error) {
	for line := range strings.Lines(err.Error()) {
		_, _ = fmt.Fprintf(w, "%s: %s\n", program, strings.TrimSuffix(line, "\n"))
	}
}

// usageError is a call that makes no sense, whatever the state of the server.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "berth",
		Short:         "A container registry of your own that Amazon ECR's tools take for ECR",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          withUsage(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		newServe(), newEnv(), newLogin(), newLogout(),
		newUser(), newGroup(), newRole(), newPolicy(), newProvider(), newKey(), newRobot(), newToken(), newExplain(),
		newCA(), newStatus(), newReload(), newReadOnly(), newHealthcheck(), newEvents(), newAudit(), newLifecycle(), newTrash(), newCache(), newReplicate(), newSigning(), newScan(), newGC(), newScrub(), newFsck(), newDoctor(), newRebuild(), newVersion(),
		newBackup(), newRestore(), newImport(), newExport(),
		newDu(), newBench(), newScanChild(),
	)
	return root
}

// withUsage makes the errors of a check of arguments those of usage.
func withUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// thisVersion is what the linker was told, else what Go knows of the source.
func thisVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
