package config

import (
	"fmt"
	"strings"
)

// mean is the end of a complaint that knows better.
func mean(what string) string {
	if what == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", what)
}

// nearest is the word that a misspelt one is most likely for, or "" if none is
// near: at most a third of its letters, and two at least, may be wrong.
func nearest(word string, words []string) string {
	best, bestAway := "", 1<<30
	for _, w := range words {
		if d := distance(spelling(word), spelling(w)); d < bestAway {
			best, bestAway = w, d
		}
	}
	if bestAway > max(2, len(best)/3) {
		return ""
	}
	return best
}

// spelling takes away what people confuse most: case, and how words are joined.
func spelling(s string) string {
	const longest = 64 // more is no misspelling of ours
	s = strings.NewReplacer("_", "-", ".", "-", " ", "-").Replace(strings.ToLower(s))
	return s[:min(len(s), longest)]
}

// distance is how many bytes must be put in, taken out or changed to make b of
// a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
