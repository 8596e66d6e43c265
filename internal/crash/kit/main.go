// Kit plays histories in which the power goes, and says what was lost. It is built by
// package instrument.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/seed-78150930/berth/internal/crash/life"
	"github.com/seed-78150930/berth/internal/crash/power"
	"github.com/seed-78150930/berth/storage/failpoint"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kit:", err)
		os.Exit(1)
	}
}

var (
	cycles = flag.Int("cycles", 50, "lives to play")
	seed   = flag.Uint64("seed", 0, "of the first history; 0 makes one up")
	lives  = flag.Int("lives", 8, "of each history")
	forget = flag.String("forget", "", "leave out the syncs of: file or folder, of blobs, or index")
	dir    = flag.String("dir", "", "folder for files, best in memory; \"\" is a temporary one")
	until  = flag.Duration("until", 0, "end after this time, whatever the cycles; 0 means never")
)

var errLoss = errors.New("something was lost")

func run() (err error) {
	flag.Parse()
	if !failpoint.Enabled {
		return errors.New("built without points to die at")
	}
	tmp, err := os.MkdirTemp(*dir, "crash")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	record, err := recorder()
	if err != nil {
		return err
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1 << 40)
	}
	start, total := time.Now(), life.NewReport()
	for n := uint64(0); total.Cycles < *cycles && (*until == 0 || time.Since(start) < *until); n++ {
		o := life.Options{Seed: *seed + n, Dir: tmp, Lives: min(*lives, *cycles-total.Cycles), Recorded: record, Forget: forgets()}
		r, err := life.Play(o)
		total.Add(r)
		if err != nil {
			return fmt.Errorf("seed %d: %w", o.Seed, err)
		}
		if len(total.Losses) > 0 {
			break
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"seed": *seed, "took": time.Since(start).String(), "report": total}); err != nil {
		return err
	}
	if len(total.Losses) > 0 {
		return errLoss
	}
	return nil
}

// forgets leaves out syncs of the index, or of files or folders of blobs.
func forgets() func(power.Sync, string) bool {
	if *forget == "" {
		return nil
	}
	return func(kind power.Sync, path string) bool {
		return kind == power.Sync(*forget) && (kind == power.IndexSync || strings.Contains(path, "/blobs"))
	}
}
