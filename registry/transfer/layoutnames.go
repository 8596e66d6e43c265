package transfer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// written is a layout that is written.
type written struct {
	mu      sync.Mutex
	tags    map[string]entry
	loose   map[digest.Digest]entry // without a tag
	others  []entry                 // of tags that others gave twice
	named   map[digest.Digest]int   // how many tags it has
	inside  map[digest.Digest]bool  // what an index that is named names itself
	changed bool
	saved   time.Time
	files   int // that were begun
}

// add takes an entry over that was there.
func (l *written) add(e entry) {
	tag := e.tag()
	_, double := l.tags[tag]
	switch {
	case tag == "":
		l.loose[e.Digest] = e
	case double:
		l.others = append(l.others, e)
	default:
		l.tags[tag] = e
		l.named[e.Digest]++
	}
}

// find is what a reference names.
func (l *written) find(ref string) (entry, error) {
	d, err := digest.Parse(ref)
	if err != nil {
		if e, ok := l.tags[ref]; ok {
			return e, nil
		}
	} else if e, ok := l.loose[d]; ok || l.named[d] > 0 || l.inside[d] {
		return entry{Digest: d, MediaType: e.MediaType}, nil
	}
	return entry{}, fmt.Errorf("%w: the layout does not name %.150q", peer.ErrNotFound, ref)
}

// name has the index name a manifest: under a tag, or by itself unless it is there or
// a part of what is.
func (l *written) name(e entry, ref string, tagged bool) {
	l.changed = true
	if !tagged {
		if !l.inside[e.Digest] && l.named[e.Digest] == 0 {
			l.loose[e.Digest] = e
		}
		return
	}
	if before, ok := l.tags[ref]; ok {
		if l.named[before.Digest]--; l.named[before.Digest] == 0 && before.Digest != e.Digest && !l.inside[before.Digest] {
			before.Annotations = nil
			l.loose[before.Digest] = before // it has no name any more, and is there
		}
	}
	delete(l.loose, e.Digest)
	e.Annotations = map[string]string{refName: ref}
	l.tags[ref] = e
	l.named[e.Digest]++
}

// entries are those of the index, in an order that is always the same.
func (l *written) entries() []entry {
	all := slices.Concat(l.others, slices.Collect(maps.Values(l.tags)), slices.Collect(maps.Values(l.loose)))
	slices.SortFunc(all, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.tag(), b.tag()), cmp.Compare(a.Digest.String(), b.Digest.String()))
	})
	return all
}
