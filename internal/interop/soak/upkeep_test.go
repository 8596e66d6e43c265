package soak_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// work counts how often something was done.
type work struct{ done atomic.Int64 }

// chore is a command that is given again and again beside the clients.
type chore struct {
	soak  *soak
	every time.Duration
	args  []string
	count *work
}

// upkeep are all of them.
func (k *soak) upkeep() []chore {
	return []chore{
		{k, 3 * time.Second, []string{"gc", "run"}, &k.runs},
		{k, 5 * time.Second, []string{"scrub", "run"}, &k.runs},
		{k, 10 * time.Second, []string{"backup", k.backupDir()}, &k.backups},
		{k, 7 * time.Second, []string{"du"}, &k.runs},
	}
}

func (c chore) work(ctx context.Context, t *testing.T) {
	for again := time.NewTicker(c.every); ; {
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
		if out, err := c.soak.shell.Try("berth", c.args...); err != nil {
			t.Errorf("berth %q: %v\n%s", c.args, err, out)
			return
		}
		c.count.done.Add(1)
	}
}
