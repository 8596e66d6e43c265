// Build builds the kit to a path: `go run ./build ../../bin/crash`. What comes after
// the path is for `go build`.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-78150930/berth/internal/crash/instrument"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("want the path of the kit")
	}
	to, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	return instrument.Build(context.Background(), ".", to, args[1:]...)
}
