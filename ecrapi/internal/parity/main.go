// Command parity writes the page that says how this API stands to Amazon's:
//
//	go run ./ecrapi/internal/parity -readme README.md -page docs/ecr-parity.md
//
// What an operation has to be said of is in the README's table of operations; what
// is said of all of them is in differences.go; which of them there are, and what
// they may fail with, is in the table of operations and the model.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"

	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("parity: ")
	readme := flag.String("readme", "", "read the notes on operations from `FILE`")
	page := flag.String("page", "", "write the page to `FILE`")
	flag.Parse()
	if *readme == "" || *page == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	text, err := os.ReadFile(*readme)
	if err == nil {
		err = os.WriteFile(*page, []byte(render(notes(string(text)))), 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

var row = regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:yes|not yet) \\| (.*?) ?\\|$")

// notes are what the README says of operations.
func notes(readme string) map[string]string {
	all := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(readme, -1) {
		all[m[1]] = strings.ReplaceAll(m[2], "](docs/", "](") // the page lies there
	}
	return all
}

func render(notes map[string]string) string {
	var b strings.Builder
	b.WriteString(head)
	for _, d := range differences {
		fmt.Fprintf(&b, "- **%s.** %s\n", d.about, d.what)
	}
	var rows strings.Builder
	for _, op := range ecrapi.Operations() {
		fmt.Fprintf(&rows, "| `%s` | `%s` | %s | %s |\n", op.Name, op.Action, exceptions(op.Name), notes[op.Name])
	}
	fmt.Fprintf(&b, "\n## Operations\n\n%d in all, each in force.\n\n", len(ecrapi.Operations()))
	b.WriteString("| operation | authorised as | may fail with | difference |\n|---|---|---|---|\n")
	b.WriteString(rows.String())
	return b.String()
}

// exceptions are what the model lists for an operation, without what all of them
// have in common.
func exceptions(op string) string {
	var list []string
	for _, e := range shape.Operations[op].Errors {
		switch e {
		case shape.ServerException, shape.InvalidParameterException, shape.ValidationException:
		default:
			list = append(list, strings.TrimSuffix(string(e), "Exception"))
		}
	}
	return strings.Join(list, ", ")
}
