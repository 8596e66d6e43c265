// Package soak holds one long test: many clients push, pull and delete at one
// server, while lifecycle policies, collection, the scrub and backups work on the
// same store. At the end nothing may be lost, no answer have been a 5xx, no count
// have drifted, and neither memory nor open files have grown.
package soak_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

var (
	duration = flag.Duration("duration", 20*time.Second, "how long the clients work")
	clients  = flag.Int("clients", 32, "how many push at once")
	page     = flag.String("page", "", "`file` that the figures are written to")
	seed     = flag.Uint64("seed", rand.Uint64(), "of what the clients do")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

// settings have everything that works in the background do so all the time.
var settings = []string{
	"--trash-window", "15s", "--gc-grace", "20s", "--gc-interval", "2s", "--scrub-interval", "10s",
	"--lifecycle-interval", "1s", "--pull-time-flush", "1s", "--log-level", "warn",
}

func TestNothingIsLostAndNothingGrows(t *testing.T) {
	s := harness.Start(t, settings...)
	t.Logf("%d clients for %v, seed %d", *clients, *duration, *seed)
	k := &soak{server: s, shell: s.Shell(t), seen: newAnswers(), key: s.CreateKey(t, harness.Account)}
	k.door = s.OCIAt(t, s.URL(), k.seen.client())
	for i := range *clients {
		k.pushers = append(k.pushers, newPusher(t, k, i))
	}
	ctx, stop := context.WithTimeout(t.Context(), *duration)
	defer stop()
	watch := watchProcess(ctx, s.PID())
	var all sync.WaitGroup
	for _, p := range k.pushers {
		all.Go(func() { p.work(ctx, t) })
	}
	for _, u := range k.upkeep() {
		all.Go(func() { u.work(ctx, t) })
	}
	all.Wait()
	growth := watch.growth()
	k.settle(t)
	if n := k.seen.faults(); len(n) > 0 {
		t.Errorf("answers of 5xx: %q", n)
	}
	growth.check(t)
	k.report(t, growth)
}

// soak is one server with all that is done to it.
type soak struct {
	server  *harness.Server
	shell   *harness.Shell
	key     harness.Key
	door    *harness.OCI
	seen    *answers
	pushers []*pusher
	backups work
	runs    work
}

// settle has the store come to rest, and holds it against what the clients know.
func (k *soak) settle(t *testing.T) {
	for _, p := range k.pushers {
		p.checkAll(t.Context(), t, k.door)
	}
	k.shell.Run("berth", "trash", "empty")
	k.shell.Run("berth", "gc", "run")
	k.shell.Run("berth", "fsck")
	k.server.Stop()
	k.shell.Run("berth", "fsck")
	k.restored(t)
	k.server.Launch()
	k.door = k.server.OCI(t)
	for _, p := range k.pushers {
		p.checkAll(t.Context(), t, k.door)
	}
}

// restored brings the last backup back beside the store, and has it looked through.
func (k *soak) restored(t *testing.T) {
	if k.backups.done.Load() == 0 {
		t.Error("no backup was made")
		return
	}
	to := filepath.Join(t.TempDir(), "restored")
	k.shell.Run("berth", "restore", k.backupDir(), to, "--keys", filepath.Join(k.server.Data(), "keys"))
	k.shell.Run("berth", "fsck", "--data", to)
}

func (k *soak) backupDir() string { return filepath.Join(k.server.Dir, "backup") }
