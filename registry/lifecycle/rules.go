package lifecycle

import (
	"slices"
	"strings"
)

// check holds the rules against each other and against what a schema cannot say,
// in the order of the table of messages (ECR reference, policies.md section 4).
// Rules are in the order of the text.
func (p *Policy) check() *Error {
	for _, find := range []func(*Policy) *Error{
		(*Policy).samePriority, (*Policy).twoAny, (*Policy).anyNotLast, (*Policy).twoUntagged,
		(*Policy).wrongLists, (*Policy).wrongClasses, (*Policy).sameWord,
	} {
		if e := find(p); e != nil {
			return e
		}
	}
	return nil
}

func (p *Policy) samePriority() *Error {
	seen := map[int]bool{}
	for _, r := range p.Rules {
		if seen[r.Priority] {
			return invalid("Duplicate priority in multiple rules")
		}
		seen[r.Priority] = true
	}
	return nil
}

// of are the rules of a storage class with a tag status.
func (p *Policy) of(archived bool, status TagStatus) (list []Rule) {
	for _, r := range p.Rules {
		if r.Archived == archived && r.Status == status {
			list = append(list, r)
		}
	}
	return list
}

func (p *Policy) twoAny() *Error {
	for _, archived := range []bool{false, true} {
		if len(p.of(archived, Any)) > 1 {
			return invalid("Only one rule can specify tagStatus=ANY")
		}
	}
	return nil
}

func (p *Policy) anyNotLast() *Error {
	for _, last := range append(p.of(false, Any), p.of(true, Any)...) {
		for _, r := range p.Rules {
			if r.Archived == last.Archived && r.Priority > last.Priority {
				return invalid("Rule for tagStatus=ANY must have the lowest priority per storage class")
			}
		}
	}
	return nil
}

func (p *Policy) twoUntagged() *Error {
	for _, archived := range []bool{false, true} {
		if len(p.of(archived, Untagged)) > 1 {
			return invalid("Only one rule can select Untagged images per storage class.")
		}
	}
	return nil
}

// maxStars is how many stars a pattern has at most (ECR reference, policies.md
// section 4).
const maxStars = 4

func (p *Policy) wrongLists() *Error {
	for _, r := range p.Rules {
		switch {
		case r.Status == Tagged && r.Patterns == nil && r.Prefixes == nil:
			return invalid("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
		case r.Status == Tagged && r.Patterns != nil && r.Prefixes != nil:
			return invalid("If policy has a tagged rule, it must specify only one of tagPrefixList or tagPatternList")
		case r.Status != Tagged && r.Prefixes != nil:
			return invalid("Cannot specify tagPrefixList with tagStatus %s", r.Status)
		case r.Status != Tagged && r.Patterns != nil:
			return invalid("Cannot specify tagPatternList with tagStatus %s", r.Status)
		case slices.ContainsFunc(r.Patterns, tooManyStars):
			return invalid("Invalid tag pattern provided. Total number of * must not exceed 4")
		}
	}
	for _, k := range p.Keep {
		if slices.ContainsFunc(k.Patterns, tooManyStars) {
			return invalid("Invalid tag pattern provided. Total number of * must not exceed 4")
		}
	}
	return nil
}

func tooManyStars(pattern string) bool { return strings.Count(pattern, "*") > maxStars }

// minArchiveDays is how long an image stays in the archive at least before a
// policy expires it (ECR reference, policies.md section 4).
const minArchiveDays = 90

// wrongClasses has words of its own where ECR's are not known: for actions that a
// count type does not go with, and for a stay in the archive that is too short.
func (p *Policy) wrongClasses() *Error {
	for _, r := range p.Rules {
		switch {
		case r.Archived && r.Count != SinceImageTransitioned:
			return invalid("SINCE_IMAGE_PUSHED, SINCE_IMAGE_PULLED and IMAGE_COUNT_MORE_THAN support the STANDARD storage class only")
		case r.Count == SinceImagePulled && r.Action != Transition:
			return invalid("SINCE_IMAGE_PULLED supports the TRANSITION action only")
		case r.Count == SinceImageTransitioned && r.Action != Expire:
			return invalid("SINCE_IMAGE_TRANSITIONED supports the EXPIRE action only")
		case r.Count == SinceImageTransitioned && r.Number < minArchiveDays:
			return invalid("countNumber must be at least %d for SINCE_IMAGE_TRANSITIONED", minArchiveDays)
		}
	}
	return nil
}

// sameWord: no prefix and no pattern is used by two rules of a storage class.
// ECR's words are not known.
func (p *Policy) sameWord() *Error {
	type use struct {
		archived bool
		kind     string
		word     string
	}
	by := map[use]int{}
	for i, r := range p.Rules {
		for _, kind := range []struct {
			name  string
			words []string
		}{{"tagPatternList", r.Patterns}, {"tagPrefixList", r.Prefixes}} {
			for _, word := range kind.words {
				u := use{r.Archived, kind.name, word}
				if other, used := by[u]; used && other != i {
					return invalid("%s %q is used by multiple rules", kind.name, word)
				}
				by[u] = i
			}
		}
	}
	return nil
}
