// Package pattern matches text against patterns in which a star stands for any
// run of characters, none among them. Time is at most pattern times text,
// whatever the pattern.
package pattern

import "strings"

// Match says whether the whole of s is what the pattern says.
func Match(pattern, s string) bool {
	first, rest, stars := strings.Cut(pattern, "*")
	if !stars {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for {
		part, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part) // the first place is enough
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], behind
	}
}
