package journal

import "time"

// Status says how a journal is.
type Status struct {
	// Index is the number of the index's last update, Safe that of the last one up
	// to which the journal would give the index back after a power cut.
	Index, Safe uint64
	// Since is when the oldest update came that is not safe; zero if all are.
	Since time.Time
	// Broken says that updates are missing between Safe and what is written now:
	// a new snapshot is needed, or under way.
	Broken bool
	// Snapshot is the last whole one, zero if there is none; Size is its bytes.
	Snapshot SnapshotEnd
	Size     int64
	// Records is how many bytes of records there are since.
	Records int64
	// Snapshotting says that one is being written.
	Snapshotting bool
	// Failure is what went wrong last, "" if nothing did, and Failed when.
	Failure string
	Failed  time.Time
	// Cut says what was lost of the journal when it was opened, "" if nothing.
	Cut string
}

// Behind is how many updates are not safe.
func (s Status) Behind() uint64 { return s.Index - min(s.Index, s.Safe) }

// Status says how the journal is.
func (x *Index) Status() Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.status
	s.Index = x.inner.Last()
	if s.Since.IsZero() && s.Behind() > 0 {
		s.Since = x.oldest
	}
	if s.Behind() == 0 {
		s.Since = time.Time{}
	}
	return s
}
