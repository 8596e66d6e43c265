package fsblob

import (
	"sync"
	"sync/atomic"
)

// names has the names in one folder put on disk. Uploads of the same moment are in
// the same folder, so that those who ask while a sync is under way share the next one.
type names struct {
	asked atomic.Uint64 // how many have asked so far

	turn   sync.Mutex // of who syncs; guards what follows
	synced uint64     // how many had asked when the last sync began
	failed uint64     // how many had when the last one began that failed
	err    error      // of that one
}

// sync returns when a sync that began after the call has ended. Whoever waited for
// one that failed learns of that failure, also if a later one says that all is well.
func (n *names) sync(folder func() error) error {
	ticket := n.asked.Add(1)
	n.turn.Lock()
	defer n.turn.Unlock()
	if n.synced < ticket {
		began := n.asked.Load()
		if err := folder(); err != nil {
			n.failed, n.err = began, err
		}
		n.synced = began
	}
	if ticket <= n.failed {
		return n.err
	}
	return nil
}
