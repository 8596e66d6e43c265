package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Print writes findings for people: what is wrong with its remedy below it.
func Print(w io.Writer, all []Finding) error {
	width := 0
	for _, f := range all {
		width = max(width, len(f.Check))
	}
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%-7s  %-*s  %s\n", f.Status, width, f.Check, f.Found)
		if f.Status == OK {
			continue
		}
		for line := range strings.Lines(f.Mend) {
			fmt.Fprintf(&b, "%-7s  %-*s  -> %s\n", "", width, "", strings.TrimSuffix(line, "\n"))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", Summary(all))
	_, err := io.WriteString(w, b.String())
	return err
}

// Summary says in a line how many findings there are of each kind.
func Summary(all []Finding) string {
	count := map[Status]int{}
	for _, f := range all {
		count[f.Status]++
	}
	return fmt.Sprintf("%d fail, %d warn, %d ok, %d skipped", count[Fail], count[Warn], count[OK], count[Skipped])
}

// PrintJSON writes findings as an array.
func PrintJSON(w io.Writer, all []Finding) error {
	if all == nil {
		all = []Finding{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false) // commands hold & and >
	return enc.Encode(all)
}
