package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// right is a run in which all is as it must be.
func right() results {
	var rs results
	for i := range wantPassed {
		rs = append(rs, result{"Pull", fmt.Sprint("test ", i), passed})
	}
	for name := range unreachable {
		workflow, test, _ := strings.Cut(name, ": ")
		rs = append(rs, result{workflow, test, skipped})
	}
	return rs
}

func TestCheck(t *testing.T) {
	first := func(change func(*result)) func(results) results {
		return func(rs results) results { change(&rs[0]); return rs }
	}
	tests := []struct {
		name   string
		change func(results) results
		wrong  string // what the error holds; "" for none
	}{
		{"right", func(rs results) results { return rs }, ""},
		{"failed", first(func(r *result) { r.status = "failed" }), "failed: Pull: test 0"},
		{"panicked", first(func(r *result) { r.status = "panicked" }), "panicked: Pull: test 0"},
		{"another is skipped", first(func(r *result) { r.status = skipped }), "skipped: Pull: test 0"},
		{"one is missing", func(rs results) results { return rs[1:] }, "74 tests passed, want 75"},
		{"one more", func(rs results) results { return append(rs, rs[0]) }, "76 tests passed, want 75"},
		{"not skipped", func(rs results) results { rs[wantPassed].status = passed; return rs }, "3 tests were skipped, want 4"},
		{"none", func(results) results { return nil }, "0 tests passed, want 75"},
	}
	for _, tt := range tests {
		err := tt.change(right()).check()
		if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%s: the error is %v, want one with %q", tt.name, err, tt.wrong)
		}
	}
}

func TestReadReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "junit.xml")
	const report = `<testsuites><testsuite>
<testcase name="[It] OCI Distribution Conformance Tests Content Discovery Setup References" status="passed"></testcase>
<testcase name="[It] OCI Distribution Conformance Tests Other" status="panicked"></testcase>
<testcase name="[ReportAfterSuite] html custom reporter" status="passed"></testcase>
</testsuite></testsuites>`
	if err := os.WriteFile(path, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readReport(path)
	if err != nil {
		t.Fatal(err)
	}
	want := results{{"Content Discovery", "Setup References", passed}, {"", "Other", "panicked"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("readReport gave %v, want %v", got, want)
	}
}
