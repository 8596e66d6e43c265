package crash_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/crash/life"
	"github.com/seed-78150930/berth/storage/failpoint"
)

var page = flag.String("page", "", "write what came of the run between the marks of this file")

// figures are what the page is made of.
type figures struct {
	mu      sync.Mutex
	power   life.Report
	kills   life.Report
	took    map[string]time.Duration
	seeds   map[string]uint64
	missing map[string]int // in which cycle a sync that is missing was seen
}

var all = figures{took: map[string]time.Duration{}, seeds: map[string]uint64{}, missing: map[string]int{}}

func (f *figures) note(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// The marks between which the page is written.
const (
	begin = "<!-- make crash writes what follows. -->\n"
	end   = "<!-- End of what make crash writes. -->\n"
)

// write puts the figures in the page, if there is to be one and the tests passed.
func (f *figures) write() error {
	if *page == "" {
		return nil
	}
	text, err := os.ReadFile(*page)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, there := strings.Cut(rest, end)
	if !ok || !there {
		return fmt.Errorf("%s has no marks to write between", *page)
	}
	return os.WriteFile(*page, []byte(before+begin+f.table()+end+after), 0o644)
}

func (f *figures) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s, version %s.\n\n", time.Now().UTC().Format("2 January 2006"), version())
	b.WriteString("| | power goes | kill -9 |\n|---|---:|---:|\n")
	row := func(what string, power, kills any) { fmt.Fprintf(&b, "| %s | %v | %v |\n", what, power, kills) }
	row("cycles", f.power.Cycles, f.kills.Cycles)
	row("of them died at a point", f.power.Deaths["point"], f.kills.Deaths["kill -9 at a point"])
	row("failpoints hit, of those that can be", points(f.power.Hit, true), points(f.kills.Hit, false))
	row("histories checked for linearizability", f.power.Histories, f.kills.Histories)
	row("calls in them", f.power.Calls, f.kills.Calls)
	row("writes, syncs and changes of names", f.power.Operations, "")
	row("syncs made to fail", f.power.Failed, "")
	row("stores that refused writes after that, of those asked", f.power.Refused, "")
	row("**losses**", fmt.Sprintf("**%d**", len(f.power.Losses)), fmt.Sprintf("**%d**", len(f.kills.Losses)))
	row("time", f.took["power"].Round(time.Second), f.took["kills"].Round(time.Second))
	row("seed", f.seeds["power"], f.seeds["kills"])
	b.WriteString("\nWith a sync left out a loss was reported in this cycle, of at most 200:\n\n| sync of | cycle |\n|---|---:|\n")
	for _, sync := range []string{"file", "folder", "index"} {
		fmt.Fprintf(&b, "| %s | %d |\n", sync, f.missing[sync])
	}
	b.WriteString("\n| failpoint | passed, power goes | died at, kill -9 |\n|---|---:|---:|\n")
	for _, p := range failpoint.All() {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", p, f.power.Hit[p], f.kills.Hit[p])
	}
	return b.String() + "\n"
}

// outside are the points of the data folder, which is made by the program alone.
func outside(p failpoint.Point) bool { return strings.HasPrefix(string(p), "privatefile: ") }

// points says how many points were hit. What the program alone has is not hit in a
// server that is part of the kit.
func points(hit map[failpoint.Point]int, inKit bool) string {
	n, of := 0, 0
	for _, p := range failpoint.All() {
		if inKit && outside(p) {
			continue
		}
		of++
		if hit[p] > 0 {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, of)
}

// missed are the points that neither way of dying has come to.
func missed(power, kills map[failpoint.Point]int) (list []failpoint.Point) {
	for _, p := range failpoint.All() {
		if power[p] == 0 && kills[p] == 0 {
			list = append(list, p)
		}
	}
	return list
}

func version() string {
	out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// TestEveryPointIsPassed looks for a point in the sources that is declared and not
// there, and for one that is there and not in the list.
func TestEveryPointIsPassed(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", "--include=*.go", "--exclude=*_test.go", `failpoint\.Hit\(failpoint\.[A-Za-z]+\)`, "../../storage", "../../registry", "../../cmd").Output()
	if err != nil {
		t.Fatal(err)
	}
	declared, err := os.ReadFile("../../storage/failpoint/failpoint.go")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\w+)\s+Point = "(.*)"$`).FindAllStringSubmatch(string(declared), -1) {
		values[m[1]] = m[2]
	}
	passed := map[failpoint.Point]bool{}
	for _, m := range regexp.MustCompile(`failpoint\.Hit\(failpoint\.(\w+)\)`).FindAllStringSubmatch(string(out), -1) {
		passed[failpoint.Point(values[m[1]])] = true
	}
	for _, p := range failpoint.All() {
		if !passed[p] {
			t.Errorf("nothing passes the point %q", p)
		}
		delete(passed, p)
	}
	for p := range passed {
		t.Errorf("the point %q is not in the list of all", p)
	}
}
