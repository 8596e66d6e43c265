package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

// figure is what is compared: of a scenario with a number of requests at once.
type figure struct {
	scenario    string
	concurrency int
}

func (f figure) String() string { return fmt.Sprintf("%s@%d", f.scenario, f.concurrency) }

// results are those of servers by round.
type results map[figure]map[string]map[int]line

func group(all []line) (of results, order []figure, servers []string) {
	of = results{}
	for _, l := range all {
		f := figure{l.Scenario, l.Concurrency}
		if of[f] == nil {
			of[f] = map[string]map[int]line{}
			order = append(order, f)
		}
		if of[f][l.Server] == nil {
			of[f][l.Server] = map[int]line{}
		}
		of[f][l.Server][l.Round] = l
		if !slices.Contains(servers, l.Server) {
			servers = append(servers, l.Server)
		}
	}
	return of, order, servers
}

// What is compared of a line; 0 where it is not known.
func rate(l line) float64 { return l.Rate }
func cpu(l line) float64  { return l.ServerCPUPerOperation() }

// values are those of all rounds.
func values(of map[int]line, what func(line) float64) (all []float64) {
	for _, l := range of {
		if v := what(l); v > 0 {
			all = append(all, v)
		}
	}
	return all
}

// ratios are those of one server to another, each within a round, so that an hour
// in which the machine is slow counts for both.
func ratios(of, to map[int]line, what func(line) float64) (all []float64) {
	for round, l := range of {
		if a, b := what(l), what(to[round]); a > 0 && b > 0 {
			all = append(all, a/b)
		}
	}
	return all
}

// median is 0 if there are none.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Sorted(slices.Values(all))
	mid := len(all) / 2
	if len(all)%2 == 1 {
		return all[mid]
	}
	return (all[mid-1] + all[mid]) / 2
}

// write prints medians of the rounds, and ratios.
func write(w io.Writer, all []line) error {
	of, order, servers := group(all)
	fmt.Fprintln(w, "Operations a second, medians of the rounds. Ratios are medians of those within each round, with the lowest and the")
	fmt.Fprintln(w, "highest. \"noise\" is the yardstick against itself: a ratio that it covers says nothing.")
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(append(append([]string{"scenario"}, servers...), "berth / distribution", "berth / least", "noise"), "\t"))
	for _, f := range order {
		row(t, f, of[f], servers, rate)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nMilliseconds of processors that the server took for an operation.")
	fmt.Fprintln(w)
	fmt.Fprintln(t, strings.Join(append(append([]string{"scenario"}, servers...), "berth / distribution", "berth / least", "noise"), "\t"))
	for _, f := range order {
		row(t, f, of[f], servers, cpu)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return remarks(w, all)
}

func row(w io.Writer, f figure, of map[string]map[int]line, servers []string, what func(line) float64) {
	cells := []string{f.String()}
	for _, s := range servers {
		cells = append(cells, bench.Number(median(values(of[s], what))))
	}
	for _, pair := range [][2]string{{berth, distribution}, {berth, theLeast}, {leastAgain, theLeast}} {
		cells = append(cells, spread(ratios(of[pair[0]], of[pair[1]], what)))
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// spread is a ratio with its lowest and highest.
func spread(all []float64) string {
	if len(all) == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s-%s)", bench.Number(median(all)), bench.Number(slices.Min(all)), bench.Number(slices.Max(all)))
}

// remarks are what went wrong or was left out, each once.
func remarks(w io.Writer, all []line) error {
	var said []string
	for _, l := range all {
		text := ""
		switch {
		case l.Skipped != "":
			text = fmt.Sprintf("%s, %s: left out: %s", l.Server, l.Scenario, l.Skipped)
		case l.Errors > 0:
			text = fmt.Sprintf("%s, %s, round %d: %d errors, the first: %s", l.Server, l.Scenario, l.Round, l.Errors, l.FirstError)
		default:
			continue
		}
		if !slices.Contains(said, text) {
			said = append(said, text)
		}
	}
	slices.SortFunc(said, cmp.Compare[string])
	if len(said) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", strings.Join(said, "\n"))
	return err
}
