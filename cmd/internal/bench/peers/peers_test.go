package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bench"
)

// TestMain lets the test be the yardstick, as the program itself is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "least" {
		main()
		return
	}
	os.Exit(m.Run())
}

// nothingLeft looks at the folder for temporary files.
func nothingLeft(t testing.TB) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left there: %q, %v", left, err)
	}
}

// TestCompare runs two rounds of the yardstick against itself, from the flags to
// the stored figures.
func TestCompare(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	p, path, err := readPlan([]string{
		"-servers", "least,least-again", "-rounds", "2", "-scenarios", "tag-push@2,ecr-token", "-o", "figures.jsonl", "-version", "v1",
	})
	if err != nil || path != "figures.jsonl" {
		t.Fatal(path, err)
	}
	p.options.Count = 20
	var stored bytes.Buffer
	all, err := p.run(t.Context(), json.NewEncoder(&stored))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range all {
		got = append(got, l.Version+" "+l.Server+" "+figure{l.Scenario, l.Concurrency}.String())
		if l.Operations != 20 || l.Errors != 0 || l.Machine == "" || l.Round < 1 {
			t.Errorf("%+v", l)
		}
	}
	want := []string{ // the second round is the other way round
		"v1 least tag-push@2", "v1 least ecr-token@16", "v1 least-again tag-push@2", "v1 least-again ecr-token@16",
		"v1 least-again tag-push@2", "v1 least-again ecr-token@16", "v1 least tag-push@2", "v1 least ecr-token@16",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var again line
	if err := json.NewDecoder(&stored).Decode(&again); err != nil || cmp.Diff(all[0], again) != "" {
		t.Errorf("stored as %+v, %v", again, err)
	}
	nothingLeft(t)
}

func TestServersThatDoNotStart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for name, program := range map[string]string{"absent": filepath.Join(os.Getenv("TMPDIR"), "absent"), "ends": "false"} {
		if _, err := peers[1].start(t.Context(), programs{berth: program}); err == nil {
			t.Errorf("%s: it started", name)
		}
	}
	nothingLeft(t)
}

func TestFlagsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{{"-servers", "nobody"}, {"-scenarios", "nothing"}, {"-duration", "0s"}, {"-rounds", "0"}, {"more"}} {
		if _, _, err := readPlan(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if err := profile(context.Background(), []string{"-scenario", "ecr-*"}); err == nil {
		t.Error("several scenarios are profiled at once")
	}
	if err := serveLeast(context.Background(), []string{"-data", t.TempDir()}); err == nil {
		t.Error("the yardstick starts without a key")
	}
}

func TestTable(t *testing.T) {
	of := func(server string, round int, rate, cpu float64) line {
		return line{Server: server, Round: round, Result: bench.Result{Scenario: "mount", Concurrency: 16, Operations: 1000, Rate: rate, ServerCPU: cpu}}
	}
	all := []line{
		of("least", 1, 1000, 0.1), of("berth", 1, 500, 0.2), of("distribution", 1, 100, 1), of("least-again", 1, 1100, 0.1),
		of("least-again", 2, 400, 0.1), of("distribution", 2, 50, 1), of("berth", 2, 200, 0.2), of("least", 2, 500, 0.1),
		of("least", 3, 900, 0.1), of("berth", 3, 630, 0.3), of("distribution", 3, 90, 1), of("least-again", 3, 900, 0.1),
		{Server: "distribution", Round: 1, Result: bench.Result{Scenario: "ecr-token", Concurrency: 16, Skipped: "no API"}},
		{Server: "distribution", Round: 2, Result: bench.Result{Scenario: "ecr-token", Concurrency: 16, Skipped: "no API"}},
		{Server: "berth", Round: 1, Result: bench.Result{Scenario: "ecr-token", Concurrency: 16, Errors: 3, FirstError: "500"}},
	}
	var b bytes.Buffer
	if err := write(&b, all); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "says nothing.\n\n")
	want := `scenario      least  berth  distribution  least-again  berth / distribution  berth / least        noise
mount@16      900    500    90.0          900          5.00 (4.00-7.00)      0.500 (0.400-0.700)  1.00 (0.800-1.10)
ecr-token@16  -      -      -             -            -                     -                    -

Milliseconds of processors that the server took for an operation.

scenario      least  berth  distribution  least-again  berth / distribution  berth / least     noise
mount@16      0.100  0.200  1.00          0.100        0.200 (0.200-0.300)   2.00 (2.00-3.00)  1.00 (1.00-1.00)
ecr-token@16  -      -      -             -            -                     -                 -

berth, ecr-token, round 1: 3 errors, the first: 500
distribution, ecr-token: left out: no API
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
