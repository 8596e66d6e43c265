package server

import "github.com/seed-78150930/berth/cmd/internal/admin"

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
	if err := s.kept.file.Damage(); err != nil {
		st.Damage = err.Error()
	}
	if s.rebuilt != nil {
		st.Rebuilt = s.rebuilt.String()
	}
	return st
}
