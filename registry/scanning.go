package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// RepositoryScanning is what a registry's configuration and a repository's own
// setting come to.
type RepositoryScanning struct {
	Name Name
	scan.Applied
}

// ScanningDetail is the detail of ScanningChanged: some of the repositories that
// are scanned in another way than before. A registry with many writes several
// events.
type ScanningDetail struct {
	Type         scan.Type
	Repositories []FrequencyChange // at most 100
}

// FrequencyChange is a change of one repository.
type FrequencyChange struct {
	Repository          string // its name
	Frequency, Previous scan.Frequency
}

// scanned says how the images of a repository are scanned.
func (r repository) scanned(c scan.Settings) scan.Applied {
	return scan.Applies(c, r.row.ScanOnPush, r.name.path)
}

// maxScanFilters bounds the filters of a rule (model: ScanningRepositoryFilterList).
const maxScanFilters = 100

var scanFilterSyntax = regexp.MustCompile(`^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$`)

// checkScanning refuses in ECR's sentences (ECR reference, errors-and-limits.md
// section 3).
func checkScanning(c scan.Settings) error {
	if c.Type.Frequencies() == nil {
		return invalidSetting("scanType", "Member must satisfy enum value set: [%s, %s]", scan.Basic, scan.Enhanced)
	}
	seen := map[scan.Frequency]bool{}
	for _, rule := range c.Rules {
		if seen[rule.Frequency] {
			return refuse(ConfigurationInvalid, "Invalid input. Contains duplicate scan frequencies: [%s]", rule.Frequency)
		}
		seen[rule.Frequency] = true
	}
	for i, rule := range c.Rules {
		if !c.Type.Allows(rule.Frequency) {
			return refuse(ConfigurationInvalid, "Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType %s: %s'", c.Type, rule.Frequency)
		}
		if err := checkScanFilters(rule.Filters, fmt.Sprintf("rules.%d.member.repositoryFilters", i+1)); err != nil {
			return err
		}
	}
	return nil
}

func checkScanFilters(filters []string, at string) error {
	if len(filters) > maxScanFilters {
		return invalidSetting(at, "Member must have length less than or equal to %d", maxScanFilters)
	}
	for _, filter := range filters {
		if len(filter) > 255 || !scanFilterSyntax.MatchString(filter) {
			return invalidSetting(at, "%.300q is not a filter of at most 255 characters", filter)
		}
	}
	return nil
}

// PutScanning replaces a registry's scanning configuration and returns it as it
// is kept. With enhanced scans, those images that a rule takes are scanned which were
// there before, if they came within Options.RescanWindow. Refusals: SettingInvalid, ConfigurationInvalid.
func (s *Service) PutScanning(ctx context.Context, id ID, c scan.Settings) (scan.Settings, error) {
	setDefault(&c.Type, scan.Basic)
	if err := checkScanning(c); err != nil {
		return scan.Settings{}, err
	}
	err := s.update(ctx, func(tx storage.Tx) error {
		before, err := scanningOf(tx, id)
		if err != nil {
			return err
		}
		if err := s.writeJSON(ctx, tx, id, scanningKind, c); err != nil {
			return err
		}
		return s.recordFrequencies(ctx, tx, id, before, c)
	})
	select {
	case s.scanningChanged <- struct{}{}:
	default:
	}
	return c, err
}

// ScanningChanged has a value when a registry's configuration was put: see FillScans.
func (s *Service) ScanningChanged() <-chan struct{} { return s.scanningChanged }

// recordFrequencies writes down which repositories are scanned in another way
// now.
func (s *Service) recordFrequencies(ctx context.Context, tx storage.Tx, id ID, before, after scan.Settings) error {
	var changes []FrequencyChange
	for f, err := range repositories.Scan(tx, table.Select{Prefix: []string{id.Account, id.Region}}) {
		if err != nil {
			return err
		}
		repo := repository{Name{id, f.Key[2]}, f.Row}
		if was, is := repo.scanned(before).Frequency, repo.scanned(after).Frequency; was != is {
			changes = append(changes, FrequencyChange{repo.name.path, is, was})
		}
	}
	for some := range slices.Chunk(changes, 100) {
		e := eventRow{Detail: detail(ScanningDetail{after.Type, some})}
		if err := s.recordRegistry(ctx, tx, ScanningChanged, id, e); err != nil {
			return err
		}
	}
	return nil
}

// Scanning is a registry's scanning configuration; where none was ever put,
// basic scans without rules.
func (s *Service) Scanning(ctx context.Context, id ID) (c scan.Settings, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		c, err = scanningOf(r, id)
		return err
	})
	return c, err
}

func scanningOf(rd storage.Reader, id ID) (c scan.Settings, err error) {
	c, err = readJSON[scan.Settings](rd, id, scanningKind)
	if missing(err) {
		return scan.Settings{Type: scan.Basic}, nil
	}
	return c, err
}

// RepositoryScanning says how the images of a repository are scanned.
// Refusal: RepositoryNotFound.
func (s *Service) RepositoryScanning(ctx context.Context, name Name) (got RepositoryScanning, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		c, err := scanningOf(r, name.id)
		if err != nil {
			return err
		}
		got = RepositoryScanning{name, repo.scanned(c)}
		return nil
	})
	return got, err
}
