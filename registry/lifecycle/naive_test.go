package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

// plainRule is a rule as its JSON has it.
type plainRule struct {
	RulePriority int `json:"rulePriority"`
	Selection    struct {
		TagStatus      string   `json:"tagStatus"`
		TagPatternList []string `json:"tagPatternList,omitempty"`
		TagPrefixList  []string `json:"tagPrefixList,omitempty"`
		StorageClass   string   `json:"storageClass,omitempty"`
		CountType      string   `json:"countType"`
		CountUnit      string   `json:"countUnit,omitempty"`
		CountNumber    int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type   string `json:"type"`
		Target string `json:"targetStorageClass,omitempty"`
	} `json:"action"`
}

// plainPolicy is a policy as its JSON has it, with Berth's own key.
type plainPolicy struct {
	Rules []plainRule `json:"rules"`
	Berth *plainExtra `json:"berth,omitempty"`
}

type plainExtra struct {
	Keep    []map[string][]string `json:"keep,omitempty"`
	AgeFrom string                `json:"ageFrom,omitempty"`
}

// slowly says what becomes of each image by reading the reference's prose
// sentence by sentence, image by image, without regard for time.
func slowly(p plainPolicy, images []lifecycle.Facts) map[string]string {
	rules := p.Rules
	sort.Slice(rules, func(i, j int) bool { return rules[i].RulePriority < rules[j].RulePriority })
	result := map[string]string{}
	for _, img := range images {
		for _, r := range rules {
			if !visible(r, img, images) {
				continue
			}
			if p.expired(r, img, images) {
				verdict := fmt.Sprintf("%s by %d", map[string]string{"expire": "expire", "transition": "archive"}[r.Action.Type], r.RulePriority)
				result[img.Digest.String()] = verdict + p.shelter(r.Action.Type, img, images)
			}
			break // out of reach of the rules below
		}
	}
	// First what follows a subject that goes, then what follows one that went into
	// the archive earlier.
	for earlier, again := false, true; again || !earlier; {
		earlier = earlier || !again
		again = false
		for _, img := range images {
			if _, decided := result[img.Digest.String()]; decided || !hasSubject(img, images) {
				continue
			}
			verdict, gone := result[img.Subject.String()]
			switch {
			case gone && strings.Contains(verdict, "kept"):
				continue
			case gone && strings.HasPrefix(verdict, "archive") && img.Archived:
				continue
			case gone:
			case earlier && find(images, img.Subject).Archived && !img.Archived:
				verdict = "archive by 0"
			default:
				continue
			}
			verdict = strings.TrimSuffix(verdict, " follows") + " follows"
			kind := "expire"
			if strings.HasPrefix(verdict, "archive") {
				kind = "transition"
			}
			result[img.Digest.String()] = verdict + p.shelter(kind, img, images)
			again = true
		}
	}
	return result
}

func find(images []lifecycle.Facts, d digest.Digest) *lifecycle.Facts {
	for i := range images {
		if images[i].Digest == d {
			return &images[i]
		}
	}
	return nil
}

func hasSubject(img lifecycle.Facts, images []lifecycle.Facts) bool {
	return !img.Subject.IsZero() && find(images, img.Subject) != nil
}

func visible(r plainRule, img lifecycle.Facts, images []lifecycle.Facts) bool {
	if hasSubject(img, images) || (r.Selection.StorageClass == "archive") != img.Archived {
		return false
	}
	switch r.Selection.TagStatus {
	case "untagged":
		return len(img.Tags) == 0
	case "any":
		return true
	}
	for _, entry := range append(append([]string{}, r.Selection.TagPatternList...), r.Selection.TagPrefixList...) {
		expression := "^" + strings.ReplaceAll(regexp.QuoteMeta(entry), `\*`, ".*")
		if r.Selection.TagPatternList != nil {
			expression += "$"
		}
		matched := false
		for _, tag := range img.Tags {
			matched = matched || regexp.MustCompile(expression).MatchString(tag)
		}
		if !matched {
			return false
		}
	}
	return true
}

func (p plainPolicy) born(r plainRule, img lifecycle.Facts) time.Time {
	at := img.PushedAt
	switch r.Selection.CountType {
	case "sinceImageTransitioned":
		return img.ArchivedAt
	case "sinceImagePulled":
		if !img.PulledAt.IsZero() {
			at = img.PulledAt
		}
		if img.ActivatedAt.After(at) {
			at = img.ActivatedAt
		}
	default:
		if !img.ActivatedAt.IsZero() {
			at = img.ActivatedAt
		}
		if p.Berth != nil && p.Berth.AgeFrom == "tag" && img.TaggedAt.After(at) {
			at = img.TaggedAt
		}
	}
	return at
}

func (p plainPolicy) expired(r plainRule, img lifecycle.Facts, images []lifecycle.Facts) bool {
	if r.Selection.CountType != "imageCountMoreThan" {
		return now.Sub(p.born(r, img)) > time.Duration(r.Selection.CountNumber)*24*time.Hour
	}
	younger := 0
	for _, other := range images {
		if other.Digest == img.Digest || !visible(r, other, images) {
			continue
		}
		a, b := p.born(r, other), p.born(r, img)
		if a.After(b) || a.Equal(b) && other.Digest.Encoded() > img.Digest.Encoded() {
			younger++
		}
	}
	return younger >= r.Selection.CountNumber
}

func (p plainPolicy) shelter(action string, img lifecycle.Facts, images []lifecycle.Facts) string {
	if p.Berth != nil {
		for _, k := range p.Berth.Keep {
			for _, tag := range img.Tags {
				for _, prefix := range k["tagPrefixList"] {
					if strings.HasPrefix(tag, prefix) {
						return " kept ImageKeptByKeepRule"
					}
				}
			}
		}
	}
	for _, d := range img.Parents {
		parent := find(images, d)
		if action == "transition" && parent != nil && parent.Archived {
			continue
		}
		return " kept ImageReferencedByManifestList"
	}
	return ""
}

// TestLikeAReaderOfTheProse holds Decide against slowly on generated
// repositories, the smallest first, so that what differs is easy to read.
func TestLikeAReaderOfTheProse(t *testing.T) {
	decided, tried := 0, 0
	for i := range 400 {
		g := generator{rand.New(rand.NewPCG(1, uint64(i)))}
		plain, images := g.policy(), g.images(1+i/10)
		text, err := json.Marshal(plain)
		if err != nil {
			t.Fatal(err)
		}
		p, err := lifecycle.Parse(string(text), lifecycle.Options{Extensions: true})
		if err != nil {
			continue // such as one prefix in two rules
		}
		tried++
		want, got := slowly(plain, images), map[string]string{}
		names := map[string]string{}
		for j := range images {
			names[fmt.Sprint(j)] = digestOf(fmt.Sprint(j)).String()
		}
		for name, what := range outcome(p, images, keys(names)...) {
			got[names[name]] = what
		}
		decided += len(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("history %d: %s\nof %+v\n(-want +got):\n%s", i, text, images, diff)
		}
	}
	if tried < 200 || decided < 500 {
		t.Errorf("%d histories together decide about %d images", tried, decided)
	}
}

func keys(m map[string]string) (list []string) {
	for k := range m {
		list = append(list, k)
	}
	return list
}
