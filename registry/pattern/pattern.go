// Package pattern matches text against patterns in which a star stands for any
// run of characters, none among them. Time is at most pattern times text,
// whatever the pattern.
package pattern

import "strings"

// Match says whether the whole of s is what the pattern says.
func Match(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) {
		return false
	}
	s = s[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part) // the first place is enough
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return strings.HasSuffix(s, last)
}
