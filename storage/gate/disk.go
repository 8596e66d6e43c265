package gate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-78150930/berth/storage"
)

// Space is what a file system says of itself.
type Space struct {
	Free, Size       uint64 // bytes; Free for who is not root
	FreeFiles, Files uint64 // inodes; Files is 0 where they are made as needed
	ReadOnly         bool   // mounted so, or turned so after an error
}

// Marks are how little may be free. Zero members are no mark.
type Marks struct {
	LowBytes, LowFiles   uint64 // below them the disk is called low
	StopBytes, StopFiles uint64 // below them writes are refused
}

// DiskOptions are what is watched. All members but Low are needed.
type DiskOptions struct {
	// Measure asks the file system. It is asked every few seconds and, while bytes
	// come in, some times a second.
	Measure func() (Space, error)
	// Probe writes something and removes it: it says whether a disk that refused a
	// write takes some again.
	Probe func() error
	// Marks are those in force, for a disk of that size.
	Marks func(Space) Marks
	// Low is told when the disk becomes low and when it no longer is; nil means that
	// nobody is.
	Low func(low bool, s Space)
}

// How often the disk is measured at rest, and at most while bytes come in.
const (
	lookPause    = 2 * time.Second
	measurePause = 200 * time.Millisecond
)

// Disk watches the file system of a store, and shuts and opens a gate as it fills and
// empties.
type Disk struct {
	gate *Gate
	o    DiskOptions

	mu    sync.Mutex
	at    time.Time // of the last measure
	space Space
	err   error
	low   bool
	full  bool
}

// Watch has the gate shut while the disk is nearly full or takes no writes. It looks
// once before it returns, and then as [Disk.Run] and the writes of bytes ask for it.
func (g *Gate) Watch(o DiskOptions) *Disk {
	d := &Disk{gate: g, o: o}
	d.Look()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.room = d.Room
	return d
}

// Run looks again and again until ctx ends.
func (d *Disk) Run(ctx context.Context) error {
	t := time.NewTicker(lookPause)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			d.Look()
		}
	}
}

// Look measures the disk, and shuts or opens the gate.
func (d *Disk) Look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.look()
}

// look is Look for who has the lock.
func (d *Disk) look() {
	d.space, d.err = d.o.Measure()
	d.at = time.Now()
	switch {
	case d.err != nil:
		d.gate.Shut(Unwritable, "the disk cannot be asked: "+d.err.Error())
		return
	case d.space.ReadOnly:
		d.gate.Shut(Unwritable, "the file system is mounted read-only")
		return
	case d.gate.ShutFor(Unwritable) && d.o.Probe() == nil:
		d.gate.Open(Unwritable)
	}
	d.weigh(d.o.Marks(d.space))
}

// weigh compares what is free with the marks. A mark that was passed is passed back a
// tenth above it, so that nothing swings.
func (d *Disk) weigh(m Marks) {
	full := under(d.space, m.StopBytes, m.StopFiles, d.full)
	switch {
	case full:
		d.gate.Shut(Full, fmt.Sprintf("the disk is nearly full: writes stop below %s and %d inodes", bytesOf(m.StopBytes), m.StopFiles))
	case d.full:
		d.gate.Open(Full)
	}
	d.full = full
	low := full || under(d.space, m.LowBytes, m.LowFiles, d.low)
	if low == d.low {
		return
	}
	d.low = low
	if low {
		d.gate.log.Warn("little room is left on the disk", "free", d.space.Free, "inodes", d.space.FreeFiles, "low", m.LowBytes, "stop", m.StopBytes)
	} else {
		d.gate.log.Info("there is room on the disk again", "free", d.space.Free)
	}
	if d.o.Low != nil {
		d.o.Low(low, d.space)
	}
}

func under(s Space, bytes, files uint64, was bool) bool {
	if was {
		bytes, files = bytes+bytes/10, files+files/10
	}
	return bytes > 0 && s.Free < bytes || s.Files > 0 && files > 0 && s.FreeFiles < files
}

func bytesOf(n uint64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// Room says whether so many more bytes find room above the mark at which writes stop:
// nil or a storage.ErrFull.
func (d *Disk) Room(more int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := time.Since(d.at) > measurePause
	if fresh {
		d.look()
	}
	err := d.room(more)
	if err != nil && !fresh { // perhaps there is by now
		d.look()
		err = d.room(more)
	}
	return err
}

func (d *Disk) room(more int64) error {
	if d.err != nil { // of that the gate says more
		return nil
	}
	stop := d.o.Marks(d.space).StopBytes
	if d.full || d.space.Free < stop || uint64(max(more, 0)) > d.space.Free-stop {
		return fmt.Errorf("%w: %w: %d more bytes do not fit: %d are free, of which %d are kept back",
			storage.ErrFull, storage.ErrReadOnly, more, d.space.Free, stop)
	}
	return nil
}

// State is what the disk was like when it was last measured, and whether it is low.
func (d *Disk) State() (s Space, low bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.space, d.low
}
