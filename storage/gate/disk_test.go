package gate_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/gate"
	"github.com/seed-78150930/berth/storage/memory"
)

// volume is a disk that a test fills.
type volume struct {
	space    gate.Space
	err      error // of asking it
	takes    error // of writing to it
	measured int
	told     []bool
}

func watched(v *volume) (*gate.Gate, *gate.Disk) {
	g := gate.New(slog.New(slog.DiscardHandler))
	d := g.Watch(gate.DiskOptions{
		Measure: func() (gate.Space, error) { v.measured++; return v.space, v.err },
		Probe:   func() error { return v.takes },
		Marks: func(gate.Space) gate.Marks {
			return gate.Marks{LowBytes: 500, LowFiles: 50, StopBytes: 100, StopFiles: 10}
		},
		Low: func(low bool, _ gate.Space) { v.told = append(v.told, low) },
	})
	return g, d
}

func roomy() gate.Space { return gate.Space{Free: 900, Size: 1000, FreeFiles: 90, Files: 100} }

// A disk fills and empties: what is told, and when writes stop and go on.
func TestMarks(t *testing.T) {
	v := &volume{space: roomy()}
	g, d := watched(v)
	for _, c := range []struct {
		name        string
		free, files uint64
		shut, low   bool
	}{
		{"room", 900, 90, false, false},
		{"low", 499, 90, false, true},
		{"still low a little above", 540, 90, false, true},
		{"room again", 551, 90, false, false},
		{"few inodes", 900, 49, false, true},
		{"full", 99, 90, true, true},
		{"still full a little above", 105, 90, true, true},
		{"room to write", 111, 90, false, true},
		{"no inodes", 900, 9, true, true},
		{"all well", 900, 90, false, false},
	} {
		v.space.Free, v.space.FreeFiles = c.free, c.files
		d.Look()
		if _, low := d.State(); low != c.low || g.ShutFor(gate.Full) != c.shut {
			t.Errorf("%s: low %v, shut %v; want %v, %v", c.name, low, g.States(), c.low, c.shut)
		}
	}
	if diff := cmp.Diff([]bool{true, false, true, false}, v.told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// A file system that makes inodes as it needs them is not out of them.
func TestNoInodes(t *testing.T) {
	v := &volume{space: gate.Space{Free: 900, Size: 1000}}
	if g, _ := watched(v); g.Err() != nil || v.told != nil {
		t.Errorf("%v, told %v", g.Err(), v.told)
	}
}

// A disk that refused a write is tried until it takes one.
func TestUnwritable(t *testing.T) {
	v := &volume{space: roomy(), takes: errors.New("no")}
	g, d := watched(v)
	g.Shut(gate.Unwritable, "a write was refused")
	for _, c := range []struct {
		name string
		set  func()
		shut bool
	}{
		{"it still refuses", func() {}, true},
		{"mounted read-only", func() { v.space.ReadOnly, v.takes = true, nil }, true},
		{"it takes writes again", func() { v.space.ReadOnly = false }, false},
		{"it does not answer", func() { v.err = errors.New("stale") }, true},
		{"it answers again", func() { v.err = nil }, false},
	} {
		c.set()
		if d.Look(); g.ShutFor(gate.Unwritable) != c.shut {
			t.Errorf("%s: %v", c.name, g.States())
		}
	}
}

// Room counts what is kept back, and the disk is not asked for each write.
func TestRoom(t *testing.T) {
	v := &volume{space: roomy()}
	g, _ := watched(v)
	blobs := g.Blobs(memory.NewBlobs())
	meter := blobs.(storage.Meter)
	for n, want := range map[int64]bool{-1: true, 0: true, 800: true, 801: false, 1 << 62: false} {
		if err := meter.Room(t.Context(), n); (err == nil) != want || err != nil && !errors.Is(err, storage.ErrFull) {
			t.Errorf("room for %d: %v", n, err)
		}
	}
	if v.measured != 3 { // at the start, and before each refusal
		t.Errorf("measured %d times at once", v.measured)
	}
	v.space.Free = 2000
	if err := meter.Room(t.Context(), 801); err != nil {
		t.Errorf("room that was made meanwhile: %v", err)
	}
	if g.Err() != nil {
		t.Errorf("a large question shut the gate: %v", g.Err())
	}
	if err := (gate.New(slog.New(slog.DiscardHandler)).Blobs(memory.NewBlobs())).(storage.Meter).Room(t.Context(), 1<<60); err != nil {
		t.Errorf("nobody watches, so there is room: %v", err)
	}
}

// A disk that fills between two looks is noticed by who writes bytes, and one that is
// emptied by the next look.
func TestWriterNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &volume{space: roomy()}
		g, d := watched(v)
		blobs := g.Blobs(memory.NewBlobs())
		v.space.Free = 50
		time.Sleep(time.Second)
		if _, err := blobs.Append(t.Context(), "a", 0, bytes.NewReader(nil)); !errors.Is(err, storage.ErrFull) {
			t.Errorf("Append: %v", err)
		}
		if _, err := blobs.Append(storage.UseReserve(t.Context()), "b", 0, strings.NewReader("x")); err != nil {
			t.Errorf("Append from the reserve: %v", err)
		}
		v.space.Free = 900
		go func() { _ = d.Run(t.Context()) }()
		time.Sleep(3 * time.Second)
		if _, err := blobs.Append(t.Context(), "a", 0, bytes.NewReader(nil)); err != nil {
			t.Errorf("Append once there is room: %v", err)
		}
	})
}
