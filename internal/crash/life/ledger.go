package life

import (
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

// ledger is what was acknowledged over all lives of a store.
type ledger struct {
	clock atomic.Int64 // counts up with each beginning and end of a call

	mu    sync.Mutex
	calls []porcupine.Operation
	open  []int            // of calls, those whose outcome is not known; they end with the life
	blobs map[string]bool  // "repository digest" of layers that are to be there
	drops map[string]int64 // how often a repository began to be deleted
	// dropping is how many deletions of a repository are under way.
	dropping map[string]int
	bytes    map[string][]byte // of layers, by digest
	ups      []*upload
	loose    bool // layers that no image needs are not to be there
}

// upload is one that was begun. Several clients may go on with it.
type upload struct {
	key, id  string
	api      bool
	seed     uint64 // of its bytes
	at       int64  // where it is thought to stand
	finished bool   // or was tried to be
}

func newLedger(u *universe) *ledger {
	return &ledger{bytes: maps.Clone(u.blobs), blobs: map[string]bool{}, drops: map[string]int64{}, dropping: map[string]int{}}
}

// note makes a call and keeps how it ended. Once lost says true there was no answer.
func (l *ledger) note(client int, c call, lost func() bool, ask func() result) result {
	op := porcupine.Operation{ClientId: client, Input: c, Call: l.clock.Add(1)}
	r := ask()
	if lost() {
		r = result{}
	}
	op.Output, op.Return = r, l.clock.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.outcome == unknown {
		l.open = append(l.open, len(l.calls))
	}
	l.calls = append(l.calls, op)
	return r
}

// endLife ends the calls that were under way: what they did they have done by now.
// Of each upload it notes that there was a cut.
func (l *ledger) endLife() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.open {
		l.calls[n].Return = l.clock.Load()
	}
	l.clock.Add(1)
	l.open = nil
	clear(l.dropping)
	for _, u := range l.ups {
		now := l.clock.Add(1)
		l.calls = append(l.calls, porcupine.Operation{Input: call{do: cut, key: u.key}, Output: result{}, Call: now, Return: now})
	}
}

// beginDrop says that a repository may be deleted from now on: none of its layers is
// sure to be there. They can be again when the returned function has been called, or
// in the next life.
func (l *ledger) beginDrop(repo string) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drops[repo]++
	l.dropping[repo]++
	maps.DeleteFunc(l.blobs, func(key string, _ bool) bool { return strings.HasPrefix(key, repo+" ") })
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.dropping[repo]--
	}
}

// since is a mark for keep: of a layer that is sent from now on.
func (l *ledger) since(repo string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropping[repo] > 0 {
		return -1
	}
	return l.drops[repo]
}

// keep notes a layer that was acknowledged, unless its repository may have been
// deleted since.
func (l *ledger) keep(repo, digest string, since int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drops[repo] == since && !l.loose {
		l.blobs[repo+" "+digest] = true
	}
}

func (l *ledger) has(repo, digest string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blobs[repo+" "+digest]
}

func (l *ledger) addUpload(u *upload) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ups = append(l.ups, u)
}

func (l *ledger) key() string { return fmt.Sprintf("upload %d", l.clock.Add(1)) }

// learn notes the bytes of a layer that is about to be sent.
func (l *ledger) learn(blob []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes[sum(blob)] = blob
}
