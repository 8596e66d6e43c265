package storagetest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/storage"
)

// ErrDead is what a Mortal answers once it has died.
var ErrDead = errors.New("storagetest: the process is dead")

// Mortal is an index as a process has it that is killed with one of its updates: from then
// on it answers nothing. What was committed is in the index below it, for the next process.
type Mortal struct {
	storage.Index
	after bool

	mu    sync.Mutex
	lives int
	dead  bool
}

// NewMortal makes one that dies with update n, 1 being the first: before it is committed,
// or after, when nobody learns that it was.
func NewMortal(x storage.Index, n int, after bool) *Mortal {
	return &Mortal{Index: x, lives: n, after: after}
}

// Update is that of the index below, while there is life.
func (m *Mortal) Update(ctx context.Context, fn func(storage.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return ErrDead
	}
	if m.lives--; m.lives > 0 {
		return m.Index.Update(ctx, fn)
	}
	m.dead = true
	if m.after {
		return errors.Join(ErrDead, m.Index.Update(ctx, fn))
	}
	return errors.Join(ErrDead, m.Index.Update(ctx, func(tx storage.Tx) error { return errors.Join(fn(tx), ErrDead) }))
}

// View is that of the index below, while there is life.
func (m *Mortal) View(ctx context.Context, fn func(storage.Reader) error) error {
	if m.Dead() {
		return ErrDead
	}
	return m.Index.View(ctx, fn)
}

// Dead says whether it has died.
func (m *Mortal) Dead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// KillAnywhere runs a test for each update there is, before and after its commit: for
// update 1, 2 and so on, until the test says that there was none that killed.
func KillAnywhere(t *testing.T, run func(t *testing.T, n int, after bool) (killed bool)) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for n, killed := 1, true; killed; n++ {
			killed = run(t, n, after)
			if n > 1000 {
				t.Fatal("there is no end to the updates")
			}
		}
	}
}
