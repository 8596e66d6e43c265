package memory

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/storage"
)

var errClosed = errors.New("memory: index is closed")

// Index is a storage.Index, and a storage.Numbered. Updates run one by one; a view sees the state of
// its beginning and holds up nobody, however long it lasts.
type Index struct {
	turn chan struct{} // holds one token while an update runs

	mu      sync.Mutex // guards what follows
	root    *node
	last    uint64 // number of the update that left it
	closed  bool
	running sync.WaitGroup
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{turn: make(chan struct{}, 1)}
}

// View implements storage.Index.
func (x *Index) View(ctx context.Context, fn func(storage.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := x.enter(); err != nil {
		return err
	}
	defer x.running.Done()
	return fn(x.snapshot())
}

// Update implements storage.Index. A context that ends while other updates
// are running ends the wait; one that ends later has no effect.
func (x *Index) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := x.enter(); err != nil {
		return err
	}
	defer x.running.Done()
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-x.turn }()
	t := x.snapshot()
	t.number++
	if err := fn(t); err != nil || !t.wrote {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.root, x.last = t.root, t.number
	return nil
}

// Close implements storage.Index. Later transactions fail.
func (x *Index) Close() error {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.running.Wait()
	return nil
}

func (x *Index) enter() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return errClosed
	}
	x.running.Add(1)
	return nil
}

// Last implements storage.Numbered.
func (x *Index) Last() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last
}

// Renumber has the next update get the number after last.
func (x *Index) Renumber(ctx context.Context, last uint64) error {
	select {
	case x.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-x.turn }()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last = last
	return nil
}

func (x *Index) snapshot() *tx {
	x.mu.Lock()
	defer x.mu.Unlock()
	return &tx{root: x.root, number: x.last}
}

// tx is a transaction of either kind: a root that its writes replace.
type tx struct {
	root   *node
	number uint64
	wrote  bool
}

// Number implements storage.Numbering.
func (t *tx) Number() uint64 { return t.number }

func (t *tx) Get(key string) ([]byte, error) {
	n := t.root.find(key)
	if n == nil {
		return nil, storage.ErrNotFound
	}
	return n.value, nil
}

// Scan shows the range as it is when the loop begins.
func (t *tx) Scan(r storage.Range) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		seen := 0
		t.root.from(r.Start(), func(n *node) bool {
			if !strings.HasPrefix(n.key, r.Prefix) {
				return false
			}
			seen++
			return yield(storage.Entry{Key: n.key, Value: n.value}, nil) && seen != r.Limit
		})
	}
}

func (t *tx) Put(key string, value []byte) error {
	if err := storage.CheckRow(key, value); err != nil {
		return err
	}
	t.wrote = true
	t.root = t.root.with(strings.Clone(key), append([]byte{}, value...))
	return nil
}

func (t *tx) Delete(key string) error {
	if t.root.find(key) == nil {
		return nil
	}
	t.wrote = true
	t.root = t.root.without(key)
	return nil
}
