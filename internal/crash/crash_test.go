package crash_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/crash/instrument"
	"github.com/seed-78150930/berth/internal/crash/life"
	"github.com/seed-78150930/berth/storage/failpoint"
)

var (
	cycles = flag.Int("cycles", 50, "how often the power goes")
	kills  = flag.Int("kills", 10, "how often the real program is killed")
	seed   = flag.Uint64("seed", 0, "of the first history; 0 makes one up")
)

var kit string // the built one

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kit")
	if err == nil {
		defer os.RemoveAll(dir)
		kit = filepath.Join(dir, "kit")
		err = instrument.Build(ctx, ".", kit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	if err := all.write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// told is what the kit says of its run.
type told struct {
	Seed   uint64
	Report life.Report
}

// play has the kit play, and says whether it ended well.
func play(t *testing.T, args ...string) (told, bool) {
	t.Helper()
	cmd := exec.Command(kit, append([]string{"-dir", memory(t)}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var r told
	if strings.Contains(said.String(), "panic: ") { // what a server does not survive is a loss
		r.Report.Losses = []string{said.String()}
		return r, false
	}
	if jsonErr := json.Unmarshal(out, &r); jsonErr != nil {
		t.Fatalf("the kit said %q, %v: %s", out, err, &said)
	}
	return r, err == nil
}

// memory is a folder for files that are looked at through the kit's own records alone.
func memory(t *testing.T) string {
	t.Helper()
	const shared = "/dev/shm"
	if dir, err := os.MkdirTemp(shared, "crash"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

func TestNothingIsLost(t *testing.T) {
	start := time.Now()
	r, ok := play(t, fmt.Sprintf("-cycles=%d", *cycles), fmt.Sprintf("-seed=%d", *seed))
	all.note(func() { all.power, all.took["power"], all.seeds["power"] = r.Report, time.Since(start), r.Seed })
	t.Logf("seed %d: %+v", r.Seed, r.Report)
	if !ok || len(r.Report.Losses) > 0 {
		t.Errorf("something was lost: %s", strings.Join(r.Report.Losses, "\n"))
	}
	if r.Report.Cycles < *cycles || r.Report.Calls < 20*r.Report.Cycles {
		t.Errorf("%d cycles with %d calls are too few", r.Report.Cycles, r.Report.Calls)
	}
}

// Each sync that the promises rest on is left out, by the kit's own disk. If the kit
// did not see that, it would see nothing.
func TestMissingSyncsAreSeen(t *testing.T) {
	for _, sync := range []string{"file", "folder", "index"} {
		t.Run(sync, func(t *testing.T) {
			t.Parallel()
			r, ok := play(t, "-cycles=200", "-forget="+sync)
			if ok || len(r.Report.Losses) == 0 {
				t.Fatalf("seed %d: nothing was lost in %d cycles without syncs of the %s", r.Seed, r.Report.Cycles, sync)
			}
			all.note(func() { all.missing[sync] = r.Report.Cycles })
			t.Logf("seed %d: seen in cycle %d: %.300s", r.Seed, r.Report.Cycles, r.Report.Losses[0])
		})
	}
}

// TestNothingIsLostByKills has the real program die at the points by kill -9.
func TestNothingIsLostByKills(t *testing.T) {
	program := filepath.Join(t.TempDir(), "berth")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-w", "-tags", "failpoints", "-o", program, "./cmd/berth")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64N(1 << 40)
	}
	first := int(seed % uint64(len(failpoint.All())))
	start := time.Now()
	r, err := life.Kill(life.KillOptions{Seed: seed, Dir: memory(t), Program: program, Cycles: *kills, First: first})
	all.note(func() { all.kills, all.took["kills"], all.seeds["kills"] = r, time.Since(start), seed })
	t.Logf("seed %d: %+v", seed, r)
	if err != nil || len(r.Losses) > 0 {
		t.Errorf("%v; losses: %s", err, strings.Join(r.Losses, "\n"))
	}
	if r.Cycles < *kills || len(r.Hit) == 0 {
		t.Errorf("%d cycles, died at %d points", r.Cycles, len(r.Hit))
	}
	if list := missed(all.power.Hit, r.Hit); *kills >= 200 && len(list) > 0 {
		t.Errorf("no process came to %q", list)
	}
}
