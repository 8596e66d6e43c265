package registry

import (
	"context"
	"errors"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Sight is what somebody may see of the repositories of a registry. The zero Sight,
// which is the server's, sees all.
type Sight struct {
	look auth.Look
	// everywhere says that all repositories without policies are seen, if the registry
	// has none either.
	everywhere bool
	// all asks for all repositories at once: what a list without anything to see ends
	// with.
	all func(context.Context) error
}

// SightFor is who may see what by an authorizer: a repository is seen by whoever
// may do the check's action to it. The check's resource is all repositories of the
// registry; whoever may see none, and is denied those too, is told so.
func SightFor(ctx context.Context, a auth.Authorizer, c auth.Check) (Sight, error) {
	look, err := auth.LookFor(ctx, a, c)
	if err != nil {
		return Sight{}, err
	}
	everywhere, err := auth.AllowedEverywhere(ctx, a, c)
	if err != nil {
		return Sight{}, err
	}
	return Sight{look, everywhere, func(ctx context.Context) error { return a.Authorize(ctx, c) }}, nil
}

func (v Sight) sees(ctx context.Context, row lookedAt) (bool, error) {
	if row.seen {
		return true, nil
	}
	err := v.look(ctx, row.repo.Name.ARN(), row.of)
	var denied *auth.Denied
	if errors.As(err, &denied) {
		return false, nil
	}
	return err == nil, err
}

// Repositories lists the repositories of a registry that the sight takes in, in byte
// order of name, those after the given name ("" for the first page), at most limit.
// more says that there are others behind the last one. Nothing tells of those
// that are not seen. Refusal: PageInvalid; an *auth.Denied, if there is nothing to see
// at all.
func (s *Service) Repositories(ctx context.Context, id ID, after string, limit int, v Sight) (page []Repository, more bool, err error) {
	page, more, err = s.visible(ctx, id, after, limit, v)
	if err != nil || len(page) > 0 || v.all == nil {
		return page, more, err
	}
	first, _, err := s.visible(ctx, id, "", 1, v)
	if err == nil && len(first) == 0 {
		err = v.all(ctx)
	}
	return nil, false, err
}

// visibleStep is how many rows are read at a time behind the first that were not
// enough, so that no view lasts long, however little there is to see.
const visibleStep = 500

// visible is Repositories without a word about there being nothing.
func (s *Service) visible(ctx context.Context, id ID, after string, limit int, v Sight) (page []Repository, more bool, err error) {
	for step := limit + 1; ; step = visibleStep {
		rows, err := s.lookedAt(ctx, id, after, step, v)
		if err != nil {
			return nil, false, err
		}
		for _, row := range rows {
			sees, err := v.sees(ctx, row)
			if err != nil {
				return nil, false, err
			}
			if sees && len(page) == limit {
				return page, true, nil
			}
			if sees {
				page = append(page, row.repo)
			}
		}
		if len(rows) < step {
			return page, false, nil
		}
		after = rows[step-1].repo.Name.String()
	}
}

// lookedAt is a repository with what decides who sees it.
type lookedAt struct {
	repo Repository
	of   auth.Resource
	seen bool // by everybody who is asked about
}

// lookedAt reads a step of the repositories of a registry. What decides on them is
// left out where all are seen.
func (s *Service) lookedAt(ctx context.Context, id ID, after string, step int, v Sight) (rows []lookedAt, err error) {
	err = s.view(ctx, func(rd storage.Reader) error {
		rows = nil
		policies, err := s.policiesOf(rd, id, v)
		if err != nil {
			return err
		}
		for f, err := range repositories.Scan(rd, id.selectAfter(after, step-1)) {
			if err != nil {
				return err
			}
			repo := repository{Name{id, f.Key[2]}, f.Row}
			row := lookedAt{repo.public(), auth.Resource{}, policies.allSeen}
			if !row.seen {
				if row.of, err = s.resourceIn(rd, repo, policies); err != nil {
					return err
				}
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// policiesOf is what policies a registry and its repositories have.
type policiesOf struct {
	allSeen bool // whatever they are: there is nothing to decide on
	common  []policy.Attached
	some    bool // repositories have, or had, their own
}

func (s *Service) policiesOf(rd storage.Reader, id ID, v Sight) (p policiesOf, err error) {
	if v.look == nil {
		return policiesOf{allSeen: true}, nil
	}
	if p.common, err = s.registryPolicies(rd, id); err != nil {
		return p, err
	}
	p.some, err = hasPolicies(rd, id)
	p.allSeen = v.everywhere && !p.some && p.common == nil
	return p, err
}

// resourceIn is the resource that a repository is.
func (s *Service) resourceIn(rd storage.Reader, repo repository, p policiesOf) (auth.Resource, error) {
	if !p.some { // none is looked for
		return auth.Resource{Policies: p.common, Tags: repo.row.ResourceTags}, nil
	}
	return s.resource(rd, repo, p.common)
}

// hasPolicies says whether repositories of a registry have, or had, policies.
func hasPolicies(rd storage.Reader, id ID) (bool, error) {
	for _, err := range repositoryTexts.Scan(rd, table.Select{Prefix: []string{id.Account, id.Region}, Limit: 1}) {
		return err == nil, err
	}
	return false, nil
}
