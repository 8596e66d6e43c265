package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/manifest"
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
func (c Scanning) of(repo repository) RepositoryScanning {
	got := RepositoryScanning{Name: repo.name, Frequency: ScanByHand}
	for _, frequency := range frequencies[c.Type] {
		for _, rule := range c.Rules {
			if filters := rule.matching(repo.name); rule.Frequency == frequency && len(filters) > 0 {
				got.Frequency, got.Filters = frequency, filters
				return got
			}
		}
	}
	if c.Type == BasicScans && repo.row.ScanOnPush {
		got.Frequency = ScanOnPush
	}
	return got
}

func (r ScanRule) matching(name Name) (filters []string) {
	for _, filter := range r.Filters {
		matches := strings.Contains(name.path, filter)
		if strings.Contains(filter, "*") {
			matches = pattern.Match(filter, name.path)
		}
		if matches {
			filters = append(filters, filter)
		}
	}
	return filters
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
	text, err := json.Marshal(c)
	if err != nil {
		return Scanning{}, fmt.Errorf("write scanning configuration: %w", err)
	}
	return c, s.update(ctx, func(tx storage.Tx) error {
		before, err := scanningOf(tx, id)
		if err != nil {
			return err
		}
		if _, err := s.putDocument(tx, documents, id.documentKey(scanningKind), string(text)); err != nil {
			return err
		}
		if err := s.recordDocument(ctx, tx, id, scanningKind); err != nil {
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
		was, is := before.of(repo).Frequency, after.of(repo).Frequency
		if was != is {
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
	row, err := getDocument(rd, documents, id.documentKey(scanningKind))
	if missing(err) {
		return Scanning{Type: BasicScans}, nil
	}
	if err != nil {
		return Scanning{}, err
	}
	if err := json.Unmarshal([]byte(row.Text), &c); err != nil {
		return Scanning{}, fmt.Errorf("read scanning configuration: %w", err)
	}
	return c, nil
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
		got = c.of(repo)
		return err
	})
	return got, err
}

// StartScan is to have an image scanned. There is no scanner yet, so it refuses
// each image that could be scanned with NotAvailable. Other refusals:
// RepositoryNotFound, ImageNotFound, TagMismatch; ScansDisabled beside enhanced
// scans, ImageNotScannable, ImageArchived.
func (s *Service) StartScan(ctx context.Context, name Name, ref Ref) error {
	return s.onImage(ctx, name, ref, func(r storage.Reader, _ repository, found stored) error {
		c, err := scanningOf(r, name.id)
		if err != nil {
			return err
		}
		img := found.row.public(name, found.digest)
		switch {
		case c.Type == EnhancedScans:
			return refuse(ScansDisabled, "images of a registry with enhanced scans are not scanned by hand")
		case !img.scannable():
			e := refuse(ImageNotScannable, "%s of %q is not an image that runs", img.Digest, name)
			e.Name, e.Ref, e.Field = name, ref, img.artifactType()
			return e
		case img.Status != Active:
			e := refuse(ImageArchived, "%s of %q is in the archive", img.Digest, name)
			e.Name, e.Ref = name, Ref{ref.Tag, img.Digest}
			return e
		}
		return notAvailable("Image scanning")
	})
}

// artifactType is what an image is, in one media type.
func (img Image) artifactType() string {
	if img.ArtifactType == "" {
		return img.MediaType
	}
	return img.ArtifactType
}

// scannable says whether an image has a file system that could be scanned, as
// neither a list nor an artifact has (ECR reference, operations.md section 8).
func (img Image) scannable() bool {
	switch img.MediaType {
	case manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest:
		return slices.Contains(imageConfigs, img.ArtifactType)
	}
	return false
}

// imageConfigs are the media types that the configs of images have which run.
var imageConfigs = []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}

// ScanFindings are what a scan found in an image. No image was ever scanned, so
// all it does is refuse: RepositoryNotFound, ImageNotFound, TagMismatch,
// ScanNotFound.
func (s *Service) ScanFindings(ctx context.Context, name Name, ref Ref) error {
	return s.onImage(ctx, name, ref, func(storage.Reader, repository, stored) error {
		e := refuse(ScanNotFound, "no image %q %s of %q was scanned", ref.Tag, ref.Digest, name)
		e.Name, e.Ref = name, ref
		return e
	})
}
