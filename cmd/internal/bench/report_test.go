package bench_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

func sample() bench.Report {
	return bench.Report{
		Registry: "http://localhost:5000", Started: time.Date(2026, 11, 21, 1, 2, 3, 0, time.UTC),
		Results: []bench.Result{
			{Scenario: "push-image", Concurrency: 16, Operations: 1000, Errors: 3, Seconds: 5, Rate: 200.4, MBPerSecond: 65.55, P50: 80.12, P90: 120, P99: 0.4567, Max: 999,
				ErrorKinds: map[string]int64{"500": 1, "503": 2}, FirstError: "PUT /v2/x: 503", ClientCPU: 4.5, ServerCPU: 3},
			{Scenario: "catalog", Concurrency: 16, Skipped: "no catalog is told: 404"},
		},
		Left: []string{"2 repositories in berth-bench/x"},
	}
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	if err := bench.Print(&b, sample()); err != nil {
		t.Fatal(err)
	}
	want := `registry  http://localhost:5000
API       none

    scenario  at once  count  errors  rate/s  MB/s  p50 ms  p90 ms  p99 ms  server CPU ms
  push-image       16   1000       3     200  65.5    80.1     120   0.457           3.00

push-image: 3 errors (2 503, 1 500), the first: PUT /v2/x: 503
push-image: this program itself was busy for 90 % of a processor: a server on the same machine had less
catalog: skipped: no catalog is told: 404
left there: 2 repositories in berth-bench/x
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrintJSON(t *testing.T) {
	var b bytes.Buffer
	if err := bench.PrintJSON(&b, bench.Report{Started: sample().Started}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\n  \"registry\": \"\",\n  \"api\": \"\",\n  \"started\": \"2026-11-21T01:02:03Z\",\n  \"results\": [],\n  \"left\": []\n}\n", b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBar(t *testing.T) {
	var b bytes.Buffer
	bar := bench.NewBar(&b)
	bar.Draw(bench.Progress{Scenario: "push-image", Index: 1, Of: 3, Measuring: true, Done: 0.5, Rate: 123.4, Errors: 2})
	bar.Draw(bench.Progress{Scenario: "clean up", Index: 3, Of: 3})
	bar.Clear()
	lines := strings.Split(b.String(), "\r")
	want := []string{
		"", " 2/3 push-image      [============            ] 123/s 2 errors", " 2/3 push-image      [============            ] 123/s 2 errors",
		" 3/3 clean up        [                        ]               ", " 3/3 clean up        [                        ]",
		strings.Repeat(" ", 47), "",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWatch is told of every scenario, and that it ends.
func TestWatch(t *testing.T) {
	target, _ := leastServer(t, nil)
	o := small(t, "tag-push", "ecr-repos")
	var seen []string
	o.Watch = func(p bench.Progress) {
		if len(seen) == 0 || seen[len(seen)-1] != p.Scenario {
			seen = append(seen, p.Scenario)
		}
		if p.Done < 0 || p.Done > 1 || p.Of != 2 {
			t.Errorf("%+v", p)
		}
	}
	run(t, target, o)
	if diff := cmp.Diff([]string{"tag-push", "ecr-repos", "clean up"}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
