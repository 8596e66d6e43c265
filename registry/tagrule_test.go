package registry_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

func TestTagRule(t *testing.T) {
	release := []string{"release-*", "stable"}
	tests := []struct {
		rule registry.TagRule
		tag  string
		want bool // immutable
	}{
		{registry.TagRule{}, "1.0", false},
		{registry.TagRule{Mutability: registry.Mutable}, "1.0", false},
		{registry.TagRule{Mutability: registry.Immutable}, "1.0", true},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: release}, "latest", false},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: release}, "release-1", true},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: release}, "stable", true},
		{registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: release}, "stable2", false},
		{registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: release}, "latest", true},
		{registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: release}, "release-1", false},
		{registry.TagRule{Mutability: registry.ImmutableWithExclusion, Exclusions: release}, "stable", false},
	}
	for _, tt := range tests {
		if got := tt.rule.Immutable(tag(t, tt.tag)); got != tt.want {
			t.Errorf("%v: tag %q immutable is %v, want %v", tt.rule, tt.tag, got, tt.want)
		}
	}
}

func TestTagRuleStars(t *testing.T) {
	tests := []struct {
		pattern, tag string
		want         bool
	}{
		{"*", "a", true},
		{"*", "a.b-c_d", true},
		{"**", "a", true},
		{"a", "a", true},
		{"a", "A", false}, // case counts
		{"a", "ab", false},
		{"a", "ba", false},
		{"a*", "a", true},
		{"a*", "abc", true},
		{"a*", "ba", false},
		{"*a", "a", true},
		{"*a", "bca", true},
		{"*a", "ab", false},
		{"a*a", "a", false}, // the same letter does not count twice
		{"a*a", "aa", true},
		{"a*a", "aba", true},
		{"a*a", "abab", false},
		{"*a*", "a", true},
		{"*a*", "bab", true},
		{"*a*", "bbb", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "a1b2c", true},
		{"a*b*c", "acb", false},
		{"a*b*c", "abcbc", true},
		{"a*bc*c", "abc", false},
		{"a**b", "ab", true},
		{"1.*", "1x2", false}, // a dot is a dot
		{"1.*", "1.2", true},
		{"*aab*", "aaab", true},
	}
	for _, tt := range tests {
		rule := registry.TagRule{Mutability: registry.MutableWithExclusion, Exclusions: []string{tt.pattern}}
		if got := rule.Immutable(tag(t, tt.tag)); got != tt.want {
			t.Errorf("pattern %q matches tag %q: %v, want %v", tt.pattern, tt.tag, got, tt.want)
		}
	}
}

// exclusions are n different patterns.
func exclusions(n int) (list []string) {
	for i := range n {
		list = append(list, string(rune('a'+i))+"*")
	}
	return list
}

func TestTagRuleChecks(t *testing.T) {
	with := func(m registry.Mutability, list ...string) registry.TagRule {
		return registry.TagRule{Mutability: m, Exclusions: list}
	}
	const filters = "imageTagMutabilityExclusionFilters"
	tests := []struct {
		what  string
		rule  registry.TagRule
		field string // at fault; "" if the rule is good
	}{
		{"no rule", registry.TagRule{}, ""},
		{"mutable", with(registry.Mutable), ""},
		{"immutable", with(registry.Immutable), ""},
		{"one exclusion", with(registry.ImmutableWithExclusion, "latest"), ""},
		{"five exclusions", with(registry.MutableWithExclusion, exclusions(5)...), ""},
		{"two stars", with(registry.MutableWithExclusion, "*a*"), ""},
		{"128 characters", with(registry.MutableWithExclusion, strings.Repeat("a", 128)), ""},
		{"every character", with(registry.MutableWithExclusion, "aZ09._-*"), ""},

		{"unknown setting", with("SOMETIMES"), "imageTagMutability"},
		{"lower case setting", with("mutable"), "imageTagMutability"},
		{"exclusions without a setting", with("", "a"), filters},
		{"exclusions of mutable", with(registry.Mutable, "a"), filters},
		{"exclusions of immutable", with(registry.Immutable, "a"), filters},
		{"no exclusions", with(registry.ImmutableWithExclusion), filters},
		{"six exclusions", with(registry.MutableWithExclusion, exclusions(6)...), filters},
		{"three stars", with(registry.MutableWithExclusion, "*a*b*"), filters},
		{"empty", with(registry.MutableWithExclusion, ""), filters},
		{"129 characters", with(registry.MutableWithExclusion, strings.Repeat("a", 129)), filters},
		{"a question mark", with(registry.MutableWithExclusion, "a?"), filters},
		{"a slash", with(registry.MutableWithExclusion, "a/b"), filters},
		{"a line's end", with(registry.MutableWithExclusion, "a\n"), filters},
		{"the second one bad", with(registry.MutableWithExclusion, "a", "["), filters},
	}
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for i, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			fresh := name(t, "team/new"+string(rune('a'+i)))
			_, createErr := s.CreateRepository(alice(t), fresh, registry.Settings{TagRule: tt.rule})
			_, setErr := s.SetTagRule(alice(t), n, tt.rule)
			if tt.field == "" {
				must(t, createErr)
				must(t, setErr)
				return
			}
			for _, err := range []error{createErr, setErr} {
				if e := wantCode(t, "rule", err, registry.SettingInvalid); e.Field != tt.field {
					t.Errorf("field at fault is %q, want %q", e.Field, tt.field)
				}
			}
		})
	}
}
