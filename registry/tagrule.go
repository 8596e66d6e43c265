package registry

import (
	"regexp"
	"strings"

	"github.com/seed-78150930/berth/registry/pattern"
)

// Mutability says which tags of a repository may be moved.
type Mutability string

// The four settings of ECR.
const (
	Mutable                Mutability = "MUTABLE"
	Immutable              Mutability = "IMMUTABLE"
	MutableWithExclusion   Mutability = "MUTABLE_WITH_EXCLUSION"
	ImmutableWithExclusion Mutability = "IMMUTABLE_WITH_EXCLUSION"
)

// TagRule says which tags may be moved: all (Mutable), none (Immutable), all
// but those that match Exclusions (MutableWithExclusion), or none but those
// (ImmutableWithExclusion). The zero value is Mutable. An exclusion is a
// pattern for the whole tag in which a star, of which there are at most two,
// stands for any run of characters.
type TagRule struct {
	Mutability Mutability
	Exclusions []string
}

// Immutable says whether tag, once set, stays with its image.
func (r TagRule) Immutable(tag Tag) bool {
	switch r.Mutability {
	case Immutable:
		return true
	case ImmutableWithExclusion:
		return !r.excludes(tag)
	case MutableWithExclusion:
		return r.excludes(tag)
	}
	return false
}

func (r TagRule) excludes(tag Tag) bool {
	for _, exclusion := range r.Exclusions {
		if pattern.Match(exclusion, tag.s) {
			return true
		}
	}
	return false
}

// Bounds of the exclusions (model: ImageTagMutabilityExclusionFilters; the two
// stars: ECR reference, operations.md section 3).
const maxExclusions, maxStars, maxExclusion = 5, 2, 128

var exclusionSyntax = regexp.MustCompile(`^[0-9a-zA-Z._*-]+$`)

// exclusionField is where ECR's messages say that the exclusions are wrong.
const exclusionField = "imageTagMutabilityExclusionFilters"

// check refuses with SettingInvalid; the sentences are ECR's where one is known
// (ECR reference, errors-and-limits.md section 3).
func (r TagRule) check() error {
	switch r.Mutability {
	case "", Mutable, Immutable:
		if len(r.Exclusions) > 0 {
			return invalidSetting(exclusionField, "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set as %s", r.orDefault())
		}
		return nil
	case MutableWithExclusion, ImmutableWithExclusion:
		return r.checkExclusions()
	}
	return invalidSetting("imageTagMutability", "Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]")
}

func (r TagRule) orDefault() Mutability {
	if r.Mutability == "" {
		return Mutable
	}
	return r.Mutability
}

func (r TagRule) checkExclusions() error {
	switch n := len(r.Exclusions); {
	case n == 0:
		return invalidSetting(exclusionField, "ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as %s", r.Mutability)
	case n > maxExclusions:
		return invalidSetting(exclusionField, "Member must have length less than or equal to %d", maxExclusions)
	}
	for _, exclusion := range r.Exclusions {
		if len(exclusion) > maxExclusion || !exclusionSyntax.MatchString(exclusion) || strings.Count(exclusion, "*") > maxStars {
			return invalidSetting(exclusionField, "%.150q is not 1 to 128 of [0-9a-zA-Z._*-] with at most %d stars", exclusion, maxStars)
		}
	}
	return nil
}

func invalidSetting(field, format string, args ...any) *Error {
	e := refuse(SettingInvalid, format, args...)
	e.Field = field
	return e
}
