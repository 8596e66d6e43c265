package policy

import (
	"strings"
	"unicode/utf8"
)

// In a compiled pattern these bytes, which no text in UTF-8 has, stand for the
// wildcards. A star that was meant as a star stays one.
const (
	anyRun = '\xff' // *, any run of characters
	anyOne = '\xfe' // ?, any one character
)

var wildcards = strings.NewReplacer("*", "\xff", "?", "\xfe")

// glob is a compiled pattern. What is before the first wildcard and behind the
// last one is compared first, since most texts fail there.
type glob struct {
	head, middle, tail string
	exact              bool // there is no wildcard, and all is in head
}

// newGlob takes a text in which the wildcards are anyRun and anyOne.
func newGlob(text string) glob {
	first := indexWild(text)
	if first < 0 {
		return glob{head: text, exact: true}
	}
	last := len(text)
	for text[last-1] < anyOne {
		last--
	}
	return glob{head: text[:first], middle: text[first:last], tail: text[last:]}
}

func indexWild(text string) int {
	for i := range len(text) {
		if text[i] >= anyOne {
			return i
		}
	}
	return -1
}

// text is what the glob was made of.
func (g *glob) text() string { return g.head + g.middle + g.tail }

func (g *glob) matches(s string) bool {
	if g.exact {
		return s == g.head
	}
	if len(s) < len(g.head)+len(g.tail) || s[:len(g.head)] != g.head || s[len(s)-len(g.tail):] != g.tail {
		return false
	}
	return g.middle == "\xff" || match(g.middle, s[len(g.head):len(s)-len(g.tail)])
}

// match holds the whole of s against a pattern with anyRun and anyOne. It takes at
// most pattern times text: what the last star stands for is all that is ever taken
// back.
func match(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == anyRun:
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == anyOne:
			p++
			i += width(s[i:])
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark += width(s[mark:])
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == anyRun {
		p++
	}
	return p == len(pattern)
}

// width is how many bytes the first character has.
func width(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

// anyMatch says whether a text meets one of several patterns.
func anyMatch(patterns []glob, s string) bool {
	for i := range patterns {
		if patterns[i].matches(s) {
			return true
		}
	}
	return false
}

// foldGlobs compiles patterns that are compared in lower case.
func foldGlobs(patterns []string) []glob {
	var all []glob
	for _, p := range patterns {
		all = append(all, newGlob(wildcards.Replace(strings.ToLower(p))))
	}
	return all
}
