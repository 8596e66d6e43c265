package scan

import (
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/pattern"
)

// Type says what scans the images of a registry.
type Type string

// The types, as ECR names them. The zero value is none of them; where nothing was ever
// set it is Basic.
const (
	// Basic scans look at what the distribution's own package manager installed, once,
	// when an image is pushed or somebody asks.
	Basic Type = "BASIC"
	// Enhanced scans look at packages of languages too, and with Continuous again when
	// more is known.
	Enhanced Type = "ENHANCED"
)

// Frequency says when the images of a repository are scanned.
type Frequency string

// The frequencies, as ECR names them.
const (
	OnPush       Frequency = "SCAN_ON_PUSH"
	Continuously Frequency = "CONTINUOUS_SCAN" // with Enhanced alone
	ByHand       Frequency = "MANUAL"          // with Basic alone
)

// Frequencies are those that rules of a type may have, that first which goes
// before the others where several rules match (ECR reference, policies.md
// section 6; that on push goes before by hand is not said there, and is what
// somebody who has set it expects). There are none of a type that is not known.
func (t Type) Frequencies() []Frequency {
	switch t {
	case Basic:
		return []Frequency{OnPush, ByHand}
	case Enhanced:
		return []Frequency{Continuously, OnPush}
	}
	return nil
}

// Settings are the scanning configuration of a registry.
type Settings struct {
	Type  Type
	Rules []Rule // at most one for each frequency
}

// Rule says how often the images of some repositories are scanned: of those
// whose names match one of Filters. A filter without a star matches names that
// contain it; with stars it is a pattern for the whole name in which a star
// stands for any run of characters. A rule without filters matches none, which
// ECR's reference leaves open.
type Rule struct {
	Frequency Frequency
	Filters   []string // at most 100
}

// Applied is what settings come to for one repository.
type Applied struct {
	Frequency Frequency
	Filters   []string // those that match, of the rule in force; nil if no rule matches
}

// Applies says how the images of the repository of that name are scanned. flagged is
// the repository's own flag, which counts where no rule matches, which ECR's reference
// leaves open, but not beside enhanced scans, for which it means nothing. Those leave a
// repository alone that no rule matches; ECR has no value for that but ByHand.
func Applies(s Settings, flagged bool, name string) Applied {
	for _, frequency := range s.Type.Frequencies() {
		for _, rule := range s.Rules {
			if rule.Frequency != frequency {
				continue
			}
			if matched := rule.matched(name); matched != nil {
				return Applied{frequency, matched}
			}
		}
	}
	if s.Type == Basic && flagged {
		return Applied{Frequency: OnPush}
	}
	return Applied{Frequency: ByHand}
}

// matched are those filters of the rule that match a name.
func (r Rule) matched(name string) (list []string) {
	for _, filter := range r.Filters {
		if matches(filter, name) {
			list = append(list, filter)
		}
	}
	return list
}

func matches(filter, name string) bool {
	if !strings.Contains(filter, "*") {
		return strings.Contains(name, filter)
	}
	return pattern.Match(filter, name)
}

// Allows says whether a rule of the type may have the frequency.
func (t Type) Allows(f Frequency) bool { return slices.Contains(t.Frequencies(), f) }
