// Figures measures a berth that was built: its syncs by strace, its memory, also while
// many pull what it fetches from upstream, its disk, how
// it starts, and what pages and collections take in stores of many images. It is run by
// `make figures`, which writes docs/figures.md, and by `make figures-small` in CI.
//
// Large stores are built through the registry, by the rules that pushes go by, but with
// many of its transactions in one of the index and without syncs: what is measured is
// what comes after. What can be counted inside a server is counted by the tests called
// TestFigure… of its packages, whose figures are on the page too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// options are the flags.
type options struct {
	berth, distribution, dir, page, counted, only string
	small, whole, keep                            bool
}

func main() {
	var o options
	flag.StringVar(&o.berth, "berth", "bin/berth", "the program to measure")
	flag.StringVar(&o.distribution, "distribution", "", "distribution's registry, to compare its disk (default: a figure that was measured before)")
	flag.StringVar(&o.dir, "dir", "", "folder for stores (default: one beside other temporary files)")
	flag.StringVar(&o.page, "page", "", "page to write (default: the standard output)")
	flag.StringVar(&o.counted, "counted", "", "what the tests have counted, one JSON object a line")
	flag.BoolVar(&o.small, "small", false, "measure at the size for CI alone")
	flag.BoolVar(&o.whole, "whole", false, "measure at the whole size alone")
	flag.StringVar(&o.only, "only", "", "measure some parts alone, of syncs,memory,mirror,disk,starts,pages,collection")
	flag.BoolVar(&o.keep, "keep", false, "leave the stores and the figures of each part in the folder, and use what is there")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.berth, err = filepath.Abs(o.berth); err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "berth-figures-"); err != nil {
			return err
		}
	}
	if !o.keep {
		defer os.RemoveAll(o.dir)
	}
	var r report
	if r.counted, err = readCounted(o.counted); err != nil {
		return err
	}
	if !o.whole {
		if r.small, err = measure(ctx, o, small); err != nil {
			return err
		}
	}
	if !o.small {
		if r.whole, err = measure(ctx, o, whole); err != nil {
			return err
		}
	}
	return errors.Join(r.write(o.page), r.broken())
}

// size is how much is measured.
type size struct {
	name, file           string
	images, repositories int // of the store for starts
	tags                 int // of the store for starts, and of the one beside distribution's
	layer                int // MiB of the layer that 20 repositories share, and of what is uploaded by parts
	large, little        int // MiB of the layers that are pushed at once
	pages                [4]int
	clients, mirrored    int     // who pull an image at once that upstream has, and MiB of its layer
	patience             float64 // by how much times may be longer
}

// What is measured in CI, where a machine is slow and shared, and what by `make figures`.
var (
	small = size{name: "in CI", file: "small", images: 2_000, repositories: 20, tags: 1_000, layer: 32, large: 16, little: 4, pages: [4]int{1_000, 10_000, 200, 2_000}, clients: 200, mirrored: 8, patience: 10}
	whole = size{name: "whole", file: "whole", images: 1_000_000, repositories: 2_000, tags: 10_000, layer: 64, large: 64, little: 4, pages: [4]int{10_000, 1_000_000, 1_000, 100_000}, clients: 1_000, mirrored: 100, patience: 1}
)

// figure is one row of the page.
type figure struct {
	What, Must, Value string
	Broken            bool
	Why               string // what is known of a bound that is broken
}

// kept says what was measured and that it must be at most so much.
func kept[N int | int64 | float64](what string, value, most N, show func(N) string) figure {
	return figure{What: what, Must: "≤ " + show(most), Value: show(value), Broken: value > most}
}

// told is a figure without a bound.
func told(what, value string) figure { return figure{What: what, Value: value} }

// measure takes all figures of a size.
func measure(ctx context.Context, o options, z size) (all []figure, err error) {
	for _, part := range []struct {
		what string
		take func(context.Context, options, size) ([]figure, error)
	}{
		{"syncs", syncs}, {"memory", memories}, {"mirror", mirroring}, {"disk", disks}, {"starts", starts}, {"pages", pages}, {"collection", collection},
	} {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+part.what+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", z.name, part.what)
		figures, err := remembered(o, z, part.what, func() ([]figure, error) { return part.take(ctx, o, z) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.what, err)
		}
		for _, f := range figures {
			fmt.Fprintf(os.Stderr, "  %s: %s (%s)\n", f.What, f.Value, f.Must)
		}
		all = append(all, figures...)
	}
	return all, nil
}

// remembered takes the figures of a part, or reads them where they are kept.
func remembered(o options, z size, part string, take func() ([]figure, error)) (all []figure, err error) {
	if !o.keep {
		return take()
	}
	path := filepath.Join(o.dir, z.file+"-"+part+".json")
	if text, err := os.ReadFile(path); err == nil {
		return all, json.Unmarshal(text, &all)
	}
	if all, err = take(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return all, errors.Join(os.MkdirAll(o.dir, 0o700), os.WriteFile(path, text, 0o600))
}
