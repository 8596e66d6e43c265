package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-78150930/berth/cmd/internal/bench"
	"github.com/seed-78150930/berth/cmd/internal/config"
)

func newBench() *cobra.Command {
	o := bench.Defaults()
	var chosen []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "bench [URL]",
		Short: "Measure how fast a registry is",
		Long: `Measure how fast a registry is, any that speaks OCI's protocol or ECR's API:

    berth bench                                        the server that is found by its data folder
    berth bench http://localhost:5000 --scenarios push-image,pull-image --concurrency 32
    berth bench https://123456789012.dkr.ecr.eu-west-1.amazonaws.com --scenarios 'ecr-*' --json

It works in repositories of its own and removes them; what it cannot remove, it
names. The key is the one that "berth login" would take; a registry that gives no
password for it is opened by what Docker's configuration has, or by --user. The
exit code is 1 if anything failed.

Scenarios (NAME@N has N requests at once, in the place of --concurrency):
` + listOfScenarios(),
		Args: withUsage(cobra.MaximumNArgs(1)),
	}
	f := c.Flags()
	f.StringSliceVar(&chosen, "scenarios", nil, "what to measure, with commas; ecr-* is all that begin so (default: all)")
	f.IntVar(&o.Concurrency, "concurrency", 0, "requests at once (default: 16, and 1 for large layers)")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long each scenario takes")
	f.Int64Var(&o.Count, "count", 0, "operations of each scenario, in the place of a duration")
	f.IntVar(&o.Layers, "layers", o.Layers, "layers of an image")
	f.Var(sizeFlag{&o.LayerSize}, "layer-size", "size of each of them")
	f.Var(sizeFlag{&o.LargeSize}, "large-size", "size of a large layer")
	f.IntVar(&o.Images, "images", o.Images, "images that are put there to be read")
	f.IntVar(&o.Tags, "tags", o.Tags, "tags of the repository whose tags or images are listed")
	f.IntVar(&o.Repositories, "repositories", o.Repositories, "repositories that are put there to be listed")
	f.BoolVar(&o.Monolithic, "monolithic", false, "upload with POST and PUT as containerd does, not with POST, PATCH and PUT as docker does")
	f.StringVar(&o.Prefix, "prefix", o.Prefix, "folder of the repositories")
	f.BoolVar(&o.Keep, "keep", false, "remove nothing")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	b := addBenchTarget(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var err error
		if o.Scenarios, err = bench.Choose(chosen); err != nil {
			return usageError{fmt.Errorf("--scenarios: %w", err)}
		}
		return measure(c, b, args, o, asJSON)
	}
	return c
}

// listOfScenarios is a line for each.
func listOfScenarios() string {
	var b strings.Builder
	for _, name := range bench.Names() {
		fmt.Fprintf(&b, "  %-15s %s\n", name, bench.Describe(name))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// sizeFlag is a flag that takes a size such as 64KiB.
type sizeFlag struct{ bytes *int64 }

func (f sizeFlag) String() string {
	if f.bytes == nil { // pflag asks the zero value
		return ""
	}
	return config.Size(*f.bytes).String()
}

func (f sizeFlag) Type() string { return "size" }

func (f sizeFlag) Set(text string) error {
	size, err := config.ParseSize(text)
	*f.bytes = int64(size)
	return err
}

// measure finds the registry, measures it and prints what came of it. Who
// interrupts it sees what is there by then; who does so twice waits for nothing.
func measure(c *cobra.Command, b *benchTarget, args []string, o bench.Options, asJSON bool) error {
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	t, err := b.find(c, args)
	if err != nil {
		return err
	}
	bar := barOn(c.ErrOrStderr())
	if bar != nil {
		o.Watch = bar.Draw
	}
	report, err := bench.Run(ctx, t, o)
	if bar != nil {
		bar.Clear()
	}
	switch {
	case errors.Is(err, bench.ErrNoLogin):
		return fmt.Errorf("%w: --user names who has one, --data the folder of a server on this machine", err)
	case err != nil && report.Results == nil:
		return err
	}
	print := bench.Print
	if asJSON {
		print = bench.PrintJSON
	}
	switch werr := print(c.OutOrStdout(), report); {
	case errors.Is(err, context.Canceled):
		return errors.New("it was interrupted")
	case err != nil || werr != nil:
		return errors.Join(err, werr)
	case report.Failed():
		return errors.New("not all of it worked")
	}
	return nil
}

// barOn is a bar on a terminal; nil if it is none.
func barOn(w io.Writer) *bench.Bar {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return bench.NewBar(file)
}
