package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"
)

// What a test may have given, as ginkgo names it.
const (
	passed  = "passed"
	skipped = "skipped"
)

// wantPassed is how many of the suite's tests a registry can pass in one run.
const wantPassed = 75

// unreachable are the tests that the suite skips whatever a registry does, as
// it is set up here, and why. No other may be skipped.
var unreachable = map[string]string{
	"Pull: Setup Get tag name from environment": "for a registry that is filled beforehand",
	"Push: Cross-Repository Blob Mount Cross-mounting of nonexistent blob should yield session id": "for a registry that did not " +
		"mount the blob",
	"Push: Cross-Repository Blob Mount Cross-mounting without from, and automatic content discovery disabled should return a 202": "for a " +
		"registry that mounts only from where the client says",
	"Content Discovery: Setup Populate registry with test tags (no push)": "for a registry that cannot be pushed to",
}

// workflows are the parts of the suite, in its order.
var workflows = []string{"Pull", "Push", "Content Discovery", "Content Management"}

// A result is what one test gave.
type result struct {
	workflow string // one of workflows
	test     string
	status   string // passed, skipped, or how it failed
}

func (r result) name() string { return r.workflow + ": " + r.test }

// results are in the order of the run. Some tests have the same name: they push
// and delete the things that the next ones need.
type results []result

// readReport reads a report in JUnit's format.
func readReport(path string) (results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Cases []struct {
			Name   string `xml:"name,attr"`
			Status string `xml:"status,attr"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var rs results
	for _, c := range report.Cases {
		// What is left are the suite's own steps, such as writing its reports.
		if name, ok := strings.CutPrefix(c.Name, "[It] OCI Distribution Conformance Tests "); ok {
			rs = append(rs, newResult(name, c.Status))
		}
	}
	return rs, nil
}

// newResult splits a name, which begins with that of the workflow.
func newResult(name, status string) result {
	for _, w := range workflows {
		if test, ok := strings.CutPrefix(name, w+" "); ok {
			return result{w, test, status}
		}
	}
	return result{"", name, status}
}

// check says all that is not as it must be.
func (rs results) check() error {
	var wrong []error
	for _, r := range rs {
		if r.status != passed && (r.status != skipped || unreachable[r.name()] == "") {
			wrong = append(wrong, fmt.Errorf("%s: %s", r.status, r.name()))
		}
	}
	if n := rs.count(passed); n != wantPassed {
		wrong = append(wrong, fmt.Errorf("%d tests passed, want %d", n, wantPassed))
	}
	if n := rs.count(skipped); n != len(unreachable) {
		wrong = append(wrong, fmt.Errorf("%d tests were skipped, want %d", n, len(unreachable)))
	}
	return errors.Join(wrong...)
}

func (rs results) count(status string) int {
	n := 0
	for _, r := range rs {
		if r.status == status {
			n++
		}
	}
	return n
}

// of are those of one workflow.
func (rs results) of(workflow string) results {
	var some results
	for _, r := range rs {
		if r.workflow == workflow {
			some = append(some, r)
		}
	}
	return some
}
