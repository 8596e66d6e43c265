package registry

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// trashedRepositoryRow is a repository in the trash. Its rows lie where they did: they
// have its id, by which nobody comes to them.
type trashedRepositoryRow struct {
	Repository repositoryRow
	At         time.Time
	By         string `json:",omitempty"`
	// Renamed says that rows of it may have another name for it than it has here.
	Renamed bool `json:",omitempty"`
}

// trashRepository keeps a repository that was taken out of its registry. What is to be
// done to it by itself is not due any more.
func (s *Service) trashRepository(ctx context.Context, tx storage.Tx, repo repository) error {
	row := trashedRepositoryRow{Repository: repo.row, At: s.now().UTC(), By: auth.PrincipalOf(ctx).ARN}
	if err := trashedRepositories.Put(tx, row, repo.trashKey()...); err != nil {
		return err
	}
	if err := trashSizes(tx, repo, true); err != nil {
		return err
	}
	if err := trashDue.Put(tx, dueRow{repo.name.path}, trashDueKey(row.At, repo.key(), wholeRepository)...); err != nil {
		return err
	}
	policy, err := lifecycles.Get(tx, repo.key()...)
	if ignoreNotFound(err) != nil {
		return err
	}
	if err := repo.unschedule(tx, policy); err != nil {
		return err
	}
	preview, err := previews.Get(tx, repo.key()...)
	if err == nil && !preview.Due.IsZero() {
		err = previewsDue.Delete(tx, repo.dueKey(preview.Due)...)
	}
	if ignoreNotFound(err) != nil {
		return err
	}
	return trashedUploads.Put(tx, noRow{}, repo.key()...)
}

// trashKey is the key of a repository in the trash.
func (r repository) trashKey() []string { return append(r.name.key(), r.row.ID) }

// trashedRepository reads a repository that lies in the trash.
func (s *Service) trashedRepository(rd storage.Reader, t Trashed) (Trashed, bool, error) {
	repo := repository{t.Repository, repositoryRow{ID: t.RepositoryID}}
	row, err := trashedRepositories.Get(rd, repo.trashKey()...)
	if err != nil {
		return t, false, ignoreNotFound(err)
	}
	t.By, t.Cause, t.Images = row.By, TrashedByRequest, row.Repository.Images
	size, err := repositorySizes.Get(rd, t.RepositoryID)
	t.Bytes = size.Manifests + size.Layers
	return t, true, ignoreNotFound(err)
}

// clearTrashedUploads drops what was being sent to repositories in the trash.
func (s *Service) clearTrashedUploads(ctx context.Context) error {
	var repos [][]string
	err := s.view(ctx, func(r storage.Reader) error {
		repos = nil
		for f, err := range trashedUploads.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			repos = append(repos, f.Key)
		}
		return nil
	})
	failed := []error{err}
	for _, repo := range repos {
		_, err := s.dropUploads(ctx, table.Select{Prefix: repo}, func(uploadRow) bool { return true })
		if err == nil {
			err = s.update(ctx, func(tx storage.Tx) error { return trashedUploads.Delete(tx, repo...) })
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// RestoreRepository brings back the repository of a name that was deleted last, with
// all that it held, under the same name or, if it is not zero, another one of the
// same registry. Its lifecycle policy runs an interval later, and what was to be
// replicated is. Refusals: NotInTrash, RepositoryExists, TooManyRepositories,
// TooManyInRegistry, QuotaExceeded.
func (s *Service) RestoreRepository(ctx context.Context, name, as Name) (Repository, error) {
	return s.RestoreRepositoryWithID(ctx, name, "", as)
}

// RestoreRepositoryWithID is RestoreRepository for that of several deleted repositories of
// a name which has an id, as Trash tells it. "" is the one that was deleted last.
func (s *Service) RestoreRepositoryWithID(ctx context.Context, name Name, id string, as Name) (Repository, error) {
	if as.IsZero() {
		as = Name{name.id, name.path}
	}
	if as.id != name.id {
		return Repository{}, refuse(NameInvalid, "a repository comes back in its own registry")
	}
	var old repository
	err := s.view(ctx, func(r storage.Reader) (err error) {
		if old, _, err = trashedNamed(r, name, id); err != nil {
			return err
		}
		return checkFree(r, as)
	})
	if err != nil {
		return Repository{}, err
	}
	if _, err := s.dropUploads(ctx, table.Select{Prefix: old.key()}, func(uploadRow) bool { return true }); err != nil {
		return Repository{}, err
	}
	if err := s.renameTrashed(ctx, old, as); err != nil {
		return Repository{}, err
	}
	var repo repository
	err = s.update(ctx, func(tx storage.Tx) (err error) {
		repo, err = s.bringRepositoryBack(ctx, tx, old, as)
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	return repo.public(), nil
}

// checkFree refuses with RepositoryExists where a name is taken.
func checkFree(rd storage.Reader, name Name) error {
	there, err := repositories.Has(rd, name.key()...)
	if err != nil || !there {
		return err
	}
	return repositoryExists(name)
}

func repositoryExists(name Name) *Error {
	e := refuse(RepositoryExists, "repository %q exists already in registry %s of %s", name, name.id.Account, name.id.Region)
	e.Name = name
	return e
}

// trashedNamed finds the repository of a name that has an id, or else was deleted last.
func trashedNamed(rd storage.Reader, name Name, id string) (repo repository, row trashedRepositoryRow, err error) {
	for f, err := range trashedRepositories.Scan(rd, table.Select{Prefix: name.key()}) {
		if err != nil {
			return repo, row, err
		}
		if id != "" && f.Row.Repository.ID != id {
			continue
		}
		if repo.row.ID == "" || f.Row.At.After(row.At) {
			row, repo = f.Row, repository{name, f.Row.Repository}
		}
	}
	if repo.row.ID == "" {
		e := refuse(NotInTrash, "no repository %q is in the trash", name)
		if id != "" {
			e = refuse(NotInTrash, "no repository %q with the id %.100q is in the trash", name, id)
		}
		e.Name = name
		return repo, row, e
	}
	return repo, row, nil
}

// bringRepositoryBack puts a repository from the trash into its registry.
func (s *Service) bringRepositoryBack(ctx context.Context, tx storage.Tx, old repository, as Name) (repo repository, err error) {
	row, err := trashedRepositories.Get(tx, old.trashKey()...)
	if errors.Is(err, storage.ErrNotFound) { // another call was faster
		_, _, err := trashedNamed(tx, old.name, "")
		if err == nil {
			err = repositoryExists(as)
		}
		return repo, err
	}
	if err != nil {
		return repo, err
	}
	if err := checkFree(tx, as); err != nil {
		return repo, err
	}
	if err := s.countRepository(tx, as); err != nil {
		return repo, err
	}
	repo = repository{as, row.Repository}
	err = errors.Join(
		repo.put(tx), trashedRepositories.Delete(tx, old.trashKey()...), trashedUploads.Delete(tx, old.key()...),
		trashDue.Delete(tx, trashDueKey(row.At, old.key(), wholeRepository)...), trashSizes(tx, repo, false),
	)
	if err == nil {
		err = errors.Join(s.checkImages(tx, as), s.checkQuota(tx, repo))
	}
	if err != nil {
		return repo, err
	}
	if err := s.resume(tx, repo); err != nil {
		return repo, err
	}
	return repo, s.record(ctx, tx, RepositoryRestored, repo, eventRow{})
}

// resume has that go on which is done to a repository by itself.
func (s *Service) resume(tx storage.Tx, repo repository) error {
	policy, err := lifecycles.Get(tx, repo.key()...)
	if err == nil && policy.Text != "" {
		err = repo.schedule(tx, &policy, s.now())
	}
	if ignoreNotFound(err) != nil {
		return err
	}
	preview, err := previews.Get(tx, repo.key()...)
	if err == nil && (preview.State == PreviewInProgress || preview.State == PreviewComplete) {
		err = repo.putPreview(tx, preview, preview.Due)
	}
	if ignoreNotFound(err) != nil {
		return err
	}
	if err := s.resumeRestores(tx, repo); err != nil {
		return err
	}
	return errors.Join(s.resumeReplications(tx, repo), s.resumeScans(tx, repo))
}

// resumeScans has scans wait on that did before: the queue has passed them over.
func (s *Service) resumeScans(tx storage.Tx, repo repository) error {
	for f, err := range scans.Scan(tx, table.Select{Prefix: repo.key()}) {
		if err != nil {
			return err
		}
		if f.Row.Waiting == nil {
			continue
		}
		if err := f.Row.put(tx, f.Key); err != nil {
			return err
		}
	}
	return nil
}

// resumeRestores has images brought back from the archive that were on their way.
func (s *Service) resumeRestores(tx storage.Tx, repo repository) error {
	if repo.row.Inactive == 0 {
		return nil
	}
	for f, err := range images.Scan(tx, table.Select{Prefix: repo.key()}) {
		if err != nil {
			return err
		}
		if f.Row.status() != Activating {
			continue
		}
		if err := s.putRestore(tx, repo, f.Key[3], f.Row, s.live.Load().RestoreTime); err != nil {
			return err
		}
	}
	return nil
}

// resumeReplications plans again what was waiting to be replicated: the lanes have
// passed it over.
func (s *Service) resumeReplications(tx storage.Tx, repo repository) error {
	var waiting []table.Found[replicationRow]
	for f, err := range replications.Scan(tx, table.Select{Prefix: repo.key()}) {
		if err != nil {
			return err
		}
		if len(f.Row.Waiting) > 0 {
			waiting = append(waiting, f)
		}
	}
	for _, f := range waiting {
		if err := s.planAgain(tx, repo, f); err != nil {
			return err
		}
	}
	return nil
}
