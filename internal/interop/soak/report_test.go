package soak_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// report says what was done and seen, and writes it to the page that was asked for.
func (k *soak) report(t *testing.T, g growth) {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, "| %s | "+format+" |\n", append([]any{what}, args...)...)
	}
	b.WriteString("| what | figure |\n|---|---:|\n")
	line("time, clients, seed", "%v, %d, %d", *duration, *clients, *seed)
	var pushed, pulled, deleted, again int64
	for _, p := range k.pushers {
		pushed, pulled, deleted, again = pushed+p.pushed.Load(), pulled+p.pulled.Load(), deleted+p.deleted.Load(), again+p.again.Load()
	}
	line("images pushed; pulled whole and compared; deleted by clients", "%d; %d; %d", pushed, pulled, deleted)
	line("pushes that began again because a layer had been collected", "%d", again)
	line("backups; other commands of upkeep", "%d; %d", k.backups.done.Load(), k.runs.done.Load())
	for _, status := range slices.Sorted(maps.Keys(k.seen.count)) {
		line(fmt.Sprintf("answers of %d", status), "%d", k.seen.count[status])
	}
	line("anonymous memory, median of the second quarter; of the last", "%.1f MiB; %.1f MiB", mebibytes(g.memory[0]), mebibytes(g.memory[1]))
	line("open files, likewise", "%d; %d", g.files[0], g.files[1])
	line("lost, damaged, left over, drifted", "%s", map[bool]string{false: "0", true: "see the log"}[t.Failed()])
	t.Logf("\n%s", &b)
	if *page == "" || t.Failed() {
		return
	}
	text := "# The soak\n\nWritten by `make soak` on " + time.Now().UTC().Format("2 January 2006") + ". docs/durability.md says what it does.\n\n" + b.String()
	if err := os.WriteFile(*page, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
