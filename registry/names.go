package registry

import (
	"context"

	"github.com/seed-78150930/berth/storage"
)

// RepositoryNames lists the names of what Repositories lists, at less cost where the
// sight takes in all of them: then no row is read, but the keys alone.
// Refusals: as Repositories.
func (s *Service) RepositoryNames(ctx context.Context, id ID, after string, limit int, v Sight) (page []Name, more bool, err error) {
	page, more, all, err := s.allNames(ctx, id, after, limit, v)
	if all || err != nil {
		return page, more, err
	}
	list, more, err := s.Repositories(ctx, id, after, limit, v)
	page = make([]Name, len(list))
	for i, repo := range list {
		page[i] = repo.Name
	}
	return page, more, err
}

// allNames is RepositoryNames where all are seen, as far as policies tell in the
// transaction that reads the names; else all is false.
func (s *Service) allNames(ctx context.Context, id ID, after string, limit int, v Sight) (page []Name, more, all bool, err error) {
	if v.look != nil && !v.everywhere {
		return nil, false, false, nil
	}
	err = s.view(ctx, func(rd storage.Reader) error {
		page, more = nil, false
		policies, err := s.policiesOf(rd, id, v)
		if all = policies.allSeen; err != nil || !all {
			return err
		}
		page = make([]Name, 0, min(limit, usualPage))
		for path, err := range repositories.Names(rd, id.selectAfter(after, limit)) {
			if err != nil {
				return err
			}
			if more = len(page) == limit; more {
				break
			}
			page = append(page, Name{id, path})
		}
		return nil
	})
	return page, more, all, err
}

// usualPage is for how many names there is room from the beginning.
const usualPage = 100
