package boltindex

import (
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// When the file is compacted without being asked: it has more than compactOver bytes in
// pages, and more than half of them are free. It is looked at when it is opened, and
// then once in lookEvery; after a compaction that failed not before failedEvery.
const (
	compactOver = 16 << 20
	lookEvery   = 10 * time.Minute
	failedEvery = time.Hour
)

// Space is what the pages of a file are used for. bbolt does not give back to the file
// system what is free: it keeps it for later updates.
type Space struct {
	File  int64 // bytes of the file, with what it has in reserve
	Pages int64 // bytes of the pages that ever held something
	Free  int64 // bytes of those of them that are free, about, as they were last looked at
}

func (s Space) due(over int64) bool { return s.Pages > over && s.Free > s.Pages/2 }

// Space returns the size of the file now, and of its pages as they were when the
// file was opened, compacted, or last looked at: some minutes ago at most.
func (x *Index) Space() Space {
	x.mu.Lock()
	s := x.space
	x.mu.Unlock()
	if info, err := os.Stat(x.path); err == nil {
		s.File = info.Size()
	}
	return s
}

// Compactions is how often the file was compacted since it was opened.
func (x *Index) Compactions() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.compactions
}

// room asks whether there is room for a copy of the file, which is as large as it at
// most.
func (x *Index) room(size int64) error {
	s := x.Space()
	if x.o.Room == nil {
		return nil
	}
	return x.o.Room(max(0, size-s.Free) + copyAlloc)
}

// keepSmall compacts the file whenever that is due, until the index is closed.
func (x *Index) keepSmall() {
	wait := time.Duration(0)
	for {
		select {
		case <-x.ending.Done():
			return
		case <-time.After(wait):
		}
		wait = lookEvery
		if err := x.compactIfDue(); err != nil && x.ending.Err() == nil {
			x.log.Warn("index not compacted", "path", x.path, "again_in", failedEvery, "error", err)
			wait = failedEvery
		}
	}
}

func (x *Index) compactIfDue() error {
	if err := x.look(); err != nil {
		return err
	}
	x.mu.Lock()
	due := x.space.due(x.o.compactOver)
	x.mu.Unlock()
	if !due {
		return nil
	}
	if _, err := x.Compact(x.ending); err != nil {
		return err
	}
	return x.look()
}

// look counts the free pages, if there was an update since the last time.
func (x *Index) look() error {
	x.mu.Lock()
	seen, path := x.looked, x.path
	x.mu.Unlock()
	now := lookedAt{x.last.Load(), x.Compactions()}
	if seen == now {
		return nil
	}
	ids := pick(path)
	if err := x.takeBaton(x.ending); err != nil {
		return err
	}
	defer x.passBaton()
	x.finishGroup()
	if err := x.sound(); err != nil {
		return err
	}
	s, err := sampleSpace(x.file.db, ids)
	if err != nil {
		return err
	}
	x.noteSpace(s, now)
	return nil
}

// lookedAt is when a file was looked at.
type lookedAt struct {
	update      uint64
	compactions int64
}

func (x *Index) noteSpace(s Space, at lookedAt) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.space, x.looked = s, at
}

// samples is of how many pages it is asked whether they are free, if there are more:
// then the share that is found is right within three in a hundred, nearly always.
const samples = 1024

// firstLook counts the free pages of a file that was just opened.
func (x *Index) firstLook() error {
	s, ok, err := keptSpace(x.path)
	if err == nil && !ok {
		s, err = sampleSpace(x.file.db, pick(x.path))
	}
	if err == nil {
		x.noteSpace(s, lookedAt{update: x.last.Load()})
	}
	return err
}

// keptSpace reads how many free pages a file's list has, if it has one, as files
// that were closed do.
func keptSpace(path string) (s Space, ok bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, false, err
	}
	defer f.Close()
	m, err := readMeta(f)
	if err != nil || m.freelist == noFreelist {
		return s, false, err
	}
	var head [pageHead + 8]byte
	if _, err := f.ReadAt(head[:], int64(m.freelist)*int64(m.pageSize)); err != nil {
		return s, false, err
	}
	count := int64(order.Uint16(head[10:]))
	if count == math.MaxUint16 { // it stands in the list's first place
		count = int64(order.Uint64(head[pageHead:]))
	}
	size := int64(m.pageSize)
	return Space{Pages: int64(m.pages) * size, Free: count * size}, true, nil
}

// pick chooses the pages to ask about: all, or some by chance if there are many. It reads
// them, so that whoever asks with the baton held need not wait for a disk. What goes
// wrong shows when they are asked about.
func pick(path string) (ids []int) {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	m, err := readMeta(f)
	if err != nil {
		return nil
	}
	if m.pages <= samples {
		for id := range int(m.pages) {
			ids = append(ids, id)
		}
		return ids
	}
	for range samples {
		ids = append(ids, rand.IntN(int(m.pages)))
	}
	slices.Sort(ids)
	var head [pageHead]byte
	for _, id := range ids {
		_, _ = f.ReadAt(head[:], int64(id)*int64(m.pageSize))
	}
	return ids
}

// sampleSpace asks bbolt whether pages are free, and takes the share of them for that
// of all. No transaction that writes may be open.
func sampleSpace(db *bbolt.DB, ids []int) (s Space, err error) {
	err = attempt(func() (err error) {
		tx, err := db.Begin(true) // only such a one may ask
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, tx.Rollback()) }()
		free := 0
		for _, id := range ids {
			page, err := tx.Page(id)
			if err != nil {
				return err
			}
			if page != nil && page.Type == "free" {
				free++
			}
		}
		s.Pages = tx.Size()
		if len(ids) > 0 {
			s.Free = int64(float64(s.Pages) * float64(free) / float64(len(ids)))
		}
		return nil
	})
	return s, err
}
