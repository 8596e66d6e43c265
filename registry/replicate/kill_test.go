package replicate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// mortal is an index that dies with one of its updates: just before it commits,
// or just after, when nobody learns that it did.
type mortal struct {
	storage.Index
	mu    sync.Mutex
	lives int
	after bool
	died  chan struct{} // closed then
}

func (m *mortal) Update(ctx context.Context, fn func(storage.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lives--
	switch {
	case m.lives > 0:
		return m.Index.Update(ctx, fn)
	case m.lives < 0:
		return errBroken
	}
	close(m.died)
	err := errBroken
	if m.after {
		if done := m.Index.Update(ctx, fn); done != nil {
			err = done
		}
		return err
	}
	_ = m.Index.Update(ctx, func(tx storage.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errBroken
	})
	return err
}

// A server that dies at any update of its index while images are replicated brings
// each to its destinations once, when it is started again.
func TestKilledAnywhere(t *testing.T) {
	for _, after := range []bool{false, true} {
		for n, killed := 1, true; killed; n++ {
			killed = killAt(t, n, after)
			if n > 1000 {
				t.Fatal("there is no end to the updates")
			}
		}
	}
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
		m := &mortal{Index: index, lives: n, after: after, died: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- worker(t, reopen(t, m)).Run(ctx) }()
		synctest.Wait()
		select {
		case <-m.died:
			killed = true
		default:
		}
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
