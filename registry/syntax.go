package registry

import "strings"

// The forms of the names that nearly every request has. They are looked at character by
// character: a regular expression takes several times as long. A test holds them
// against the expressions that they stand for.

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLower(c byte) bool { return 'a' <= c && c <= 'z' || isDigit(c) }

func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' || isLower(c) }

// all says whether all characters of s are of a kind.
func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// isAccount: [0-9]{12}
func isAccount(s string) bool { return len(s) == 12 && all(s, isDigit) }

// isRegion: [0-9a-z-]{2,25}
func isRegion(s string) bool {
	return len(s) >= 2 && len(s) <= 25 && all(s, func(c byte) bool { return isLower(c) || c == '-' })
}

// isTag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
func isTag(s string) bool {
	return s != "" && len(s) <= 128 && s[0] != '.' && s[0] != '-' &&
		all(s, func(c byte) bool { return isLetter(c) || c == '_' || c == '.' || c == '-' })
}

// isPath: components between slashes.
func isPath(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

// isComponent: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
func isComponent(s string) bool {
	for i := 0; ; {
		word := i
		for i < len(s) && isLower(s[i]) {
			i++
		}
		if i == word {
			return false
		}
		if i == len(s) {
			return true
		}
		separator := i
		for i < len(s) && !isLower(s[i]) {
			i++
		}
		if !isSeparator(s[separator:i]) {
			return false
		}
	}
}

func isSeparator(s string) bool {
	return s == "." || s == "_" || s == "__" || strings.Trim(s, "-") == ""
}

// isUploadID says whether newID may have made an id: [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}
func isUploadID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if c := s[i]; hyphen != (c == '-') || !hyphen && !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
