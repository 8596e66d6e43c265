package registry

import (
	"cmp"
	"context"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// ReplicaQueue is what waits to be brought to a destination.
type ReplicaQueue struct {
	Destination
	Waiting int // counted up to MostCounted
}

// MostCounted is up to where what waits is counted.
const MostCounted = 10_000

// ReplicaQueues are those of the destinations that rules or settings name, or that
// something waits for, in order of account and region.
func (s *Service) ReplicaQueues(ctx context.Context) (list []ReplicaQueue, err error) {
	sources, err := s.ReplicationSources(ctx)
	if err != nil {
		return nil, err
	}
	to, _, err := s.ReplicaDestinations(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range s.live.Load().Destinations {
		to = append(to, d.To)
	}
	for _, some := range sources {
		to = append(to, some...)
	}
	slices.SortFunc(to, func(a, b ID) int { return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region)) })
	for _, id := range slices.Compact(to) {
		q := ReplicaQueue{Destination: s.special(id)}
		if q.Waiting, err = s.replicasWaiting(ctx, id); err != nil {
			return nil, err
		}
		list = append(list, q)
	}
	return list, nil
}

func (s *Service) replicasWaiting(ctx context.Context, to ID) (n int, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		n = 0
		for _, err := range replicas.Scan(r, table.Select{Prefix: []string{to.Account, to.Region}, Limit: MostCounted}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// ReplicatedImage is how far an image has come on its way to a registry.
type ReplicatedImage struct {
	Name   Name
	Digest digest.Digest
	Tags   []Tag
	ReplicationStatus
}

// ReplicatedImages lists how far the images of a repository have come, by image and
// destination, behind a place ("" for the first page) and about as many as limit. With
// unfinished those that are complete are left out. next is where the list goes on, "" if
// it ends. Refusal: RepositoryNotFound.
func (s *Service) ReplicatedImages(ctx context.Context, name Name, unfinished bool, after string, limit int) (page []ReplicatedImage, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page, next = nil, ""
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		sel := table.Select{Prefix: repo.key(), Limit: limit}
		if after != "" {
			sel.After = []string{after, behindAll}
		}
		seen := 0
		for f, err := range replications.Scan(r, sel) {
			if err != nil {
				return err
			}
			if seen++; seen == limit {
				next = f.Key[3]
			}
			if err := repo.appendReplicated(r, &page, f, unfinished); err != nil {
				return err
			}
		}
		return nil
	})
	return page, next, err
}

func (r repository) appendReplicated(rd storage.Reader, page *[]ReplicatedImage, f table.Found[replicationRow], unfinished bool) error {
	status := f.Row.public(ID{f.Key[4], f.Key[5]})
	if unfinished && status.State == ReplicationComplete {
		return nil
	}
	d, err := digest.Parse(f.Key[3])
	if err != nil {
		return err
	}
	named, err := r.tagsOf(rd, d, "", 0)
	*page = append(*page, ReplicatedImage{r.name, d, named, status})
	return err
}
