package main

import (
	"bytes"
	"fmt"
)

// pageHead is what a reader must know of the tables; the suite's module and
// version go into it.
const pageHead = `# Conformance

What the conformance suite of the [OCI distribution specification](https://github.com/opencontainers/distribution-spec) says of Berth. This
page is written by ` + "`make conformance`" + `, which fails unless it comes out so, and is part of CI.

- **Suite:** ` + "`%s`" + `, version ` + "`%s`" + `, as its authors
  publish it, compiled by ` + "`go test -c`" + `.
- **Server:** the ` + "`bin/berth`" + ` of the same tree on a port of 127.0.0.1 with an empty data folder, ` + "`create-on-push: always`" + `, all else as it
  comes. The suite logs in as ` + "`AWS`" + ` with a password from ` + "`GetAuthorizationToken`" + `.
- **All four workflows are on**, and so is the mount of a blob from wherever it lies (` + "`OCI_AUTOMATIC_CROSSMOUNT=1`" + `). A warning of the suite
  counts as a failure.

`

// page writes what was found as Markdown. It holds nothing that changes from
// run to run, so that a page which differs is worth a look.
func (rs results) page(version string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, pageHead, suiteModule, version)
	fmt.Fprintf(&b, "| workflow | passed | failed | skipped |\n|---|--:|--:|--:|\n")
	for _, w := range workflows {
		rs.of(w).total(&b, w)
	}
	rs.total(&b, "all")
	for _, w := range workflows {
		rs.of(w).table(&b, w)
	}
	return b.Bytes()
}

func (rs results) total(b *bytes.Buffer, title string) {
	ok, left := rs.count(passed), rs.count(skipped)
	fmt.Fprintf(b, "| %s | %d | %d | %d |\n", title, ok, len(rs)-ok-left, left)
}

func (rs results) table(b *bytes.Buffer, workflow string) {
	fmt.Fprintf(b, "\n## %s\n\n| test | result |\n|---|---|\n", workflow)
	for _, r := range rs {
		says := r.status
		if why := unreachable[r.name()]; why != "" && r.status == skipped {
			says += ": " + why
		}
		fmt.Fprintf(b, "| %s | %s |\n", r.test, says)
	}
}
