package registry

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Cause says for what a repository is made that nobody asked for by name.
type Cause string

// The causes, as ECR's templates name them (model: RCTAppliedFor).
const (
	ForReplication Cause = "REPLICATION"
	ForPullThrough Cause = "PULL_THROUGH_CACHE"
	ForPush        Cause = "CREATE_ON_PUSH"
)

// RootPrefix is the prefix of the template for names that no other one has a
// prefix of.
const RootPrefix = "ROOT"

// Template says how repositories are made that are missing when something is
// to be put into them (ECR reference, policies.md section 9).
type Template struct {
	// Prefix is a path such as "team" or RootPrefix; a slash is implied behind
	// it, so that "team" covers "team/app" but neither "team" nor "teams/app".
	Prefix      string
	Description string
	AppliedFor  []Cause // in the order given
	Settings
	// CustomRole is the ARN of the role that is to make repositories. It is kept
	// and shown: here nothing but the server itself makes them.
	CustomRole           string
	CreatedAt, UpdatedAt time.Time
}

// TemplateChange is a change to a template. What is nil stays as it is.
type TemplateChange struct {
	Description *string
	AppliedFor  []Cause
	Mutability  *Mutability // with it, the exclusions are those of Exclusions alone
	Exclusions  []string
	Encryption  *Encryption
	// ResourceTags replace all that there are.
	ResourceTags      map[string]string
	Policy, Lifecycle *string // "" takes the text away
	CustomRole        *string
}

func (c TemplateChange) apply(t *Template) {
	replace(&t.Description, c.Description)
	replace(&t.Encryption, c.Encryption)
	replace(&t.Policy, c.Policy)
	replace(&t.Lifecycle, c.Lifecycle)
	replace(&t.CustomRole, c.CustomRole)
	if c.AppliedFor != nil {
		t.AppliedFor = c.AppliedFor
	}
	if c.ResourceTags != nil {
		t.ResourceTags = c.ResourceTags
	}
	switch {
	case c.Mutability != nil:
		t.TagRule = TagRule{*c.Mutability, c.Exclusions}
	case c.Exclusions != nil:
		t.TagRule.Exclusions = c.Exclusions
	}
}

func replace[T any](v, to *T) {
	if to != nil {
		*v = *to
	}
}

// templateKey is the key of a template's row: the slash at the end of a prefix
// is implied, and so it makes no other template.
func (id ID) templateKey(prefix string) []string {
	return []string{id.Account, id.Region, strings.TrimSuffix(prefix, "/")}
}

func (row templateRow) public() Template {
	return Template{
		Prefix: row.Prefix, Description: row.Description, AppliedFor: row.AppliedFor,
		CustomRole: row.CustomRole, CreatedAt: row.CreatedAt, UpdatedAt: row.UpdatedAt,
		Settings: Settings{
			TagRule: TagRule{row.Mutability, row.Exclusions}, Encryption: row.Encryption,
			ResourceTags: row.ResourceTags, Policy: row.Policy, Lifecycle: row.Lifecycle,
		},
	}
}

func (t Template) row() templateRow {
	return templateRow{
		Prefix: t.Prefix, Description: t.Description, AppliedFor: t.AppliedFor,
		CustomRole: t.CustomRole, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
		Mutability: t.TagRule.Mutability, Exclusions: t.TagRule.Exclusions, Encryption: t.Encryption,
		ResourceTags: t.ResourceTags, Policy: t.Policy, Lifecycle: t.Lifecycle,
	}
}

// CreateTemplate keeps a new template and returns it as it is kept: CreatedAt
// and UpdatedAt of t are not looked at. Refusals: TemplateExists,
// TooManyTemplates, SettingInvalid, PolicyInvalid, LifecyclePolicyInvalid,
// ResourceTagInvalid, TooManyResourceTags.
func (s *Service) CreateTemplate(ctx context.Context, id ID, t Template) (Template, error) {
	if err := checkPrefix(t.Prefix); err != nil {
		return Template{}, err
	}
	if err := s.settleTemplate(id, &t); err != nil {
		return Template{}, err
	}
	err := s.update(ctx, func(tx storage.Tx) error {
		key := id.templateKey(t.Prefix)
		there, err := templates.Has(tx, key...)
		if err != nil {
			return err
		}
		if there {
			return templateRefusal(TemplateExists, id, t.Prefix, "template %q is there already", t.Prefix)
		}
		if err := s.checkTemplateCount(tx, id); err != nil {
			return err
		}
		t.CreatedAt = s.now().UTC()
		t.UpdatedAt = t.CreatedAt
		return s.putTemplate(ctx, tx, id, t)
	})
	return t, err
}

// UpdateTemplate changes a template and returns it as it is then. Refusals:
// TemplateNotFound, and those of a new one.
func (s *Service) UpdateTemplate(ctx context.Context, id ID, prefix string, c TemplateChange) (t Template, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		if t, err = findTemplate(tx, id, prefix); err != nil {
			return err
		}
		c.apply(&t)
		if err := s.settleTemplate(id, &t); err != nil {
			return err
		}
		t.UpdatedAt = s.now().UTC()
		return s.putTemplate(ctx, tx, id, t)
	})
	return t, err
}

// DeleteTemplate removes a template and returns what it was. Repositories made
// by it stay as they are. Refusal: TemplateNotFound.
func (s *Service) DeleteTemplate(ctx context.Context, id ID, prefix string) (t Template, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		if t, err = findTemplate(tx, id, prefix); err != nil {
			return err
		}
		if err := templates.Delete(tx, id.templateKey(prefix)...); err != nil {
			return err
		}
		return s.recordDocument(ctx, tx, id, templateKind)
	})
	return t, err
}

// Template finds a template by its prefix. Refusal: TemplateNotFound.
func (s *Service) Template(ctx context.Context, id ID, prefix string) (t Template, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		t, err = findTemplate(r, id, prefix)
		return err
	})
	return t, err
}

// Templates lists a registry's templates in byte order of prefix, those after
// the given one ("" for the first page), at most limit. more says that there are
// others. Refusal: PageInvalid.
func (s *Service) Templates(ctx context.Context, id ID, after string, limit int) (page []Template, more bool, err error) {
	rows := id.selectAfter(strings.TrimSuffix(after, "/"), limit)
	err = s.view(ctx, func(r storage.Reader) error {
		page, more, err = pageOf(templates.Scan(r, rows), limit, func(f table.Found[templateRow]) Template { return f.Row.public() })
		return err
	})
	return page, more, err
}

func (s *Service) putTemplate(ctx context.Context, tx storage.Tx, id ID, t Template) error {
	if err := templates.Put(tx, t.row(), id.templateKey(t.Prefix)...); err != nil {
		return err
	}
	return s.recordDocument(ctx, tx, id, templateKind)
}

func findTemplate(rd storage.Reader, id ID, prefix string) (Template, error) {
	row, err := templates.Get(rd, id.templateKey(prefix)...)
	if errors.Is(err, storage.ErrNotFound) {
		return Template{}, templateRefusal(TemplateNotFound, id, prefix, "there is no template %.300q", prefix)
	}
	return row.public(), err
}

func templateRefusal(code Code, id ID, prefix, format string, args ...any) *Error {
	e := refuse(code, format, args...)
	e.Name, e.Field = Name{id: id}, prefix
	return e
}

func (s *Service) checkTemplateCount(rd storage.Reader, id ID) error {
	limit := s.Limits().Templates
	n, err := countRows(templates.Scan(rd, table.Select{Prefix: []string{id.Account, id.Region}, Limit: limit}))
	if err != nil || n < limit {
		return err
	}
	e := templateRefusal(TooManyTemplates, id, "", "a registry has at most %d templates", limit)
	e.Limit = int64(limit)
	return e
}

// settleTemplate checks what a template says, its policies among it, and fills in
// ECR's defaults. Whether ECR checks policies so early is not known; a template
// that could make nothing would be worse.
func (s *Service) settleTemplate(id ID, t *Template) error {
	setDefault(&t.TagRule.Mutability, Mutable)
	setDefault(&t.Encryption.Type, "AES256")
	for _, c := range t.AppliedFor {
		if !slices.Contains([]Cause{ForReplication, ForPullThrough, ForPush}, c) {
			return invalidSetting("appliedFor", "Member must satisfy enum value set: [REPLICATION, PULL_THROUGH_CACHE, CREATE_ON_PUSH]")
		}
	}
	if err := s.settlePolicies(id, &t.Settings); err != nil {
		return err
	}
	return s.checkSettings(t.Settings)
}

// settlePolicies checks the texts of settings and gives them the form in which
// they are shown: a policy's is ECR's, a lifecycle policy's stays as it is (ECR
// reference, operations.md section 11).
func (s *Service) settlePolicies(id ID, set *Settings) error {
	if set.Policy != "" {
		p, err := parseRepositoryPolicy(id, set.Policy)
		if err != nil {
			return err
		}
		set.Policy = p.Text()
	}
	if set.Lifecycle != "" {
		if _, err := s.parseLifecycle(set.Lifecycle); err != nil {
			return err
		}
	}
	return nil
}

var prefixSyntax = regexp.MustCompile(`^((?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*/?|ROOT)$`)

// checkPrefix checks a prefix by the model's rule (model: Prefix).
func checkPrefix(prefix string) error {
	if len(prefix) > MaxName || !prefixSyntax.MatchString(prefix) {
		return invalidSetting("prefix", "Member must be a path of at most %d characters or ROOT", MaxName)
	}
	return nil
}
