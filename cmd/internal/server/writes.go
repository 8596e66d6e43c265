package server

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/volume"
	"github.com/seed-78150930/berth/storage/gate"
)

// What a share of the disk is at most, as a setting of it, and how many inodes are
// kept back with it.
const (
	mostLow, mostStop = 10 << 30, 1 << 30
	lowFiles          = 10_000
	stopFiles         = 1_000
	filesShare        = 100 // one inode in so many, if that is less
)

// marks are how little may be free on a disk.
func marks(c *config.Config, s gate.Space) gate.Marks {
	m := gate.Marks{LowBytes: c.DiskLow.Of(s.Size, mostLow), StopBytes: c.DiskStop.Of(s.Size, mostStop)}
	if m.LowBytes > 0 {
		m.LowFiles = min(lowFiles, 5*s.Files/filesShare)
	}
	if m.StopBytes > 0 {
		m.StopFiles = min(stopFiles, s.Files/filesShare)
	}
	return m
}

// watchDisk has writes refused while the disk has no room for them. A store in memory
// has no disk.
func (s *Server) watchDisk() {
	dir := s.keeper.store.dir
	if dir == nil {
		return
	}
	s.disk = s.keeper.store.gate.Watch(gate.DiskOptions{
		Measure: func() (gate.Space, error) { return volume.Space(dir.Path()) },
		Probe:   func() error { return volume.Probe(dir.Tmp(), filepath.Join(dir.Blobs(), "00")) },
		Marks:   func(sp gate.Space) gate.Marks { return marks(s.config.Load(), sp) },
	})
}

// runDisk watches it until ctx ends.
func (s *Server) runDisk(ctx context.Context) error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Run(ctx)
}

// obeyReadOnly does what the setting says.
func (s *Server) obeyReadOnly(c *config.Config) {
	if c.ReadOnly {
		s.keeper.store.gate.Shut(gate.BySetting, "the setting read-only says so")
	} else {
		s.keeper.store.gate.Open(gate.BySetting)
	}
}

// ReadOnly implements admin.Writes.
func (s *Server) ReadOnly(_ context.Context, on bool) (admin.WriteState, error) {
	g := s.keeper.store.gate
	if on {
		g.Shut(gate.ByOrder, "a command or signal ordered it")
	} else {
		g.Open(gate.ByOrder)
	}
	return s.writeState(), nil
}

// ToggleReadOnly orders that no writes are taken, or ends that order.
func (s *Server) ToggleReadOnly() {
	_, _ = s.ReadOnly(context.Background(), !s.keeper.store.gate.ShutFor(gate.ByOrder)) // which does not fail
}

// WriteState implements admin.Writes.
func (s *Server) WriteState(context.Context) (admin.WriteState, error) { return s.writeState(), nil }

func (s *Server) writeState() admin.WriteState {
	w := admin.WriteState{Refused: []admin.Refused{}}
	for _, r := range s.keeper.store.gate.States() {
		w.Refused = append(w.Refused, admin.Refused{Reason: string(r.Reason), Why: r.Why, Since: r.Since})
	}
	return w
}

// diskState is what the disk of the data folder was like when it was last measured,
// nil for a store in memory.
func (s *Server) diskState() *admin.Disk {
	if s.disk == nil {
		return nil
	}
	sp, low := s.disk.State()
	m := marks(s.config.Load(), sp)
	return &admin.Disk{Free: sp.Free, Size: sp.Size, FreeFiles: sp.FreeFiles, Files: sp.Files, Low: low, LowBytes: m.LowBytes, StopBytes: m.StopBytes}
}

// storeFault is why the store is not to be relied on, nil if it is. What people ordered,
// and a disk that has room for reads alone, is none.
func (s *Server) storeFault() error {
	states := s.keeper.store.gate.States()
	i := slices.IndexFunc(states, func(st gate.State) bool { return st.Reason == gate.Failed || st.Reason == gate.Unwritable })
	if i < 0 {
		return nil
	}
	return errors.New("no writes are taken: " + states[i].Why)
}

// writeFigures are what metrics tell of writes and the disk.
type writeFigures struct {
	refused map[string]float64 // by reason
	disk    *admin.Disk
}

func (s *Server) writeFigures(context.Context) (writeFigures, error) {
	f := writeFigures{refused: map[string]float64{}, disk: s.diskState()}
	for _, r := range []gate.Reason{gate.Failed, gate.BySetting, gate.ByOrder, gate.Unwritable, gate.Full} {
		f.refused[string(r)] = 0
	}
	for _, st := range s.keeper.store.gate.States() {
		f.refused[string(st.Reason)] = 1
	}
	if f.disk == nil {
		f.disk = &admin.Disk{}
	}
	return f, nil
}
