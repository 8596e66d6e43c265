package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/ociapi"
)

// What may be asked for in the environment.
const (
	stepsVariable  = "BERTH_HISTORY_STEPS"  // of all histories together: 3,000
	seedVariable   = "BERTH_HISTORY_SEED"   // of the first one: 1
	replayVariable = "BERTH_HISTORY_REPLAY" // a file with a history to be played alone
)

// length is how many steps a history has.
const length = 250

// as is the context of a call that a principal makes past the doors.
func as(arn string) context.Context {
	return auth.WithPrincipal(context.Background(), auth.Principal{Account: account, ARN: arn, UserID: account, Region: region, Kind: auth.Root})
}

// TestHistories plays histories of one seed after the other.
func TestHistories(t *testing.T) {
	if file := os.Getenv(replayVariable); file != "" {
		replay(t, file)
		return
	}
	steps, first := number(t, stepsVariable, 3_000), number(t, seedVariable, 1)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		t.Run(fmt.Sprintf("worker %d", w+1), func(t *testing.T) {
			t.Parallel()
			for seed := first + w; (seed-first)*length < steps && !t.Failed(); seed += workers {
				c, history := historyOf(uint64(seed))
				if failed := play(t, c, history); failed != nil {
					t.Error(report(t, c, history, failed, seed))
				}
			}
		})
	}
}

// historyOf is the history of a seed.
func historyOf(seed uint64) (config, []step) {
	r := rand.New(rand.NewPCG(seed, 0))
	c := config{Compat: ociapi.OCI, Create: r.IntN(3) == 0, Reads: r.IntN(3) == 0, Trash: seed%2 == 1}
	if r.IntN(2) == 0 {
		c.Compat = ociapi.ECR
	}
	return c, invent(r, c, length)
}

func number(t *testing.T, variable string, standard int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// report shrinks a history that failed and says how to play it again.
func report(t *testing.T, c config, history []step, failed *failure, seed int) string {
	t.Helper()
	least := shrink(history[:min(failed.at+1, len(history))], func(shorter []step) bool { return play(t, c, shorter) != nil })
	again := play(t, c, least)
	if again == nil {
		again = failed
	}
	return fmt.Sprintf("the history of seed %d (%s) fails at step %d: %v\nPlay it again with %s=%d %s=%d.\n"+
		"Of its %d steps these %d are enough, to be played from a file by %s:\n%s%sand fail at step %d: %v",
		seed, c, failed.at, failed.what, seedVariable, seed, stepsVariable, length,
		len(history), len(least), replayVariable, line(c), lines(least), again.at, again.what)
}

// line is the first of a file with a history.
func line(c config) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // of a plain struct
	}
	return string(text) + "\n"
}

// TestKeptHistories plays the histories that have failed once.
func TestKeptHistories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d histories: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) { replay(t, f) })
	}
}

// replay plays the history of a file.
func replay(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, history, err := readHistory(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if failed := play(t, c, history); failed != nil {
		t.Errorf("%s fails at step %d: %v", file, failed.at, failed.what)
	}
}

func readHistory(text []byte) (c config, history []step, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, nil, err
	}
	for {
		var s step
		err := dec.Decode(&s)
		if err == io.EOF {
			return c, history, nil
		}
		if err != nil {
			return c, nil, err
		}
		history = append(history, s)
	}
}
