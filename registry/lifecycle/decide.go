package lifecycle

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/pattern"
)

// Decide says what a policy wants with a repository's images at a time: by rule
// and from the oldest image on, what follows its subject behind that. Images are
// all that the repository has, each once, in any order. Time is that of sorting
// them once for each kind of age, and of looking at each once for each rule.
func (p *Policy) Decide(images []Facts, now time.Time) []Decision {
	d := &deciding{policy: p, now: now, images: images, at: make(map[digest.Digest]int, len(images)), sorted: map[CountType][]int{}}
	for i, img := range images {
		d.at[img.Digest] = i
	}
	d.taken = make([]int, len(images))
	d.seen = make([]bool, len(images))
	for _, rule := range p.Rules {
		d.apply(rule)
	}
	d.followers()
	return d.list
}

// deciding is a decision on its way.
type deciding struct {
	policy *Policy
	now    time.Time
	images []Facts
	at     map[digest.Digest]int // index of an image
	sorted map[CountType][]int   // all indexes by age; see oldestFirst
	seen   []bool                // by index: a rule looked at it, and no later one may touch it
	taken  []int                 // by index: 1 + index in list of its decision, 0 for none
	list   []Decision
}

// apply marks what a rule takes, from the oldest on. Images that an earlier rule
// looked at are counted, and left alone.
func (d *deciding) apply(rule Rule) {
	var candidates []int
	for _, i := range d.oldestFirst(rule.Count) {
		if d.looksAt(rule, i) {
			candidates = append(candidates, i)
		}
	}
	marked := d.marked(rule, candidates)
	d.list = slices.Grow(d.list, len(marked))
	for n, i := range marked {
		if !d.seen[i] {
			d.take(i, Decision{Image: d.images[i], Action: rule.Action, Rule: rule.Priority, Reason: d.reason(rule, i, len(candidates)-n)})
		}
	}
	for _, i := range candidates {
		d.seen[i] = true
	}
}

// looksAt says whether an image meets a rule's demands on class and tags. A
// referrer whose subject is here goes with that, and no rule looks at it: what
// ECR does is not known, and a signature is not to go before what it signs.
func (d *deciding) looksAt(rule Rule, i int) bool {
	img := &d.images[i]
	return img.Archived == rule.Archived && rule.takesTags(img.Tags) && !d.followsOther(img)
}

func (d *deciding) followsOther(img *Facts) bool {
	if img.Subject.IsZero() {
		return false
	}
	_, here := d.at[img.Subject]
	return here && img.Subject != img.Digest
}

// takesTags: every word of a rule must be matched by some tag.
func (r Rule) takesTags(tags []string) bool {
	switch r.Status {
	case Any:
		return true
	case Untagged:
		return len(tags) == 0
	}
	for _, word := range r.Patterns {
		if !slices.ContainsFunc(tags, func(tag string) bool { return pattern.Match(word, tag) }) {
			return false
		}
	}
	for _, word := range r.Prefixes {
		if !slices.ContainsFunc(tags, func(tag string) bool { return strings.HasPrefix(tag, word) }) {
			return false
		}
	}
	return true
}

// oldestFirst are all images by their age for a count type, those of one age in
// order of digest, so that the same images always make the same decision.
func (d *deciding) oldestFirst(count CountType) []int {
	if count == ImageCountMoreThan {
		count = SinceImagePushed // it has the same age
	}
	if list, there := d.sorted[count]; there {
		return list
	}
	list, ages := make([]int, len(d.images)), make([]time.Time, len(d.images))
	for i := range d.images {
		list[i], ages[i] = i, d.age(count, i)
	}
	slices.SortFunc(list, func(a, b int) int {
		if c := ages[a].Compare(ages[b]); c != 0 {
			return c
		}
		return cmp.Compare(d.images[a].Digest.Encoded(), d.images[b].Digest.Encoded())
	})
	d.sorted[count] = list
	return list
}

// marked are those of the candidates, the oldest first, that a rule takes.
func (d *deciding) marked(rule Rule, candidates []int) []int {
	if rule.Count == ImageCountMoreThan {
		return candidates[:max(0, len(candidates)-rule.Number)]
	}
	limit := d.now.UTC().AddDate(0, 0, -rule.Number) // a Duration would not hold the longest
	old, _ := slices.BinarySearchFunc(candidates, limit, func(i int, limit time.Time) int { return d.age(rule.Count, i).Compare(limit) })
	return candidates[:old]
}

// age is the time that a count type counts from.
func (d *deciding) age(count CountType, i int) time.Time {
	img := d.images[i]
	switch count {
	case SinceImagePulled:
		return latest(cmp.Or(img.PulledAt, img.PushedAt), img.ActivatedAt)
	case SinceImageTransitioned:
		return img.ArchivedAt
	}
	born := cmp.Or(img.ActivatedAt, img.PushedAt)
	if d.policy.AgeFromTag {
		return latest(born, img.TaggedAt)
	}
	return born
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// take notes a decision, unless something keeps the image.
func (d *deciding) take(i int, decision Decision) {
	decision.Kept = d.keeps(i, decision.Action)
	d.list = append(d.list, decision)
	d.taken[i] = len(d.list)
}

// keeps says what keeps an image from an action. A child stays as long as its
// index, also where the index goes in the same run: it goes in the next. It may be
// archived once all of its indexes are.
func (d *deciding) keeps(i int, action Action) Kept {
	img := d.images[i]
	if slices.ContainsFunc(d.policy.Keep, func(k Keep) bool { return k.takes(img.Tags) }) {
		return ByKeepRule
	}
	if img.Protected && action == Expire {
		return Protected
	}
	for _, parent := range img.Parents {
		at, here := d.at[parent]
		if action == Expire || !here || !d.images[at].Archived {
			return ReferencedByIndex
		}
	}
	return ""
}

// takes: a keep-rule takes an image for any tag that matches any word.
func (k Keep) takes(tags []string) bool {
	return slices.ContainsFunc(tags, func(tag string) bool {
		return slices.ContainsFunc(k.Patterns, func(word string) bool { return pattern.Match(word, tag) }) ||
			slices.ContainsFunc(k.Prefixes, func(word string) bool { return strings.HasPrefix(tag, word) })
	})
}

// followers takes what refers to images that go, and so on from those.
func (d *deciding) followers() {
	by := map[digest.Digest][]int{}
	for i := range d.images {
		if img := &d.images[i]; d.followsOther(img) {
			by[img.Subject] = append(by[img.Subject], i)
		}
	}
	if len(by) == 0 {
		return
	}
	next := d.followThose(0, by)
	for i, img := range d.images { // what was archived before and stays, its referrers not yet
		if img.Archived && d.taken[i] == 0 {
			d.follow(by[img.Digest], Decision{Action: Transition, Reason: "its subject is archived"})
		}
	}
	d.followThose(next, by)
}

// followThose takes what refers to the images of decisions from the given one on,
// which more are added to, and returns how many there are then.
func (d *deciding) followThose(from int, by map[digest.Digest][]int) int {
	for ; from < len(d.list); from++ {
		if subject := d.list[from]; subject.Kept == "" {
			d.follow(by[subject.Image.Digest], Decision{Action: subject.Action, Rule: subject.Rule, Reason: "its subject goes: " + subject.Reason})
		}
	}
	return from
}

func (d *deciding) follow(referrers []int, like Decision) {
	for _, i := range referrers {
		if d.taken[i] != 0 || like.Action == Transition && d.images[i].Archived {
			continue
		}
		like.Image, like.Follows = d.images[i], true
		d.take(i, like)
	}
}
