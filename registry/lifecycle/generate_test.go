package lifecycle_test

import (
	"fmt"
	"math/rand/v2"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

// generator makes policies and repositories that are small and full of ties.
type generator struct{ *rand.Rand }

func (g generator) policy() plainPolicy {
	var p plainPolicy
	if g.IntN(3) == 0 {
		p.Berth = &plainExtra{AgeFrom: []string{"", "push", "tag", "tag"}[g.IntN(4)]}
		for range g.IntN(3) {
			p.Berth.Keep = append(p.Berth.Keep, map[string][]string{"tagPrefixList": {[]string{"a", "v", "ab"}[g.IntN(3)]}})
		}
	}
	words := []string{"a", "b", "v", "ab", "-x", "va"}
	used := map[string]bool{}
	for i := range 1 + g.IntN(4) {
		var r plainRule
		r.RulePriority = 1 + 5*i + g.IntN(5)
		s := &r.Selection
		s.TagStatus = []string{"tagged", "tagged", "untagged", "any"}[g.IntN(4)]
		s.CountType = []string{"imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"}[g.IntN(4)]
		s.CountNumber = 1 + g.IntN(5)
		r.Action.Type = "expire"
		if s.CountType == "sinceImagePulled" || s.CountType != "sinceImageTransitioned" && g.IntN(3) == 0 {
			r.Action.Type, r.Action.Target = "transition", "archive"
		}
		if s.CountType != "imageCountMoreThan" {
			s.CountUnit = "days"
		}
		if s.CountType == "sinceImageTransitioned" {
			s.StorageClass, s.CountNumber = "archive", 90+g.IntN(3)
		}
		if s.TagStatus == "tagged" {
			word := words[g.IntN(len(words))]
			if g.IntN(2) == 0 {
				s.TagPrefixList = []string{word, words[g.IntN(len(words))]}[:1+g.IntN(2)]
			} else {
				s.TagPatternList = []string{[]string{"*", "*" + word, word + "*", "*" + word + "*", word}[g.IntN(5)]}
			}
		}
		if s.TagStatus == "any" {
			r.RulePriority += 100
		}
		key := fmt.Sprint(s.StorageClass, s.TagStatus)
		for _, w := range append(s.TagPatternList, s.TagPrefixList...) {
			key += w
		}
		if !used[key] {
			used[key] = true
			p.Rules = append(p.Rules, r)
		}
	}
	return p
}

func (g generator) images(n int) []lifecycle.Facts {
	tags := []string{"a", "b", "v1", "va", "ab-x", "v-x", "vb"}
	var all []lifecycle.Facts
	for i := range n {
		img := image(fmt.Sprint(i), g.IntN(8))
		for _, tag := range tags {
			if g.IntN(4) == 0 {
				img.Tags = append(img.Tags, tag)
			}
		}
		if g.IntN(3) == 0 {
			img.PulledAt = ago(g.IntN(8))
		}
		if g.IntN(4) == 0 {
			img.ActivatedAt = ago(g.IntN(8))
		}
		if len(img.Tags) > 0 {
			img.TaggedAt = ago(g.IntN(8))
		}
		if g.IntN(4) == 0 {
			img.Archived, img.ArchivedAt = true, ago(86+g.IntN(8))
		}
		if len(all) > 0 && g.IntN(4) == 0 {
			img.Parents = []digest.Digest{all[g.IntN(len(all))].Digest}
		}
		switch {
		case len(all) > 0 && g.IntN(4) == 0:
			img.Subject = all[g.IntN(len(all))].Digest
		case g.IntN(9) == 0:
			img.Subject = digestOf("nowhere")
		}
		all = append(all, img)
	}
	g.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}
