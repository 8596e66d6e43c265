package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what came of a scenario. Its JSON form is part of what `berth bench
// --json` prints; names stay what they are.
type Result struct {
	Scenario    string  `json:"scenario"`
	Concurrency int     `json:"concurrency"`
	Operations  int64   `json:"operations"` // that succeeded; latencies are theirs
	Errors      int64   `json:"errors"`
	Seconds     float64 `json:"seconds"`         // that it took
	Rate        float64 `json:"rate_per_second"` // of operations that succeeded
	Bytes       int64   `json:"bytes"`           // of content that they moved
	MBPerSecond float64 `json:"mb_per_second"`   // millions of bytes
	P50         float64 `json:"p50_ms"`
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	Max         float64 `json:"max_ms"`
	// ErrorKinds counts errors by status, code of the API, "timeout" or "connection".
	ErrorKinds map[string]int64 `json:"error_kinds,omitempty"`
	FirstError string           `json:"first_error,omitempty"`
	// Skipped says why there is nothing, if the registry does not offer it.
	Skipped string `json:"skipped,omitempty"`
	// ClientCPU is what this program took of processors, in seconds; ServerCPU what
	// the server did, 0 if that is not known.
	ClientCPU float64 `json:"client_cpu_seconds"`
	ServerCPU float64 `json:"server_cpu_seconds,omitempty"`
}

// ServerCPUPerOperation is in milliseconds; 0 if it is not known.
func (r Result) ServerCPUPerOperation() float64 {
	if r.Operations == 0 {
		return 0
	}
	return r.ServerCPU * 1000 / float64(r.Operations)
}

// Report is what a run found. Its JSON form is what `berth bench --json` prints.
type Report struct {
	Registry string    `json:"registry"`
	API      string    `json:"api"`
	Started  time.Time `json:"started"`
	Results  []Result  `json:"results"`
	// Left is what could not be removed, each a sentence without its end.
	Left []string `json:"left"`
}

// Failed says whether anything that was tried went wrong.
func (r Report) Failed() bool {
	for _, res := range r.Results {
		if res.Errors > 0 {
			return true
		}
	}
	return false
}

// PrintJSON prints a report for programs.
func PrintJSON(w io.Writer, r Report) error {
	if r.Results == nil {
		r.Results = []Result{}
	}
	if r.Left == nil {
		r.Left = []string{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// Print prints a report for people.
func Print(w io.Writer, r Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "registry  %s\n", orNone(r.Registry))
	fmt.Fprintf(&b, "API       %s\n\n", orNone(r.API))
	cpu := r.knowsCPU()
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "scenario\tat once\tcount\terrors\trate/s\tMB/s\tp50 ms\tp90 ms\tp99 ms\t"
	if cpu {
		head += "server CPU ms\t"
	}
	fmt.Fprintln(t, head)
	for _, res := range r.Results {
		if res.Skipped == "" {
			fmt.Fprintln(t, res.row(cpu))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.remarks(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func (r Report) knowsCPU() bool {
	for _, res := range r.Results {
		if res.ServerCPU > 0 {
			return true
		}
	}
	return false
}

func (r Result) row(cpu bool) string {
	cells := []string{r.Scenario, strconv.Itoa(r.Concurrency), strconv.FormatInt(r.Operations, 10), strconv.FormatInt(r.Errors, 10),
		Number(r.Rate), Number(r.MBPerSecond), Number(r.P50), Number(r.P90), Number(r.P99)}
	if cpu {
		cells = append(cells, Number(r.ServerCPUPerOperation()))
	}
	return strings.Join(cells, "\t") + "\t"
}

// Number is a figure with three digits that count, "-" for none.
func Number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(v)))
	return strconv.FormatFloat(v, 'f', min(digits, 4), 64)
}

// remarks are what there is to say beside the table.
func (r Report) remarks(b *strings.Builder) {
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	b.WriteByte('\n')
	for _, res := range r.Results {
		if res.Skipped != "" {
			line("%s: skipped: %s", res.Scenario, res.Skipped)
		}
		if res.Errors > 0 {
			line("%s: %d errors (%s), the first: %s", res.Scenario, res.Errors, kinds(res.ErrorKinds), res.FirstError)
		}
		if res.Seconds > long && res.ClientCPU > busy*res.Seconds {
			line("%s: this program itself was busy for %.0f %% of a processor: a server on the same machine had less", res.Scenario, 100*res.ClientCPU/res.Seconds)
		}
	}
	for _, left := range r.Left {
		line("left there: %s", left)
	}
}

// From this share of a processor on the client is worth a word, if it had it for
// so many seconds.
const busy, long = 0.8, 0.5

// kinds are errors by their kind, the most frequent first.
func kinds(of map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", of[name], name)
	}
	return strings.Join(names, ", ")
}
