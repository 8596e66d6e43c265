package power

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// node is a file or a folder.
type node interface {
	keep()       // makes all that was changed durable
	lose(chance) // keeps what chance leaves of it, and has it durable
}

// chance decides what is kept of what was not synced.
type chance struct {
	random *rand.Rand
	part   float64 // of changes that are kept: 0 none, 1 all
}

// newChance has nothing, everything or some part of the changes kept.
func newChance(random *rand.Rand) chance {
	switch c := (chance{random, random.Float64()}); random.IntN(6) {
	case 0:
		return chance{random, 0}
	case 1:
		return chance{random, 1}
	default:
		return c
	}
}

func (c chance) keeps() bool { return c.random.Float64() < c.part }

// tears says whether a write that is not kept whole is kept in part.
func (c chance) tears() bool { return c.part > 0 && c.part < 1 && c.random.IntN(2) == 0 }

// folder is a map from names to nodes.
type folder struct {
	live, synced map[string]node
	pending      []change
}

// change is of names in one folder, at once: nil takes a name away.
type change struct{ put map[string]node }

func newFolder() *folder { return &folder{live: map[string]node{}, synced: map[string]node{}} }

func (f *folder) change(c change) {
	c.apply(f.live)
	f.pending = append(f.pending, c)
}

func (c change) apply(names map[string]node) {
	for name, n := range c.put {
		if n == nil {
			delete(names, name)
		} else {
			names[name] = n
		}
	}
}

func (f *folder) keep() { f.lose(chance{part: 1, random: anyRandom}) }

// anyRandom is for chances that leave nothing open.
var anyRandom = rand.New(rand.NewPCG(0, 0))

func (f *folder) lose(c chance) {
	for _, change := range f.pending {
		if c.keeps() {
			change.apply(f.synced)
		}
	}
	f.pending = nil
}

// file is bytes, of which blocks of zeros need not be there.
type file struct {
	size    int64 // of the live file
	synced  content
	pending []edit
}

// edit is a write, or the setting of a size if data is nil.
type edit struct {
	off  int64 // or the size
	data []byte
}

func (f *file) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	f.pending = append(f.pending, edit{off, slices.Clone(p)})
	f.size = max(f.size, off+int64(len(p)))
}

func (f *file) cut(size int64) {
	f.pending = append(f.pending, edit{off: size})
	f.size = size
}

func (f *file) keep() {
	for _, e := range f.pending {
		e.apply(&f.synced)
	}
	f.pending = nil
}

func (f *file) lose(c chance) {
	for _, e := range f.pending {
		switch {
		case c.keeps():
			e.apply(&f.synced)
		case e.data != nil && c.tears():
			e.tear(&f.synced, c)
		}
	}
	f.pending = nil
}

func (e edit) apply(to *content) {
	if e.data == nil {
		to.resize(e.off)
	} else {
		to.write(e.data, e.off)
	}
}

// tear keeps some of the sectors of a write. The file may be as long as if all of
// them had been kept: then there are zeros where they are missing.
func (e edit) tear(to *content, c chance) {
	end := e.off + int64(len(e.data))
	for at := e.off; at < end; {
		next := min(end, (at/sector+1)*sector)
		if c.random.IntN(2) == 0 {
			to.write(e.data[at-e.off:next-e.off], at)
		}
		at = next
	}
	if to.size < end && c.random.IntN(2) == 0 {
		to.resize(end)
	}
}

// content is bytes in pages; one that is absent is of zeros.
type content struct {
	size  int64
	pages map[int64][]byte
}

const pageSize = 4096

func (c *content) write(p []byte, off int64) {
	if c.pages == nil {
		c.pages = map[int64][]byte{}
	}
	c.size = max(c.size, off+int64(len(p)))
	for len(p) > 0 {
		n := off / pageSize
		page := c.pages[n]
		if page == nil {
			page = make([]byte, pageSize)
			c.pages[n] = page
		}
		done := copy(page[off%pageSize:], p)
		p, off = p[done:], off+int64(done)
	}
}

func (c *content) resize(size int64) {
	for n, page := range c.pages {
		switch at := n * pageSize; {
		case at >= size:
			delete(c.pages, n)
		case at+pageSize > size:
			clear(page[size-at:])
		}
	}
	c.size = size
}

func (c *content) numbers() []int64 { return slices.Sorted(maps.Keys(c.pages)) }
