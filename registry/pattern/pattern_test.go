package pattern_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry/pattern"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "A", false}, {"a", "aa", false},
		{"*", "", true}, {"*", "anything", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false},
		{"*ab*ab*", "abab", true}, {"*ab*ab*", "aba", false}, {"**", "x", true}, {"a.c", "abc", false},
	}
	for _, tt := range tests {
		if got := pattern.Match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b*", "axxb")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 50 || len(s) > 200 {
			return
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, "(?s:.*)")
		re, err := regexp.Compile("^(?:" + quoted + ")$")
		if err != nil || strings.ToValidUTF8(s, "") != s || strings.ToValidUTF8(p, "") != p {
			return
		}
		if got, want := pattern.Match(p, s), re.MatchString(s); got != want {
			t.Errorf("Match(%q, %q) = %v", p, s, got)
		}
	})
}
