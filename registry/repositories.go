package registry

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Encryption is what a repository says of its encryption at rest. It is kept
// and shown; how bytes lie on disk is the operator's business.
type Encryption struct {
	Type   string `json:",omitempty"` // AES256, KMS or KMS_DSSE
	KMSKey string `json:",omitempty"` // ARN, not for AES256
}

// Settings are what a repository is created with. The zero value is ECR's
// defaults: mutable tags, no scan on push, AES256.
type Settings struct {
	TagRule      TagRule
	ScanOnPush   bool
	Encryption   Encryption
	ResourceTags map[string]string
	// Policy and Lifecycle are the texts of the repository's policy and of its
	// lifecycle policy, "" for none. Only templates have them: CreateRepository
	// does not look at them, and a Repository does not show them.
	Policy, Lifecycle string
}

// Repository is a repository as it is kept.
type Repository struct {
	Name      Name
	CreatedAt time.Time
	Settings
}

// repository is a repository's row with its name, inside a transaction.
type repository struct {
	name Name
	row  repositoryRow
}

// key puts the repository's key parts before others.
func (r repository) key(parts ...string) []string {
	return append([]string{r.name.id.Account, r.name.id.Region, r.row.ID}, parts...)
}

func (r repository) put(tx storage.Tx) error {
	return repositories.Put(tx, r.row, r.name.key()...)
}

func (r repository) public() Repository {
	return Repository{Name: r.name, CreatedAt: r.row.CreatedAt, Settings: Settings{
		TagRule:    TagRule{r.row.Mutability, r.row.Exclusions},
		ScanOnPush: r.row.ScanOnPush, Encryption: r.row.Encryption, ResourceTags: r.row.ResourceTags,
	}}
}

// find reads a repository's row, or refuses with RepositoryNotFound.
func find(r storage.Reader, name Name) (repository, error) {
	row, err := repositories.Get(r, name.key()...)
	if errors.Is(err, storage.ErrNotFound) {
		return repository{}, repositoryNotFound(name)
	}
	return repository{name, row}, err
}

func repositoryNotFound(name Name) *Error {
	e := refuse(RepositoryNotFound, "repository %q does not exist in registry %s of %s", name, name.id.Account, name.id.Region)
	e.Name = name
	return e
}

// CreateRepository makes an empty repository.
// Refusals: RepositoryExists, TooManyRepositories, SettingInvalid,
// ResourceTagInvalid, TooManyResourceTags.
func (s *Service) CreateRepository(ctx context.Context, name Name, set Settings) (Repository, error) {
	set.Policy, set.Lifecycle = "", ""
	if err := s.checkSettings(set); err != nil {
		return Repository{}, err
	}
	var repo repository
	err := s.update(ctx, func(tx storage.Tx) error {
		there, err := repositories.Has(tx, name.key()...)
		if err != nil {
			return err
		}
		if there {
			return repositoryExists(name)
		}
		repo, err = s.create(ctx, tx, name, set)
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	return repo.public(), nil
}

func (s *Service) checkSettings(set Settings) error {
	if err := set.TagRule.check(); err != nil {
		return err
	}
	if err := checkResourceTags(set.ResourceTags); err != nil {
		return err
	}
	return s.checkTagCount(len(set.ResourceTags))
}

// create makes a repository that is not there. Its settings have been checked.
func (s *Service) create(ctx context.Context, tx storage.Tx, name Name, set Settings) (repository, error) {
	if err := s.countRepository(tx, name); err != nil {
		return repository{}, err
	}
	setDefault(&set.TagRule.Mutability, Mutable)
	setDefault(&set.Encryption.Type, "AES256")
	now := s.now().UTC()
	repo := repository{name, repositoryRow{
		ID: newRepositoryID(now), CreatedAt: now, Mutability: set.TagRule.Mutability, Exclusions: set.TagRule.Exclusions,
		ScanOnPush: set.ScanOnPush, Encryption: set.Encryption, ResourceTags: set.ResourceTags,
	}}
	if err := repo.put(tx); err != nil {
		return repository{}, err
	}
	if set.Policy != "" {
		if _, err := s.putDocument(tx, repositoryDocuments, repo.key(repositoryPolicyKind), set.Policy); err != nil {
			return repository{}, err
		}
	}
	if set.Lifecycle != "" {
		if _, err := s.putLifecycle(tx, repo, set.Lifecycle); err != nil {
			return repository{}, err
		}
	}
	return repo, s.record(ctx, tx, RepositoryCreated, repo, eventRow{})
}

// countRepository counts one more in a registry, if it may have one more.
func (s *Service) countRepository(tx storage.Tx, name Name) error {
	n, err := name.id.countRepositories(tx)
	if err != nil {
		return err
	}
	if limit := s.Limits().Repositories; n >= limit {
		e := refuse(TooManyRepositories, "a registry has at most %d repositories", limit)
		e.Name, e.Limit = name, int64(limit)
		return e
	}
	return registries.Put(tx, registryRow{n + 1}, name.id.Account, name.id.Region)
}

// countRepositories says how many repositories a registry has. Stores of older
// versions have not counted.
func (id ID) countRepositories(rd storage.Reader) (int, error) {
	row, err := registries.Get(rd, id.Account, id.Region)
	if errors.Is(err, storage.ErrNotFound) {
		return countRows(repositories.Scan(rd, table.Select{Prefix: []string{id.Account, id.Region}}))
	}
	return row.Repositories, err
}

// Repository returns a repository. Refusal: RepositoryNotFound.
func (s *Service) Repository(ctx context.Context, name Name) (Repository, error) {
	var repo repository
	err := s.view(ctx, func(r storage.Reader) (err error) {
		repo, err = find(r, name)
		return err
	})
	if err != nil {
		return Repository{}, err
	}
	return repo.public(), nil
}

// pageOf is what the first rows of a scan say, at most limit, and whether there are
// more.
func pageOf[Row, T any](rows iter.Seq2[table.Found[Row], error], limit int, of func(table.Found[Row]) T) (page []T, more bool, err error) {
	for f, err := range rows {
		if err != nil {
			return nil, false, err
		}
		if len(page) == limit {
			return page, true, nil
		}
		page = append(page, of(f))
	}
	return page, false, nil
}

// selectAfter selects the rows of a registry, one more than limit of them, so
// that the caller sees whether there is a next page.
func (id ID) selectAfter(after string, limit int) table.Select {
	sel := table.Select{Prefix: []string{id.Account, id.Region}, Limit: limit + 1}
	if after != "" {
		sel.After = []string{after}
	}
	return sel
}

// DeleteRepository removes a repository with all it holds and returns what it
// was. Its name is free at once. It lies in the trash for Options.TrashWindow; then
// its rows and bytes are cleared away in the background. Refusals:
// RepositoryNotFound; RepositoryNotEmpty unless force is set; Protected.
func (s *Service) DeleteRepository(ctx context.Context, name Name, force bool) (Repository, error) {
	ctx = storage.UseReserve(ctx)
	var repo repository
	err := s.update(ctx, func(tx storage.Tx) (err error) {
		if repo, err = find(tx, name); err != nil {
			return err
		}
		if repo.row.Images > 0 && !force {
			e := refuse(RepositoryNotEmpty, "repository %q still holds images", name)
			e.Name = name
			return e
		}
		if err := s.checkRepositoryUnprotected(tx, repo); err != nil {
			return err
		}
		if err := s.deleteRepository(ctx, tx, repo); err != nil {
			return err
		}
		return s.record(ctx, tx, RepositoryDeleted, repo, eventRow{})
	})
	if err != nil {
		return Repository{}, err
	}
	s.wakeJanitor()
	return repo.public(), nil
}

// deleteRepository takes a repository out of its registry.
func (s *Service) deleteRepository(ctx context.Context, tx storage.Tx, repo repository) error {
	n, err := repo.name.id.countRepositories(tx)
	if err != nil {
		return err
	}
	if err := registries.Put(tx, registryRow{n - 1}, repo.name.id.Account, repo.name.id.Region); err != nil {
		return err
	}
	if err := repositories.Delete(tx, repo.name.key()...); err != nil {
		return err
	}
	if s.live.Load().TrashWindow > 0 {
		return s.trashRepository(ctx, tx, repo)
	}
	if err := dropSizes(tx, repo); err != nil {
		return err
	}
	return dropped.Put(tx, droppedRow{s.now().UTC()}, repo.key()...)
}

// SetTagRule replaces the tag rule. Existing tags stay as they are.
// Refusals: RepositoryNotFound, SettingInvalid.
func (s *Service) SetTagRule(ctx context.Context, name Name, rule TagRule) (Repository, error) {
	if err := rule.check(); err != nil {
		return Repository{}, err
	}
	setDefault(&rule.Mutability, Mutable)
	return s.change(ctx, name, func(row *repositoryRow) error {
		row.Mutability, row.Exclusions = rule.Mutability, rule.Exclusions
		return nil
	})
}

// SetScanOnPush sets the repository's scan flag. Refusal: RepositoryNotFound.
func (s *Service) SetScanOnPush(ctx context.Context, name Name, on bool) (Repository, error) {
	return s.change(ctx, name, func(row *repositoryRow) error {
		row.ScanOnPush = on
		return nil
	})
}

// TagRepository adds resource tags or replaces those with the same keys.
// Refusals: RepositoryNotFound, ResourceTagInvalid, TooManyResourceTags.
func (s *Service) TagRepository(ctx context.Context, name Name, add map[string]string) error {
	if err := checkResourceTags(add); err != nil {
		return err
	}
	_, err := s.change(ctx, name, func(row *repositoryRow) error {
		all := make(map[string]string, len(row.ResourceTags)+len(add))
		maps.Copy(all, row.ResourceTags)
		maps.Copy(all, add)
		row.ResourceTags = all
		return s.checkTagCount(len(all))
	})
	return err
}

// UntagRepository removes resource tags; absent keys are no error.
// Refusal: RepositoryNotFound.
func (s *Service) UntagRepository(ctx context.Context, name Name, keys []string) error {
	_, err := s.change(ctx, name, func(row *repositoryRow) error {
		maps.DeleteFunc(row.ResourceTags, func(k, _ string) bool { return slices.Contains(keys, k) })
		return nil
	})
	return err
}

// change applies fn to a repository's row, which is fn's to change.
func (s *Service) change(ctx context.Context, name Name, fn func(*repositoryRow) error) (Repository, error) {
	var repo repository
	err := s.update(ctx, func(tx storage.Tx) (err error) {
		if repo, err = find(tx, name); err != nil {
			return err
		}
		if err := fn(&repo.row); err != nil {
			return err
		}
		if err := repo.put(tx); err != nil {
			return err
		}
		return s.record(ctx, tx, RepositoryChanged, repo, eventRow{})
	})
	if err != nil {
		return Repository{}, err
	}
	return repo.public(), nil
}

// Lengths of a resource tag's key and value in characters (ECR reference,
// operations.md section 14).
const maxTagKey, maxTagValue = 128, 256

func checkResourceTags(add map[string]string) error {
	for k, v := range add {
		switch {
		case k == "" || len([]rune(k)) > maxTagKey:
			return refuse(ResourceTagInvalid, "a resource tag's key has 1 to %d characters", maxTagKey)
		case len([]rune(v)) > maxTagValue:
			return refuse(ResourceTagInvalid, "a resource tag's value has at most %d characters", maxTagValue)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return refuse(ResourceTagInvalid, "resource tag keys that begin with aws: are reserved")
		}
	}
	return nil
}

func (s *Service) checkTagCount(n int) error {
	if limit := s.Limits().ResourceTags; n > limit {
		e := refuse(TooManyResourceTags, "a repository has at most %d resource tags", limit)
		e.Limit = int64(limit)
		return e
	}
	return nil
}
