// Figures builds a store of many small images, starts berth on it, and writes what it
// measured into docs/figures.md. It is run by `make figures`.
//
// The store is built through the registry, by the rules that pushes go by, but with many
// of its transactions in one of the index and without syncs: what is measured is what
// comes after.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
)

// options are the flags.
type options struct {
	berth, dir, page     string
	repositories, images int // images of each repository
	own                  bool
	keep                 bool
}

func main() {
	var o options
	flag.StringVar(&o.berth, "berth", "bin/berth", "the program to measure")
	flag.StringVar(&o.dir, "dir", "", "folder for the store, which must not exist (default: one beside other temporary files)")
	flag.StringVar(&o.page, "page", "", "page to write (default: the standard output)")
	flag.IntVar(&o.repositories, "repositories", 100_000, "repositories")
	flag.IntVar(&o.images, "images", 10, "images of each")
	flag.BoolVar(&o.own, "own", false, "give each image a layer of its own, not each repository")
	flag.BoolVar(&o.keep, "keep", false, "leave the store, and use it if it is there")
	flag.Parse()
	if err := figures(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func figures(ctx context.Context, o options) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "berth-figures-"); err != nil {
			return err
		}
	}
	if !o.keep {
		defer os.RemoveAll(o.dir)
	}
	f := report{options: o}
	if err := build(ctx, o, &f); err != nil {
		return fmt.Errorf("build the store: %w", err)
	}
	if err := measure(ctx, o, &f); err != nil {
		return err
	}
	if err := f.write(); err != nil {
		return err
	}
	return f.bounds()
}
