package harness

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// sampleEvery is how often a Gauge looks.
const sampleEvery = 20 * time.Millisecond

// A Gauge watches the anonymous resident memory of a process: its heap and
// stacks, without the pages of files that it has mapped or written.
type Gauge struct {
	Before int64 // bytes when the watch began
	peak   int64
	stop   chan struct{}
	done   chan error
}

// Watch begins to watch the process pid.
func Watch(t testing.TB, pid int) *Gauge {
	t.Helper()
	before, err := Anonymous(pid)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gauge{Before: before, peak: before, stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { g.done <- g.sample(pid) }()
	return g
}

// Peak ends the watch and returns the highest figure seen, in bytes.
func (g *Gauge) Peak(t testing.TB) int64 {
	t.Helper()
	close(g.stop)
	if err := <-g.done; err != nil {
		t.Fatal(err)
	}
	return g.peak
}

func (g *Gauge) sample(pid int) error {
	again := time.NewTicker(sampleEvery)
	defer again.Stop()
	for {
		now, err := Anonymous(pid)
		if err != nil {
			return err
		}
		g.peak = max(g.peak, now)
		select {
		case <-again.C:
		case <-g.stop:
			return nil
		}
	}
}

// Anonymous reads RssAnon of a process (proc_pid_status(5)), in bytes.
func Anonymous(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if figure, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			var kib int64
			_, err := fmt.Sscanf(figure, "%d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s: no RssAnon", f.Name())
}
