package policy

import "strings"

// arnSegments is how many parts an ARN has. Colons in the last one belong to it.
const arnSegments = 6

// arns is a value of an ARN operator: each segment is a pattern for itself, so that
// no star reaches over a colon. ArnEquals is ArnLike (IAM user guide, "Amazon
// Resource Name (ARN) condition operators").
type arns struct {
	segments   []glob
	everything bool // a star alone, which AWS says nothing of: any ARN
}

func likeARN(value string) matcher {
	a := &arns{everything: value == "\xff"}
	for _, s := range strings.SplitN(value, ":", arnSegments) {
		a.segments = append(a.segments, newGlob(s))
	}
	return a
}

func (a *arns) matches(value string) bool {
	return a.everything && strings.HasPrefix(value, "arn:") || segmentsMatch(a.segments, value)
}

// segmentsMatch says whether a value has as many segments as the patterns, all that
// an ARN has, and each meets its own.
func segmentsMatch(patterns []glob, value string) bool {
	if len(patterns) != arnSegments {
		return false
	}
	for i := range patterns {
		segment, rest, more := value, "", false
		if i < arnSegments-1 {
			segment, rest, more = strings.Cut(value, ":")
			if !more {
				return false
			}
		}
		if !patterns[i].matches(segment) {
			return false
		}
		value = rest
	}
	return true
}
