// Peers holds Berth against others on this machine: each server is started on a
// fresh folder and put under the same load, in turn and in rounds, so that what
// else the machine does falls on all of them. `make bench` and `make bench-peers`
// run it.
//
// It is also two of the programs that it starts or asks: `peers least` is the
// yardstick of package least, and `peers profile` writes profiles of Berth while a
// scenario runs, for `make profile`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	do, args := compare, os.Args[1:]
	if len(args) > 0 {
		switch args[0] {
		case "least":
			do, args = serveLeast, args[1:]
		case "profile":
			do, args = profile, args[1:]
		}
	}
	if err := do(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// parse reads flags, and nothing beside them.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%q is no flag", f.Arg(0))
	}
	return nil
}
