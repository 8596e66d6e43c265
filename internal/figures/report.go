package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// report is what the page has.
type report struct {
	counted      []count
	small, whole []figure // whole is nil where only the other was measured
}

// count is a figure that a test has counted.
type count struct {
	Test, What   string
	Value, Bound float64
}

// readCounted reads what tests wrote: see figure in their helpers.
func readCounted(path string) (all []count, err error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the tests have counted nothing: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var c count
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// broken is an error if a figure is out of its bound.
func (r *report) broken() error {
	var all []error
	for _, list := range [][]figure{r.small, r.whole} {
		for _, f := range list {
			if f.Broken {
				all = append(all, fmt.Errorf("%s: %s, which must be %s", f.What, f.Value, f.Must))
			}
		}
	}
	return errors.Join(all...)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func ratio(n float64) string { return strconv.FormatFloat(n, 'f', 3, 64) }

func short(d time.Duration) string {
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// write writes the page, to the standard output if it has no path.
func (r *report) write(path string) error {
	var b strings.Builder
	b.WriteString(`# Figures

By ` + "`make figures`" + `, which fails where a bound is broken, as CI does at the smaller size. Nothing here is a rate: what a machine's other work
makes slower is counted instead, or the quickest of several is taken.

## Counted inside a server

By the tests called ` + "`TestFigure…`" + `, which are run with all others. A transaction is one of the index; syncs of the index are two for each commit.

| figure | must reach | counted |
|---|---|---|
`)
	for _, c := range r.counted {
		fmt.Fprintf(&b, "| %s | ≤ %s | %s |\n", c.What, number(c.Bound), number(c.Value))
	}
	r.section(&b, "in CI", "Measured from outside, at the size for CI", "Times may be ten times as long there.", r.small)
	r.section(&b, "whole", "Measured from outside, whole", "", r.whole)
	b.WriteString(`
Anonymous memory is RssAnon of /proc/PID/status, resident memory with its peak VmHWM: that has the pages of files too, the program's own and the
index's, which the system takes back when it needs them. What a folder takes is in blocks, as du counts. The stores of many images are built through
the registry's own rules, without syncs, and stopped in order before they are measured.
`)
	if path == "" {
		_, err := fmt.Print(b.String())
		return err
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func number(n float64) string { return strconv.FormatFloat(n, 'g', 4, 64) }

func (r *report) section(b *strings.Builder, column, title, text string, list []figure) {
	if list == nil {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if text != "" {
		fmt.Fprintf(b, "%s\n\n", text)
	}
	fmt.Fprintf(b, "| figure | must reach | %s |\n|---|---|---|\n", column)
	for _, f := range list {
		fmt.Fprintf(b, "| %s | %s | %s |\n", f.What, f.Must, f.Value)
	}
	for _, f := range list {
		if f.Broken {
			fmt.Fprintf(b, "\nMissed: %s, %s, which must be %s. %s\n", f.What, f.Value, f.Must, f.Why)
		}
	}
}
