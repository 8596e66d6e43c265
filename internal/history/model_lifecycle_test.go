package history

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// expire runs the lifecycle policies of all repositories.
func (m *model) expire() {
	for _, name := range sorted(m.repos) {
		r := m.repos[name]
		if r.keeps == nil {
			continue
		}
		first := len(m.events)
		gone, archived := r.expiring()
		for _, d := range gone {
			m.remove(name, r.images[d])
		}
		for _, d := range archived {
			m.archive(name, r.images[d]) // unless it went with another
		}
		for i := range m.events[first:] {
			m.events[first+i].Actor = "" // nobody's
		}
	}
}

// expiring are the images that the policy has go, in order: the oldest first, and
// behind them what refers to them. None goes that an index names. What refers to
// an archived image is archived (ECR reference, policies.md section 4).
func (r *repository) expiring() (gone, archived []string) {
	taken := map[string]bool{}
	take := func(list []string, d string, mayGo bool) []string {
		if taken[d] {
			return list
		}
		taken[d] = true
		if !mayGo {
			return list
		}
		return append(list, d)
	}
	oldest := r.candidates()
	for _, d := range oldest[:max(0, len(oldest)-r.keeps.Size)] {
		gone = take(gone, d, len(r.parents(d)) == 0)
	}
	for i := 0; i < len(gone); i++ {
		for _, img := range r.referrers(gone[i]) {
			gone = take(gone, img.digest, len(r.parents(img.digest)) == 0)
		}
	}
	var subjects []string
	for _, d := range sorted(r.images) {
		if r.images[d].status == "ARCHIVED" && !taken[d] {
			subjects = append(subjects, d)
		}
	}
	needs := func(index *stored) bool { return index.status == "ACTIVE" }
	for ; len(subjects) > 0; subjects = subjects[1:] {
		for _, img := range r.referrers(subjects[0]) {
			if img.status != "ACTIVE" {
				continue
			}
			before := len(archived)
			archived = take(archived, img.digest, !slices.ContainsFunc(r.parents(img.digest), needs))
			subjects = append(subjects, archived[before:]...)
		}
	}
	return gone, archived
}

// candidates are the active images that the policy counts, the oldest first. What
// refers to an image that is there goes with that alone.
func (r *repository) candidates() (list []string) {
	for _, d := range sorted(r.images) {
		img := r.images[d]
		tagged := r.keeps.Rule == "untagged" && len(r.tagsOf(d)) > 0
		if img.status == "ACTIVE" && !tagged && r.images[img.subject] == nil {
			list = append(list, d)
		}
	}
	age := func(d string) time.Time { return cmp.Or(r.images[d].activated, r.images[d].pushed) }
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(age(a).Compare(age(b)), strings.Compare(a, b)) })
	return list
}
