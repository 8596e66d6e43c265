package registry

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/storage"
)

// createsOnPush says whether a push may make repositories at all.
func (s *Service) createsOnPush() bool { return s.live.Load().CreateOnPush != CreateNever }

// findForPush is find, but makes the repository where the server's settings and
// the templates say so and the pusher may.
func (s *Service) findForPush(ctx context.Context, tx storage.Tx, name Name, mayCreate bool) (repository, error) {
	repo, missing := find(tx, name)
	if CodeOf(missing) != RepositoryNotFound || !mayCreate || !s.createsOnPush() {
		return repo, missing
	}
	t, ok, err := templateFor(tx, name, ForPush)
	if err != nil {
		return repository{}, err
	}
	if !ok && s.live.Load().CreateOnPush != CreateAlways {
		return repository{}, missing
	}
	return s.create(ctx, tx, name, t.Settings)
}

// createFor makes a repository as its template says, or with ECR's defaults
// where no template covers it.
func (s *Service) createFor(ctx context.Context, tx storage.Tx, name Name, cause Cause) (repository, error) {
	t, _, err := templateFor(tx, name, cause)
	if err != nil {
		return repository{}, err
	}
	return s.create(ctx, tx, name, t.Settings)
}

// templateFor is the template with the longest prefix of a name among those that
// apply for a cause. Whether at ECR a longer one for other causes hides it is not
// known; here it does not.
func templateFor(rd storage.Reader, name Name, cause Cause) (t Template, ok bool, err error) {
	for _, prefix := range append(prefixes(name.path), RootPrefix) {
		row, err := templates.Get(rd, name.id.templateKey(prefix)...)
		if errors.Is(err, storage.ErrNotFound) || err == nil && !slices.Contains(row.AppliedFor, cause) {
			continue
		}
		return row.public(), err == nil, err
	}
	return Template{}, false, nil
}

// prefixes are the paths that a name lies below, the longest first.
func prefixes(path string) (list []string) {
	for {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return list
		}
		path = path[:i]
		list = append(list, path)
	}
}
