// Command conformance runs the conformance suite of the OCI distribution
// specification against a built berth, fails unless every test passes that a
// registry can pass, and writes a page that says what each of them gave.
//
// The suite is a compiled Go test that speaks to a server named by its
// environment. This command starts one for it: on a free port of 127.0.0.1,
// with a data folder of its own, and closed but for a password that it asks for
// as any client does. `make conformance` builds all three and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// run does all of it, and writes the page only of a run that is right.
func run(args []string) (err error) {
	flags := flag.NewFlagSet("conformance", flag.ExitOnError)
	berth := flags.String("berth", "", "the `program` under test")
	suite := flags.String("suite", "", "the suite, a `program` made by go test -c")
	page := flags.String("page", "", "the `file` to write what the suite found to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	version, err := suiteVersion(*suite)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	found, err := test(ctx, *berth, *suite)
	if err != nil {
		return err
	}
	fmt.Printf("conformance suite %s: %d passed, %d skipped whatever a registry does\n",
		version, found.count(passed), found.count(skipped))
	return os.WriteFile(*page, found.page(version), 0o644)
}

// test runs the suite against a fresh server and checks what it found.
func test(ctx context.Context, berth, suite string) (found results, err error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := startServer(ctx, berth, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if found, err = s.examine(ctx, suite, dir); err != nil {
		return nil, err
	}
	return found, found.check()
}
