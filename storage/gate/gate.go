// Package gate stands before a store and refuses writes while it is shut: by order,
// because the disk is nearly full or cannot be written, or because it failed.
//
// A [Gate] has a wrapper for the store's [storage.Index] and one for its
// [storage.Blobs]. They watch what comes back from behind them: a failed sync, and
// whatever else leaves open what the disk holds, shuts the gate for good, so that
// nothing is acknowledged by a process that may have lost something. Reads always pass.
package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Reason says why a gate is shut. It may be shut for several.
type Reason string

// The reasons, those first that are told before others.
const (
	// Failed is for good: the gate never opens again.
	Failed Reason = "failed"
	// BySetting and ByOrder are what people want, in the configuration or by a
	// command or signal.
	BySetting Reason = "setting"
	ByOrder   Reason = "order"
	// Unwritable is a disk that takes no writes, as a file system that was turned
	// read-only or a folder whose rights were taken away.
	Unwritable Reason = "unwritable"
	// Full is a disk on which only what is kept back for deletions is left.
	Full Reason = "full"
)

var order = []Reason{Failed, BySetting, ByOrder, Unwritable, Full}

// State is one reason for which a gate is shut.
type State struct {
	Reason Reason
	Why    string // a sentence for people
	Since  time.Time
}

// Gate lets writes to a store pass, or refuses them. It is safe for use by several
// goroutines.
type Gate struct {
	log *slog.Logger

	mu   sync.Mutex
	shut map[Reason]State
	err  error                  // that of the refusal in force, nil while the gate is open
	room func(more int64) error // that of a Disk, nil if none is watched
}

// New is an open gate. Its log is told each time it shuts and opens.
func New(log *slog.Logger) *Gate {
	return &Gate{log: log, shut: map[Reason]State{}}
}

// Shut refuses writes from now on, for a reason which it is shut for until [Gate.Open].
// Writes under way may still be done when it returns.
func (g *Gate) Shut(r Reason, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if old, was := g.shut[r]; was && (r == Failed || old.Why == why) {
		return
	} else if !was {
		g.tell(r, why)
	}
	g.shut[r] = State{Reason: r, Why: why, Since: time.Now().UTC()}
	g.settle()
}

// tell logs that the gate shuts, at a level of what it takes to open it again.
func (g *Gate) tell(r Reason, why string) {
	switch r {
	case Failed:
		g.log.Error("THE STORE FAILED: no write is taken until the server is started anew; reads go on", "why", why)
	case Unwritable, Full:
		g.log.Error("no writes are taken until the disk takes them; reads go on", "reason", string(r), "why", why)
	default:
		g.log.Warn("read-only: no writes are taken", "reason", string(r), "why", why)
	}
}

// Open ends a reason to refuse writes. [Failed] does not end.
func (g *Gate) Open(r Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, was := g.shut[r]; !was || r == Failed {
		return
	}
	delete(g.shut, r)
	g.settle()
	g.log.Info("no reason to refuse writes any more", "reason", string(r), "writes", g.err == nil)
}

// settle finds the error of the refusals to come. The caller has the lock.
func (g *Gate) settle() {
	g.err = nil
	for _, r := range order {
		if s, shut := g.shut[r]; shut {
			g.err = refusal(s)
			return
		}
	}
}

// refusal is what a write is told.
func refusal(s State) error {
	switch s.Reason {
	case Failed:
		return fmt.Errorf("%w: %w: %s", storage.ErrBroken, storage.ErrReadOnly, s.Why)
	case Full:
		return fmt.Errorf("%w: %w: %s", storage.ErrFull, storage.ErrReadOnly, s.Why)
	}
	return fmt.Errorf("%w: %s", storage.ErrReadOnly, s.Why)
}

// States are all reasons for which the gate is shut, none while it is open.
func (g *Gate) States() (list []State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range order {
		if s, shut := g.shut[r]; shut {
			list = append(list, s)
		}
	}
	return list
}

// ShutFor says whether a reason is in force.
func (g *Gate) ShutFor(r Reason) bool {
	return slices.ContainsFunc(g.States(), func(s State) bool { return s.Reason == r })
}

// Err is the refusal that a write would get now, nil while the gate is open.
func (g *Gate) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// hasRoom asks whoever watches the disk whether so many more bytes find room.
func (g *Gate) hasRoom(more int64) error {
	g.mu.Lock()
	room := g.room
	g.mu.Unlock()
	if room == nil {
		return nil
	}
	return room(more)
}

// check refuses a write, or lets it pass. On a full disk one passes that may use the
// reserve.
func (g *Gate) check(mayUseReserve bool) error {
	err := g.Err()
	if mayUseReserve && errors.Is(err, storage.ErrFull) {
		return nil
	}
	return err
}

// passed looks at what came of a write that the gate let pass. A write that went well
// is still not acknowledged if the store failed meanwhile.
func (g *Gate) passed(err error) error {
	switch {
	case err == nil:
		if g.ShutFor(Failed) {
			return g.Err()
		}
	case isFailure(err):
		g.Shut(Failed, err.Error())
		return fmt.Errorf("%w: %w: %w", storage.ErrBroken, storage.ErrReadOnly, err)
	case isUnwritable(err):
		g.Shut(Unwritable, err.Error())
		return fmt.Errorf("%w: %w", storage.ErrReadOnly, err)
	}
	return err
}

// isFailure says that what the store holds is not known any more. A keeper that says
// that it is read-only has given itself up.
func isFailure(err error) bool {
	return errors.Is(err, storage.ErrSync) || errors.Is(err, storage.ErrReadOnly) || errors.Is(err, storage.ErrBroken) ||
		errors.Is(err, syscall.EIO)
}

func isUnwritable(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}
