package registry

import (
	"context"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Lane is what replicas follow each other in, one by one, in the order of their
// pushes: from one repository to one registry. So tags move there as they did
// here, and the images of a list are there before the list. The zero value stands before all
// others.
type Lane struct {
	To           ID
	Source       ID
	RepositoryID string
}

// Lane is the lane of r.
func (r Replica) Lane() Lane { return Lane{r.To, r.Source.id, r.RepositoryID} }

// PlannedBy says whether r was waiting already when ReplicaDestinations said planned.
func (r Replica) PlannedBy(planned uint64) bool { return r.Number <= sequenceKey(planned) }

func (l Lane) key(parts ...string) []string {
	return append([]string{l.To.Account, l.To.Region, l.Source.Account, l.Source.Region, l.RepositoryID}, parts...)
}

// ReplicaDestinations lists the registries that anything is waiting to be brought
// to, in order. planned grows with each replica that is planned: it is for
// AwaitReplicas.
func (s *Service) ReplicaDestinations(ctx context.Context) (list []ID, planned uint64, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		list = nil
		if planned, err = lastReplica(r); err != nil {
			return err
		}
		for sel := (table.Select{Limit: 1}); ; {
			r, ok, err := firstReplica(r, sel)
			if err != nil || !ok {
				return err
			}
			list = append(list, r.To)
			sel.After = []string{r.To.Account, r.To.Region, behindAll}
		}
	})
	return list, planned, err
}

// Replicas lists the first replica of each lane to a registry, of those behind the given
// lane (zero for the first page), at most limit. more says that there may be others.
func (s *Service) Replicas(ctx context.Context, to ID, after Lane, limit int) (page []Replica, more bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page, more = nil, false
		sel := table.Select{Prefix: []string{to.Account, to.Region}, Limit: 1}
		for lane := after; ; lane = page[len(page)-1].Lane() {
			if lane != (Lane{}) {
				sel.After = lane.key(behindAll)[2:]
			}
			if len(page) == limit {
				more = true
				return nil
			}
			next, ok, err := firstReplica(r, sel)
			if err != nil || !ok {
				return err
			}
			page = append(page, next)
		}
	})
	return page, more, err
}

func firstReplica(rd storage.Reader, sel table.Select) (r Replica, ok bool, err error) {
	for f, err := range replicas.Scan(rd, sel) {
		if err != nil {
			return Replica{}, false, err
		}
		return f.Row.public(f.Key), true, nil
	}
	return Replica{}, false, nil
}

func lastReplica(rd storage.Reader) (uint64, error) {
	row, err := sequences.Get(rd, replicaSequence)
	return row.Last, ignoreNotFound(err)
}

// AwaitReplicas returns when replicas have been planned since ReplicaDestinations
// said planned, or with ctx's error when ctx ends. Other processes' are noticed within a
// second.
func (s *Service) AwaitReplicas(ctx context.Context, planned uint64) error {
	return s.await(ctx, func() (bool, error) {
		now := planned
		err := s.view(ctx, func(r storage.Reader) (err error) {
			now, err = lastReplica(r)
			return err
		})
		return now != planned, err
	})
}
