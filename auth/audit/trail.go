package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// chainSpace is what a line has beside its record.
	chainSpace = 320
	// wakeSize is how many bytes of lines wait at most for a second to end.
	wakeSize = 64 << 10
	// mostPending is how many bytes of lines wait for a file that takes none,
	// where records are not required. Later ones are counted and lost.
	mostPending = 4 << 20
	// mostSpare is how large a buffer may be that is kept for the next lines.
	mostSpare = 1 << 20
	// spare is room for the trail's own records.
	spare = 4 * longestLine
	// roomStep is how much room is taken at once.
	roomStep = 4 << 20
)

// add makes a record the next line.
func (t *Trail) add(record []byte) {
	t.mu.Lock()
	if len(t.pending) > mostPending && !t.o.Required {
		t.lost++
		t.mu.Unlock()
		return
	}
	t.link(record)
	full := len(t.pending) > wakeSize
	t.mu.Unlock()
	if full {
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// link adds a record to those that wait. mu is held.
func (t *Trail) link(record []byte) {
	t.pending = append(append(t.pending, record...), '\n')
	t.tail += int64(len(record) + chainSpace)
}

// note adds a record of the trail itself.
func (t *Trail) note(event string, details Fields) {
	record := t.service(event, details)
	t.mu.Lock()
	t.link(record)
	t.mu.Unlock()
}

// settle writes what waits, so that the record of an answer is in the file before
// the answer goes out. A fault is logged and shown by Ready: the call has been
// carried out, and its record stays in line.
func (t *Trail) settle() { _ = t.flush() }

// reserve takes room for the record of one call, or says why there is none.
func (t *Trail) reserve() error {
	t.mu.Lock()
	fault := t.fault
	t.mu.Unlock()
	if fault != nil {
		if err := t.flush(); err != nil {
			return unavailable(err)
		}
	}
	for first := true; ; first = false {
		t.mu.Lock()
		free := t.free()
		if free >= longestLine {
			t.underway++
			t.mu.Unlock()
			return nil
		}
		t.mu.Unlock()
		if !first {
			return unavailable(fmt.Errorf("too many calls are under way"))
		}
		if err := t.grow(longestLine - free); err != nil {
			return unavailable(err)
		}
	}
}

// free is the room that no call has taken yet. mu is held.
func (t *Trail) free() int64 { return t.room - t.tail - spare - t.underway*longestLine }

// release gives back room that reserve took.
func (t *Trail) release() {
	t.mu.Lock()
	t.underway--
	t.mu.Unlock()
}

func (t *Trail) countRefused() {
	t.mu.Lock()
	t.refused++
	t.mu.Unlock()
}

// grow takes more room in the file, need bytes at least.
func (t *Trail) grow(need int64) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	if t.file == nil {
		return errClosed
	}
	t.mu.Lock()
	from := max(t.room, t.tail)
	t.mu.Unlock()
	step := max(need, roomStep)
	if err := t.disk.allocate(t.file.f, from, step); err != nil {
		return fmt.Errorf("take room for audit records: %w", err)
	}
	t.mu.Lock()
	t.room = from + step
	t.mu.Unlock()
	return nil
}

// flush writes the lines that wait, begins a new file if this one is full, and
// says in a record what was lost or refused while nothing could be written.
func (t *Trail) flush() error {
	t.writing.Lock()
	defer t.writing.Unlock()
	err := t.write()
	if err == nil && t.tellGaps() {
		err = t.write()
	}
	t.mu.Lock()
	was := t.fault
	t.fault = err
	t.mu.Unlock()
	if (was == nil) != (err == nil) { // once, not at each call
		t.log.Warn("writing of audit records has changed", "err", err)
	}
	if err == nil {
		t.turn()
	}
	return err
}

// write writes what failed before, then what waits. writing is held.
func (t *Trail) write() error {
	if t.file == nil {
		return errClosed
	}
	for {
		if len(t.out) > 0 {
			t.file.beginAt(t.written.sequence+1, t.o.Now())
			n, err := t.disk.writeAt(t.file.f, t.out, t.file.size)
			t.file.size += int64(n)
			t.out = t.out[n:]
			if err != nil {
				return fmt.Errorf("write audit records: %w", err)
			}
			t.written = t.next
		}
		if !t.takeRecords() {
			return nil
		}
	}
}

// takeRecords makes lines of the records that wait, to be written next, and says
// whether there were any. The chain is made here, off the way of those who read.
func (t *Trail) takeRecords() bool {
	t.mu.Lock()
	records := t.pending
	t.pending = t.spare[:0]
	t.mu.Unlock()
	t.out = t.buffer[:0]
	n := 0
	for record := range bytes.SplitSeq(bytes.TrimSuffix(records, []byte{'\n'}), []byte{'\n'}) {
		if len(record) > 0 {
			t.out = t.chain.append(t.out, record)
			n++
		}
	}
	t.buffer, t.next = t.out[:0], t.chain.mark
	t.mu.Lock()
	// What stood for the lines until their length was known was an upper bound.
	t.tail += int64(len(t.out)) - int64(len(records)+n*(chainSpace-1))
	t.mu.Unlock()
	if t.spare = records; cap(records) > mostSpare {
		t.spare, t.buffer = nil, nil
	}
	return n > 0
}

// tellGaps notes what was lost or refused, once there is room for calls again, and
// says whether there was anything.
func (t *Trail) tellGaps() bool {
	t.mu.Lock()
	lost, refused := t.lost, t.refused
	if lost == 0 && refused == 0 || t.o.Required && t.free() < longestLine {
		t.mu.Unlock()
		return false
	}
	t.lost, t.refused = 0, 0
	t.mu.Unlock()
	t.note("RecordsMissing", Fields{{"recordsLost", int64(lost)}, {"callsRefused", int64(refused)}})
	return true
}

// work writes and syncs, until the trail is closed.
func (t *Trail) work() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-t.wake:
			t.settle()
		case <-tick.C:
			t.step()
		}
	}
}

// step is what is done once a second.
func (t *Trail) step() {
	t.settle()
	if err := t.sync(); err != nil {
		t.log.Error("audit records not synced", "err", err)
	}
}

// Sync has the records of all calls that have ended on the disk.
func (t *Trail) Sync() error { return errors.Join(t.flush(), t.sync()) }

// sync has on the disk what is written, and then says so in the head.
func (t *Trail) sync() error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	t.writing.Lock()
	file, at := t.file, t.written
	t.writing.Unlock()
	if file == nil || at.sequence == t.head.at.sequence {
		return nil
	}
	if err := file.f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) { // a file that got full meanwhile is synced
		return fmt.Errorf("sync audit records: %w", err)
	}
	return t.head.set(at)
}
