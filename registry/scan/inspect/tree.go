package inspect

import (
	"hash/maphash"
	"path"
	"strings"

	"github.com/seed-78150930/berth/registry/scan"
)

// tree is what is known of the names in an image. Layers are gone through from the top
// down, so a name that is known hides what comes later.
//
// A name is kept as a hash of it under a seed of this process, since an image may have a
// million and they may be long. The hash has 128 bits.
type tree struct {
	seeds [2]maphash.Seed
	nodes map[key]node
	most  int // nodes that there may be
	// The last folder that was asked for, and whether it is hidden: entries of a folder
	// come together.
	layer  int32
	folder string
	hidden bool
}

type key [2]uint64

type kind uint8

const (
	whiteout kind = iota // hides what lies below, and is nothing itself
	implied              // a folder that an entry's name speaks of
	folder
	regular  // a file that is not kept
	kept     // a file; ref is its number
	symlink  // ref is its number
	hardlink // ref is its number
	other    // a device and the like
)

// open is the mark of a node that hides nothing of lower layers below it.
const open = -1

type node struct {
	layer  int32 // the layer that it is of, the top one being 0
	closed int32 // the layer that hides what lower ones have below it, or open
	ref    int32
	kind   kind
}

func newTree(entries int) *tree {
	return &tree{
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, nodes: map[key]node{}, most: 2 * entries, layer: -1,
	}
}

func (t *tree) key(name string) key {
	return key{maphash.String(t.seeds[0], name), maphash.String(t.seeds[1], name)}
}

func (t *tree) at(name string) (node, bool) {
	n, ok := t.nodes[t.key(name)]
	return n, ok
}

// hides says whether what a layer has under a name is hidden by a layer above it: the
// name is known there, or a folder on the way to it is shut. A folder that is only implied
// may be a link to one below, as where somebody packed lib/x over lib -> usr/lib.
func (t *tree) hides(name string, layer int32, k kind) bool {
	if n, ok := t.at(name); ok && n.layer < layer && (n.kind != implied || k != folder && k != symlink) {
		return true
	}
	dir := parent(name)
	if layer != t.layer || dir != t.folder {
		t.layer, t.folder, t.hidden = layer, dir, t.shut(dir, layer)
	}
	return t.hidden
}

// shut says whether a folder, or one that it lies in, is shut by a layer above.
func (t *tree) shut(dir string, layer int32) bool {
	for {
		if n, ok := t.at(dir); ok && n.closed != open && n.closed < layer {
			return true
		}
		if dir == "" {
			return false
		}
		dir = parent(dir)
	}
}

// put notes that a layer has something under a name which hides does not hide. Of two
// entries of a layer the later one counts. It returns what was there.
func (t *tree) put(name string, layer int32, k kind, ref int32) (was node, had bool, err error) {
	id := t.key(name)
	was, had = t.nodes[id]
	now := node{layer: layer, closed: open, ref: ref, kind: k}
	if had {
		now.closed = was.closed
	}
	if k != folder && k != implied && now.closed == open {
		now.closed = layer
	}
	if had && was.kind == implied && k == implied || had && was.kind == folder && k == implied {
		return was, had, nil
	}
	t.nodes[id] = now
	return was, had, t.imply(parent(name), layer)
}

// imply notes the folders on the way to a name, which archives need not list.
func (t *tree) imply(dir string, layer int32) error {
	for ; dir != ""; dir = parent(dir) {
		id := t.key(dir)
		if _, ok := t.nodes[id]; ok {
			break
		}
		t.nodes[id] = node{layer: layer, closed: open, kind: implied}
	}
	if len(t.nodes) > t.most {
		return over("The image has too many names", keyEntries, t.most/2)
	}
	return nil
}

// shutBelow hides what lower layers have under a name and below it; with opaque only what
// they have below it.
func (t *tree) shutBelow(name string, layer int32, opaque bool) error {
	id := t.key(name)
	n, ok := t.nodes[id]
	if !ok {
		n = node{layer: layer, closed: open, kind: whiteout}
		if opaque {
			n.kind = folder
		}
	}
	if n.closed == open {
		n.closed = layer
	}
	t.nodes[id] = n
	return t.imply(parent(name), layer)
}

// parent is the folder that a name lies in; "" is the root, also of itself.
func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ""
	}
	return name[:i]
}

// clean is an entry's name as it is used here: from the image's root, without a slash at
// either end. "../" leads no further up than to the root. It is "" for the root.
func clean(name string) string {
	if !odd(name) {
		return name
	}
	return path.Clean("/" + name)[1:]
}

// odd says whether a name needs cleaning.
func odd(name string) bool {
	return name == "" || name[0] == '/' || name[0] == '.' || name[len(name)-1] == '/' ||
		strings.Contains(name, "//") || strings.Contains(name, "/.")
}

// maxName is the length of a name that can be unpacked on Linux (PATH_MAX).
const maxName = 4096

// What a whiteout's name begins with, and the name by which a folder hides all that lower
// layers have in it (OCI image specification, layer.md).
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// maxSteps is how many symbolic links are followed to a file.
const maxSteps = 6

// found is what a name leads to.
type found uint8

const (
	nothing found = iota // there is none
	file                 // a file that is kept
	unkept               // a file that is not kept
	place                // a folder, or a device and the like
	tooFar               // behind too many links
)

// resolve follows a name through links to a file that is kept, and says its number.
func (f *flat) resolve(name string) (int32, found) {
	for range maxSteps + 1 {
		n, ok := f.tree.at(name)
		if ok {
			switch n.kind {
			case kept:
				return n.ref, file
			case regular, hardlink:
				return 0, unkept
			case folder, implied, other:
				return 0, place
			}
		}
		next, ok := f.step(name)
		if !ok {
			return 0, nothing
		}
		name = next
	}
	return 0, tooFar
}

// step follows the last symbolic link on the way to a name. There is no other before it
// unless a layer was packed with names that lead through links.
func (f *flat) step(name string) (string, bool) {
	for at := name; at != ""; at = parent(at) {
		n, ok := f.tree.at(at)
		if !ok || n.kind != symlink {
			continue
		}
		to := f.links[n.ref].target
		if !strings.HasPrefix(to, "/") {
			to = parent(at) + "/" + to
		}
		next := clean(to + name[len(at):])
		return next, len(next) <= maxName && next != name
	}
	return "", false
}

func unreadable(name, why string) *scan.Problem {
	return scan.NewProblem(scan.Unreadable, "%.200q could not be read: %.200s", name, why)
}
