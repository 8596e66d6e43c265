// Package lifecycle reads ECR's lifecycle policies and decides what they do: a
// text, what is known of a repository's images, and a time make a list of
// decisions, each with the rule and the reason. It is pure.
//
// Grammar, messages and selection are those of ECR (ECR reference, policies.md
// section 4). Where ECR's behaviour is not known, the code says what was chosen.
//
// # Extensions
//
// With [Options.Extensions] a policy may have one more key beside "rules", which
// ECR refuses:
//
//	"berth": {
//	  "keep": [{"tagPatternList": ["release-*"], "description": "what we shipped"}],
//	  "ageFrom": "tag"
//	}
//
// An image with a tag that matches a pattern (or begins with a prefix of
// "tagPrefixList") of "keep" is neither expired nor archived, whatever the rules
// say; it is counted like any other. With "ageFrom": "tag" a tag that comes to an
// image makes it as young as if it had been pushed then; "push" is the default.
package lifecycle

import (
	"time"

	"github.com/seed-78150930/berth/registry/digest"
)

// Policy is a policy that Parse took.
type Policy struct {
	Rules []Rule // by priority, the first to be applied first
	// Keep and AgeFromTag are the extensions.
	Keep       []Keep
	AgeFromTag bool
}

// Rule says what becomes of some images.
type Rule struct {
	Priority    int
	Description string
	Status      TagStatus
	Patterns    []string // for whole tags; only with Tagged
	Prefixes    []string // only with Tagged, and never with Patterns
	Archived    bool     // looks at archived images, not at the others
	Count       CountType
	Number      int // images, or days
	Action      Action
}

// Keep is a keep-rule.
type Keep struct {
	Description string
	Patterns    []string
	Prefixes    []string
}

// TagStatus says which images a rule looks at, by their tags.
type TagStatus string

// The tag statuses, as policies write them.
const (
	Tagged   TagStatus = "tagged"
	Untagged TagStatus = "untagged"
	Any      TagStatus = "any"
)

// CountType says what a rule counts.
type CountType string

// The count types, as policies write them.
const (
	ImageCountMoreThan     CountType = "imageCountMoreThan"
	SinceImagePushed       CountType = "sinceImagePushed"
	SinceImagePulled       CountType = "sinceImagePulled"
	SinceImageTransitioned CountType = "sinceImageTransitioned"
)

// Action is what a rule does to images.
type Action string

// The actions, as ECR's API writes them.
const (
	Expire     Action = "EXPIRE"
	Transition Action = "TRANSITION" // into the archive
)

// Facts are what is known of an image.
type Facts struct {
	Digest   digest.Digest
	Tags     []string
	PushedAt time.Time
	// The times of the last pull, of the last way back from the archive and into
	// it, and of the last tag that came; zero if that never was.
	PulledAt, ActivatedAt, ArchivedAt, TaggedAt time.Time
	Archived                                    bool            // or on its way back
	Parents                                     []digest.Digest // the indexes in the repository that name it
	Subject                                     digest.Digest   // zero if it is no referrer
	Protected                                   bool            // the server's configuration keeps it from deletion
}

// Decision is what a policy wants with an image.
type Decision struct {
	Image  Facts
	Action Action
	// Rule is the priority of the rule; of a referrer that follows its subject,
	// that of the subject's.
	Rule   int
	Reason string // a sentence's end: "pushed 40 days ago, and rule 2 expires what is older than 30 days"
	// Follows says that the image goes because its subject does, or did.
	Follows bool
	// Kept says why it is not done all the same; "" means that it is.
	Kept Kept
}

// Kept is why an image stays that a rule would take.
type Kept string

// The reasons. The first is ECR's (ECR reference, policies.md section 4).
const (
	ReferencedByIndex Kept = "ImageReferencedByManifestList"
	ByKeepRule        Kept = "ImageKeptByKeepRule"
	Protected         Kept = "ImageProtected" // only from being expired
)

// Options say what Parse takes.
type Options struct {
	Extensions bool
	MaxRules   int // 0 means ECR's 50
}

// MaxText is ECR's limit on the characters of a policy (model:
// LifecyclePolicyText).
const MaxText = 30_720

// Error says what is wrong with a text.
type Error struct {
	// Reason is ECR's, without quotes around it.
	Reason string
	// Unclosed says that ECR forgets the closing quote behind this reason.
	Unclosed bool
}

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// Quoted is the reason as ECR's message ends with it.
func (e *Error) Quoted() string {
	if e.Unclosed {
		return "'" + e.Reason
	}
	return "'" + e.Reason + "'"
}
