package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// ScanType says what scans the images of a registry.
type ScanType string

// The types, as ECR names them. The zero value is BasicScans.
const (
	BasicScans    ScanType = "BASIC"
	EnhancedScans ScanType = "ENHANCED"
)

// ScanFrequency says when the images of a repository are scanned.
type ScanFrequency string

// The frequencies, as ECR names them.
const (
	ScanOnPush       ScanFrequency = "SCAN_ON_PUSH"
	ScanContinuously ScanFrequency = "CONTINUOUS_SCAN" // with EnhancedScans alone
	ScanByHand       ScanFrequency = "MANUAL"          // with BasicScans alone
)

// frequencies are those that rules of a type may have, that first which goes
// before the others where several rules match (ECR reference, policies.md
// section 6; that on push goes before by hand is not said there, and is what
// somebody who has set it expects).
var frequencies = map[ScanType][]ScanFrequency{
	BasicScans:    {ScanOnPush, ScanByHand},
	EnhancedScans: {ScanContinuously, ScanOnPush},
}

// Scanning is the scanning configuration of a registry.
type Scanning struct {
	Type  ScanType
	Rules []ScanRule // at most one for each frequency
}

// ScanRule says how often the images of some repositories are scanned: of those
// whose names match one of Filters. A filter without a star matches names that
// contain it; with stars it is a pattern for the whole name in which a star
// stands for any run of characters. A rule without filters matches none, which
// ECR's reference leaves open.
type ScanRule struct {
	Frequency ScanFrequency
	Filters   []string // at most 100
}

// RepositoryScanning is what a registry's configuration and a repository's own
// setting come to.
type RepositoryScanning struct {
	Name      Name
	Frequency ScanFrequency
	Filters   []string // those that match, of the rule in force; nil if no rule matches
}

// ScanningDetail is the detail of ScanningChanged: some of the repositories that
// are scanned in another way than before. A registry with many writes several
// events.
type ScanningDetail struct {
	Type         ScanType
	Repositories []FrequencyChange // at most 100
}

// FrequencyChange is a change of one repository.
type FrequencyChange struct {
	Repository          string // its name
	Frequency, Previous ScanFrequency
}

// of says how the images of a repository are scanned. Where no rule matches,
// its own flag counts, which ECR's reference leaves open, but not beside
// enhanced scans, for which it means nothing. Those leave such a repository
// alone; ECR has no value for that but ScanByHand.
func (c Scanning) of(repo repository) (ScanFrequency, ScanRule) {
	for _, frequency := range frequencies[c.Type] {
		for _, rule := range c.Rules {
			if rule.Frequency == frequency && rule.matches(repo.name) {
				return frequency, rule
			}
		}
	}
	if c.Type == BasicScans && repo.row.ScanOnPush {
		return ScanOnPush, ScanRule{}
	}
	return ScanByHand, ScanRule{}
}

func (r ScanRule) matches(name Name) bool {
	return slices.ContainsFunc(r.Filters, name.matchesScanFilter)
}

func (n Name) matchesScanFilter(filter string) bool {
	if !strings.Contains(filter, "*") {
		return strings.Contains(n.path, filter)
	}
	return pattern.Match(filter, n.path)
}

// maxScanFilters bounds the filters of a rule (model: ScanningRepositoryFilterList).
const maxScanFilters = 100

var scanFilterSyntax = regexp.MustCompile(`^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$`)

// check refuses in ECR's sentences (ECR reference, errors-and-limits.md
// section 3).
func (c Scanning) check() error {
	allowed, ok := frequencies[c.Type]
	if !ok {
		return invalidSetting("scanType", "Member must satisfy enum value set: [%s, %s]", BasicScans, EnhancedScans)
	}
	seen := map[ScanFrequency]bool{}
	for _, rule := range c.Rules {
		if seen[rule.Frequency] {
			return refuse(ConfigurationInvalid, "Invalid input. Contains duplicate scan frequencies: [%s]", rule.Frequency)
		}
		seen[rule.Frequency] = true
	}
	for i, rule := range c.Rules {
		if !slices.Contains(allowed, rule.Frequency) {
			return refuse(ConfigurationInvalid, "Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType %s: %s'", c.Type, rule.Frequency)
		}
		if err := rule.checkFilters(fmt.Sprintf("rules.%d.member.repositoryFilters", i+1)); err != nil {
			return err
		}
	}
	return nil
}

func (r ScanRule) checkFilters(at string) error {
	if len(r.Filters) > maxScanFilters {
		return invalidSetting(at, "Member must have length less than or equal to %d", maxScanFilters)
	}
	for _, filter := range r.Filters {
		if len(filter) > 255 || !scanFilterSyntax.MatchString(filter) {
			return invalidSetting(at, "%.300q is not a filter of at most 255 characters", filter)
		}
	}
	return nil
}

// PutScanning replaces a registry's scanning configuration and returns it as it
// is kept. Refusals: SettingInvalid, ConfigurationInvalid.
func (s *Service) PutScanning(ctx context.Context, id ID, c Scanning) (Scanning, error) {
	setDefault(&c.Type, BasicScans)
	if err := c.check(); err != nil {
		return Scanning{}, err
	}
	return c, s.update(ctx, func(tx storage.Tx) error {
		before, err := scanningOf(tx, id)
		if err != nil {
			return err
		}
		if err := s.writeJSON(ctx, tx, id, scanningKind, c); err != nil {
			return err
		}
		return s.recordFrequencies(ctx, tx, id, before, c)
	})
}

// recordFrequencies writes down which repositories are scanned in another way
// now.
func (s *Service) recordFrequencies(ctx context.Context, tx storage.Tx, id ID, before, after Scanning) error {
	var changes []FrequencyChange
	for f, err := range repositories.Scan(tx, table.Select{Prefix: []string{id.Account, id.Region}}) {
		if err != nil {
			return err
		}
		repo := repository{Name{id, f.Key[2]}, f.Row}
		was, _ := before.of(repo)
		if is, _ := after.of(repo); was != is {
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
func (s *Service) Scanning(ctx context.Context, id ID) (c Scanning, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		c, err = scanningOf(r, id)
		return err
	})
	return c, err
}

func scanningOf(rd storage.Reader, id ID) (c Scanning, err error) {
	c, err = readJSON[Scanning](rd, id, scanningKind)
	if missing(err) {
		return Scanning{Type: BasicScans}, nil
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
		frequency, rule := c.of(repo)
		got = RepositoryScanning{Name: name, Frequency: frequency}
		for _, filter := range rule.Filters {
			if name.matchesScanFilter(filter) {
				got.Filters = append(got.Filters, filter)
			}
		}
		return nil
	})
	return got, err
}
