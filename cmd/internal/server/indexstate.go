package server

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// indexState says how the index is, nil where there is no journal.
func (s *store) indexState() *admin.Index {
	if s.kept.Index == nil {
		return nil
	}
	j := s.kept.Status()
	st := &admin.Index{
		Updates: j.Index, Safe: j.Safe, BehindSince: j.Since, Incomplete: j.Broken, Snapshotting: j.Snapshotting,
		Failure: j.Failure, Failed: j.Failed, Cut: j.Cut, SnapshotBytes: j.Size, RecordBytes: j.Records,
	}
	sp := s.kept.file.Space()
	st.FileBytes, st.FreeBytes, st.Compactions = sp.File, sp.Free, s.kept.file.Compactions()
	st.Reading = !s.kept.file.Settled()
	if err := s.kept.file.Damage(); err != nil {
		st.Damage = err.Error()
	}
	if s.rebuilt != nil {
		st.Rebuilt = s.rebuilt.String()
	}
	return st
}

// indexFigures are the state, zero where there is no journal.
func (s *Server) indexFigures(context.Context) (admin.Index, error) {
	if st := s.keeper.store.indexState(); st != nil {
		return *st, nil
	}
	return admin.Index{}, nil
}

// behindSeconds is how long a journal has been behind.
func behindSeconds(x admin.Index) float64 {
	if x.BehindSince.IsZero() {
		return 0
	}
	return time.Since(x.BehindSince).Seconds()
}
