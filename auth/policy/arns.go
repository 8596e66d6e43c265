package policy

import "strings"

// arnSegments is how many parts an ARN has. Colons in the last one belong to it.
const arnSegments = 6

// arns is a value of an ARN operator: each segment is a pattern for itself, so that
// no star reaches over a colon. ArnEquals is ArnLike (IAM user guide, "Amazon
// Resource Name (ARN) condition operators").
type arns struct {
	template
	segments []glob // where there are no variables
}

func likeARN(value string, variables bool) matcher {
	t, ok := newTemplate(value, true, variables)
	if !ok {
		return nil
	}
	a := &arns{template: t}
	if t.pieces == nil {
		for _, s := range strings.SplitN(wholeOf(&t.glob), ":", arnSegments) {
			a.segments = append(a.segments, newGlob(s))
		}
	}
	return a
}

func wholeOf(g *glob) string { return g.head + g.middle + g.tail }

func (a *arns) matches(value string, q *query) truth {
	if a.pieces == nil {
		return truthOf(a.everything() || segmentsMatch(a.segments, value))
	}
	text, known := a.expand(q)
	if known != yes {
		return known
	}
	var segments []glob
	for _, s := range strings.SplitN(text, ":", arnSegments) {
		segments = append(segments, newGlob(s))
	}
	return truthOf(segmentsMatch(segments, value))
}

// everything says whether the pattern is a star alone, which AWS says nothing of:
// it is taken to mean any ARN.
func (a *arns) everything() bool { return len(a.segments) == 1 && wholeOf(&a.segments[0]) == "\xff" }

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
