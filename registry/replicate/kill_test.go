package replicate_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/memory"
	"github.com/seed-78150930/berth/storage/storagetest"
)

// A server that dies at any update of its index while images are replicated brings
// each to its destinations once, when it is started again.
func TestKilledAnywhere(t *testing.T) {
	storagetest.KillAnywhere(t, killAt)
}

// killAt kills a server with its update n, and says whether there was one.
func killAt(t *testing.T, n int, after bool) (killed bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		what := fmt.Sprintf("killed at update %d, committed: %v", n, after)
		index := memory.NewIndex()
		first := open(t, index, west, east)
		pushed := map[string]registry.Image{}
		for i := range 6 {
			path := fmt.Sprintf("team/app-%d", i%2)
			push(t, first, path, fmt.Sprint(i))
			pushed[path] = retag(t, first, path, fmt.Sprint(i), "latest")
		}
		m := storagetest.NewMortal(index, n, after)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- worker(t, reopen(t, m)).Run(ctx) }()
		synctest.Wait()
		killed = m.Dead()
		stop()
		must(t, <-done)

		s := reopen(t, index)
		run(t, s)
		synctest.Wait()
		for _, to := range []registry.ID{west, east} {
			for i := range 2 {
				path := fmt.Sprintf("team/app-%d", i)
				wantCopy(t, s, to, path, "latest", pushed[path])
				if got := state(t, s, path, "latest", to).State; got != registry.ReplicationComplete {
					t.Errorf("%s: %s in %s is %s", what, path, to.Region, got)
				}
			}
		}
		if got := events(t, s, registry.ImageReplicated); got != 24 {
			t.Errorf("%s: %d images are told of, want 24", what, got)
		}
	})
	return killed
}
