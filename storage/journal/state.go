package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"slices"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// ErrNothing says that a journal cannot tell a whole state: there is none, its
// first snapshot was never finished, or what is needed of it is damaged.
var ErrNothing = errors.New("journal: it holds no whole state")

// At says which state is asked for. The zero At is the last one.
type At struct {
	// Number, if not 0, is the last update that is to be in the state.
	Number uint64
	// Time, if not zero, is a bound too: the state ends before the first record
	// that is younger.
	Time time.Time
}

// State is an index as it was at a number, read from the files of a journal. It
// must be closed. It reads on though the journal removes the files.
type State struct {
	// Number is that of the last update in it, and Time when that was; zero for
	// what is as old as the journal.
	Number uint64
	Time   time.Time
	// Cut tells of what in the files is damaged and was left out, a sentence each.
	// Updates after Number may have been there.
	Cut []string

	snapshot *os.File // nil if the rows begin from nothing
	begin    uint64   // the last update before the first record
	segments []span
	memory   int // for records, in bytes
}

// span is a segment as far as it is of use.
type span struct {
	file *os.File
	end  int64
	last uint64
}

// overlayMemory bounds the memory that a walk over rows takes for records.
const overlayMemory = 128 << 20

// Open reads which states the journal in a folder can tell and opens the one that
// is asked for. The error is ErrNothing if there is none. Nothing is changed.
func Open(dir string, at At) (*State, error) {
	l, err := list(dir)
	if err != nil {
		return nil, err
	}
	var cut []string
	for _, root := range l.roots() {
		s := &State{memory: overlayMemory, Cut: cut}
		err := s.open(dir, root, l.segments, at)
		if err == nil {
			return s, nil
		}
		cut = s.Cut
		if err := errors.Join(s.Close()); err != nil {
			return nil, err
		}
		if !errors.Is(err, ErrNothing) && !errors.Is(err, ErrDamaged) {
			return nil, err
		}
		cut = append(cut, err.Error())
	}
	return nil, fmt.Errorf("%w%s", ErrNothing, because(cut))
}

func because(cut []string) (text string) {
	for _, c := range cut {
		text += "; " + c
	}
	return text
}

// root is where a state may begin: at a snapshot or at a segment from nothing.
type root struct {
	number   uint64
	snapshot bool
}

// roots are all there may be, the best first.
func (l listing) roots() (all []root) {
	for _, n := range slices.Backward(l.snapshots) {
		all = append(all, root{n, true})
	}
	for _, n := range slices.Backward(l.segments) {
		all = append(all, root{n, false})
	}
	return all
}

// open opens the state that begins at a root.
func (s *State) open(dir string, r root, segments []uint64, at At) error {
	needs, err := s.openRoot(dir, r)
	if err != nil {
		return err
	}
	s.Number = s.begin
	for _, n := range segments {
		if n < r.number {
			continue
		}
		whole, err := s.openSegment(dir, n, r, at)
		if err != nil {
			return err
		}
		if !whole {
			break
		}
	}
	if s.Number < needs {
		return fmt.Errorf("%w: snapshot %d needs the records up to update %d, and they end at %d", ErrNothing, r.number, needs, s.Number)
	}
	if !r.snapshot && len(s.segments) == 0 {
		return fmt.Errorf("%w: segment %d does not begin from nothing", ErrNothing, r.number)
	}
	return nil
}

// openRoot opens the snapshot of a root, if it has one, and says up to which
// number it needs records.
func (s *State) openRoot(dir string, r root) (needs uint64, err error) {
	if !r.snapshot {
		return 0, nil
	}
	path := snapshotPath(dir, r.number)
	if s.snapshot, err = os.Open(path); err != nil {
		return 0, err
	}
	reader, err := NewSnapshotReader(s.snapshot)
	if err == nil {
		err = reader.Verify()
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	end := reader.End()
	s.begin, s.Time = end.Begin, end.Time
	return end.Number, nil
}

// openSegment takes what is of use of the next segment, and says whether all of
// it was.
func (s *State) openSegment(dir string, n uint64, r root, at At) (whole bool, err error) {
	path := segmentPath(dir, n)
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	records, err := NewRecordReader(f)
	if err != nil {
		s.Cut = append(s.Cut, fmt.Sprintf("%s: %v", path, err))
		return false, errors.Join(unlessDamaged(err), f.Close())
	}
	if !r.snapshot && n == r.number && records.frames.first.flags&fromNothing == 0 {
		return false, f.Close()
	}
	if records.Last() != s.Number {
		s.Cut = append(s.Cut, fmt.Sprintf("%s: it begins after update %d, and the records before it end at %d", path, records.Last(), s.Number))
		return false, f.Close()
	}
	part := span{file: f, end: records.Good(), last: records.Last()}
	for {
		rec, err := records.Next()
		if err == io.EOF {
			whole = true
			break
		}
		if errors.Is(err, ErrDamaged) {
			s.Cut = append(s.Cut, fmt.Sprintf("%s: %v; records after update %d are lost", path, err, s.Number))
			break
		}
		if err != nil {
			return false, errors.Join(err, f.Close())
		}
		if at.before(rec) {
			break
		}
		part.end, part.last = records.Good(), rec.Number
		s.Number, s.Time = rec.Number, rec.Time
	}
	s.segments = append(s.segments, part)
	return whole, nil
}

func unlessDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}

// before says that a record comes after what is asked for.
func (a At) before(r Record) bool {
	return a.Number != 0 && r.Number > a.Number || !a.Time.IsZero() && r.Time.After(a.Time)
}

// Close closes the files.
func (s *State) Close() error {
	var errs []error
	if s.snapshot != nil {
		errs = append(errs, s.snapshot.Close())
	}
	for _, part := range s.segments {
		errs = append(errs, part.file.Close())
	}
	return errors.Join(errs...)
}

// Begin is the last update of which no record is there: [State.Records] can tell
// of those after it.
func (s *State) Begin() uint64 { return s.begin }

// Records yields the records after a number, up to the state's own, in order; what
// is in one is lent until the next.
func (s *State) Records(ctx context.Context, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if after < s.begin {
			yield(Record{}, fmt.Errorf("%w: the records begin after update %d", ErrNothing, s.begin))
			return
		}
		for _, part := range s.segments {
			if part.last <= after {
				continue
			}
			if !part.records(ctx, after, yield) {
				return
			}
		}
	}
}

// records yields those of one segment, and says whether to go on.
func (p span) records(ctx context.Context, after uint64, yield func(Record, error) bool) bool {
	reader, err := NewRecordReader(io.NewSectionReader(p.file, 0, p.end))
	for err == nil {
		var r Record
		if r, err = reader.Next(); err != nil {
			break
		}
		if r.Number <= after {
			continue
		}
		if r.Number%1024 == 0 {
			if err = ctx.Err(); err != nil {
				break
			}
		}
		if !yield(r, nil) {
			return false
		}
	}
	if err == io.EOF {
		return true
	}
	yield(Record{}, fmt.Errorf("%s: %w", p.file.Name(), err))
	return false
}

// Rows yields the rows of the state in the order of their keys; what is in one is
// lent until the next. It may be called again.
func (s *State) Rows(ctx context.Context) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		old, stop := s.oldRows()
		defer stop()
		m := merge{ctx: ctx, state: s, old: old}
		m.rows(yield)
	}
}

// oldRows pulls the rows of the snapshot.
func (s *State) oldRows() (next func() (storage.Entry, error, bool), stop func()) {
	if s.snapshot == nil {
		return func() (e storage.Entry, err error, more bool) { return }, func() {}
	}
	reader, err := NewSnapshotReader(io.NewSectionReader(s.snapshot, 0, math.MaxInt64))
	if err != nil {
		return func() (storage.Entry, error, bool) { return storage.Entry{}, err, true }, func() {}
	}
	return iter.Pull2(reader.Rows())
}

// WriteTo writes the state as a snapshot of which all rows are of one number.
func (s *State) WriteTo(ctx context.Context, w io.Writer) (SnapshotEnd, error) {
	out, err := NewSnapshotWriter(w, s.Number)
	if err != nil {
		return SnapshotEnd{}, err
	}
	for e, err := range s.Rows(ctx) {
		if err != nil {
			return SnapshotEnd{}, err
		}
		if err := out.Put(e.Key, e.Value); err != nil {
			return SnapshotEnd{}, err
		}
	}
	return out.Finish(s.Number, s.Time)
}
