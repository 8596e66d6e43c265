package inspect

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
)

// flat is an image's layers laid over each other: the names in it, and the files that a
// reader may want. Nothing is written under an image's own names.
type flat struct {
	limits   Limits
	budget   *budget
	spool    *spool
	tree     *tree
	files    []kfile
	links    []link
	problems []scan.Problem
	wants    wants

	entries int
	names   int64 // bytes of the names of files and links
	buf     []byte
	// Of the layer at hand.
	number int32
	digest digest.Digest
	// Files that a layer above hides, for hard links to them: those that are kept, by
	// their numbers, and those that are not.
	under   map[string]int32
	dropped map[key]struct{}
}

// wants says which files are kept.
type wants struct {
	// name says it of a file by its name alone, and read whether the file will be read as
	// what its name says, so that a link of that name matters too.
	name, read func(name string) bool
	// store says of a file of another name whether it may be one by its hard links' names;
	// nil where none may.
	store func(name string, head []byte, size int64) bool
	// magic says by the first bytes of a file what it must hold to be kept; nil if it is
	// not wanted, whatever it holds.
	magic func(head []byte) []signature
}

// kfile is a file that is kept.
type kfile struct {
	name    string
	at, n   int64 // in the spool
	layer   int32
	digest  digest.Digest // of the layer
	gone    bool          // the layer has another one of the name, later
	byMagic bool          // kept for what it holds
}

// link is a symbolic or hard link.
type link struct {
	name, target string
	layer        int32
	hard, gone   bool
}

// signature is what a file must hold to be kept.
type signature []byte

func newFlat(limits Limits, s *spool, w wants) *flat {
	return &flat{
		limits: limits, budget: &budget{left: limits.Unpacked, limit: limits.Unpacked}, spool: s, tree: newTree(limits.Entries),
		wants: w, buf: make([]byte, 256<<10), number: -1,
	}
}

// add lays the next layer below those that there are. packed has the layer as it is
// stored and is read to its end. An error is a *scan.Problem if it is of the image.
func (f *flat) add(packed io.Reader, l scan.Layer) error {
	f.number++
	f.digest, f.under, f.dropped = l.Digest, map[string]int32{}, map[key]struct{}{}
	u, err := unpack(packed, l, f.budget, f.limits)
	if err != nil {
		return err
	}
	defer u.close()
	archive := tar.NewReader(u)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return u.finish(f.limits, f.buf)
		}
		if err == nil || errors.Is(err, tar.ErrInsecurePath) {
			err = f.entry(h, archive)
		}
		if err != nil {
			return u.wrong(err, f.limits)
		}
	}
}

func (f *flat) entry(h *tar.Header, r io.Reader) error {
	if f.entries++; f.entries > f.limits.Entries {
		return over("The image has too many entries", keyEntries, f.limits.Entries)
	}
	if len(h.Name) > maxName || len(h.Linkname) > maxName {
		return damaged(f.digest, "a name in it is longer than one can be")
	}
	if isSparse(h) {
		// What is left out counts too: it is there for whoever unpacks the layer.
		if err := f.budget.take(h.Size); err != nil {
			return err
		}
	}
	name := clean(h.Name)
	if base := name[len(parent(name)):]; strings.HasPrefix(strings.TrimPrefix(base, "/"), whiteoutPrefix) {
		return f.whiteout(name)
	}
	if name == "" || h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return f.regular(name, h, r)
	case tar.TypeDir:
		return f.putUnlessHidden(name, folder, 0)
	case tar.TypeSymlink:
		return f.link(link{name: name, target: h.Linkname, layer: f.number})
	case tar.TypeLink:
		return f.link(link{name: name, target: clean(h.Linkname), layer: f.number, hard: true})
	}
	return f.putUnlessHidden(name, other, 0)
}

// isSparse says whether an entry is of a sparse file, in one of the forms that
// archive/tar knows.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for k := range h.PAXRecords {
		if strings.HasPrefix(k, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// whiteout obeys an entry that hides what lower layers have.
func (f *flat) whiteout(name string) error {
	dir := parent(name)
	base := strings.TrimPrefix(name[len(dir):], "/")
	hidden := strings.TrimPrefix(base, whiteoutPrefix)
	switch {
	case base == opaqueName:
		if f.tree.shut(dir, f.number) {
			return nil
		}
		return f.tree.shutBelow(dir, f.number, true)
	case hidden == "" || hidden == "." || hidden == ".." || strings.HasPrefix(hidden, whiteoutPrefix):
		return nil // what AUFS kept for itself, and names that are none
	}
	gone := strings.TrimPrefix(dir+"/"+hidden, "/")
	if f.tree.shut(dir, f.number) {
		return nil
	}
	return f.tree.shutBelow(gone, f.number, false)
}

func (f *flat) putUnlessHidden(name string, k kind, ref int32) error {
	if f.tree.hides(name, f.number, k) {
		return nil
	}
	return f.put(name, k, ref)
}

// put notes what a layer has under a name, in place of what it had there before.
func (f *flat) put(name string, k kind, ref int32) error {
	was, had, err := f.tree.put(name, f.number, k, ref)
	if had && was.layer == f.number {
		switch was.kind {
		case kept:
			f.files[was.ref].gone = true
		case symlink, hardlink:
			f.links[was.ref].gone = true
		}
	}
	return err
}

// remember counts a name that is held as it is.
func (f *flat) remember(names ...string) error {
	const each = 128 // bytes for which an entry stands; names are shorter
	for _, name := range names {
		f.names += int64(len(name))
	}
	if f.names > each*int64(f.limits.Entries) {
		return over("The names in the image are too long", keyEntries, f.limits.Entries)
	}
	return nil
}

func (f *flat) link(l link) error {
	k := symlink
	if l.hard {
		k = hardlink
	}
	if f.tree.hides(l.name, f.number, k) {
		return nil
	}
	if err := f.remember(l.name, l.target); err != nil {
		return err
	}
	if l.hard {
		if done, err := f.hardlink(l); done || err != nil {
			return err
		}
	}
	f.links = append(f.links, l)
	return f.put(l.name, k, int32(len(f.links)-1))
}

// hardlink takes a link to a file of the same layer, which has come before it.
func (f *flat) hardlink(l link) (done bool, err error) {
	ref, hidden := f.under[l.target]
	if !hidden {
		n, ok := f.tree.at(l.target)
		if _, dropped := f.dropped[f.tree.key(l.target)]; dropped || ok && n.layer == f.number && n.kind == regular {
			if f.wants.read(l.name) {
				f.problems = append(f.problems, *unreadable(l.name, "it is a link to a file that was not kept"))
			}
			return true, f.put(l.name, regular, 0)
		}
		if !ok || n.layer != f.number || n.kind != kept {
			return false, nil
		}
		ref = n.ref
	}
	same := f.files[ref]
	same.name, same.gone = l.name, false
	f.files = append(f.files, same)
	return true, f.put(l.name, kept, int32(len(f.files)-1))
}

func (f *flat) regular(name string, h *tar.Header, r io.Reader) error {
	hidden := f.tree.hides(name, f.number, regular)
	k, err := f.keep(name, h, r)
	if err != nil {
		return err
	}
	if k == nil {
		if hidden {
			f.dropped[f.tree.key(name)] = struct{}{}
			return nil
		}
		return f.put(name, regular, 0)
	}
	if err := f.remember(name); err != nil {
		return err
	}
	f.files = append(f.files, *k)
	ref := int32(len(f.files) - 1)
	if hidden {
		f.files[ref].gone = true // but for hard links to it
		f.under[name] = ref
		return nil
	}
	return f.put(name, kept, ref)
}

// keep brings a file into the spool if a reader wants it; else it is nil.
func (f *flat) keep(name string, h *tar.Header, r io.Reader) (*kfile, error) {
	if f.wants.name(name) {
		return f.keepByName(name, h.Size, r)
	}
	head := make([]byte, 4)
	n, err := io.ReadFull(r, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF && int64(n) == h.Size {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	whole := io.MultiReader(bytes.NewReader(head), r)
	if f.wants.store != nil && f.wants.store(name, head, h.Size) {
		return f.keepByName(name, h.Size, whole)
	}
	if signs := f.wants.magic(head); signs != nil {
		return f.keepByMagic(name, whole, signs)
	}
	return nil, nil
}

func (f *flat) keepByName(name string, n int64, r io.Reader) (*kfile, error) {
	if n > f.limits.File { // before it is read: a sparse one says so without having the bytes
		return nil, f.tooLong(name)
	}
	at, n, err := f.spool.add(r, f.limits.File, f.buf)
	if err != nil {
		return nil, f.full(name, err)
	}
	return f.kfile(name, at, n, false), nil
}

// keepByMagic keeps a file in which one of the signatures is. What has none is read
// through, however long it is, and the next one is written over it.
func (f *flat) keepByMagic(name string, r io.Reader, signs []signature) (*kfile, error) {
	at, n, holds := f.spool.end, int64(0), false
	var full error
	const overlap = 32 // more than a signature has
	buf, carried := f.buf, 0
	for {
		k, err := r.Read(buf[carried:])
		fresh := buf[carried : carried+k]
		if full == nil && n+int64(k) > f.limits.File {
			full = errLong
		}
		if full == nil {
			full = f.spool.write(fresh, at+n)
			if full != nil && !errors.Is(full, errFull) {
				return nil, full
			}
		}
		n += int64(k)
		seen := buf[:carried+k]
		holds = holds || slices.ContainsFunc(signs, func(s signature) bool { return bytes.Contains(seen, s) })
		if holds && full != nil {
			return nil, f.full(name, full)
		}
		carried = copy(buf, seen[max(0, len(seen)-overlap):])
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if !holds {
		return nil, nil
	}
	f.spool.end = at + n
	return f.kfile(name, at, n, true), nil
}

func (f *flat) kfile(name string, at, n int64, byMagic bool) *kfile {
	return &kfile{name: name, at: at, n: n, layer: f.number, digest: f.digest, byMagic: byMagic}
}

func (f *flat) full(name string, err error) error {
	switch {
	case errors.Is(err, errLong):
		return f.tooLong(name)
	case errors.Is(err, errFull):
		return over("The image has too many bytes of files that tell of packages", keyKept, size(f.limits.Kept))
	}
	return err
}

func (f *flat) tooLong(name string) error {
	return over(fmt.Sprintf("%.200q is too long to be looked at", name), keyFile, size(f.limits.File))
}

// finish gives the files that are in sight, in order of their names, and follows the links
// whose names a reader wants. After it no layer is added.
func (f *flat) finish() []kfile {
	list := slices.Clone(f.files)
	for _, l := range f.links {
		if n, ok := f.tree.at(l.name); l.gone || !ok || n.kind != symlink && n.kind != hardlink {
			continue
		}
		if to, ok := f.follow(l); ok {
			list = append(list, to)
		}
	}
	list = slices.DeleteFunc(list, func(k kfile) bool { return k.gone })
	slices.SortStableFunc(list, func(a, b kfile) int { return strings.Compare(a.name, b.name) })
	return list
}

// follow is the file that a link leads to, under the link's name, if a reader reads that
// name and not the file's own. What cannot be followed and may tell of packages is a
// problem.
func (f *flat) follow(l link) (kfile, bool) {
	wanted := f.wants.read(l.name)
	start := l.name
	if l.hard {
		start = l.target // of another layer, or the link would be a file by now
	} else if !wanted {
		return kfile{}, false // what it leads to is looked at under its own name
	}
	ref, what := f.resolve(start)
	switch {
	case what == file && wanted && !f.wants.read(f.files[ref].name):
		to := f.files[ref]
		to.name, to.byMagic = l.name, false
		return to, true
	case what == tooFar && wanted:
		f.problems = append(f.problems, *unreadable(l.name, "too many links lead to it"))
	case what == unkept && wanted:
		f.problems = append(f.problems, *unreadable(l.name, "it is a link to what was not kept"))
	case what == nothing && l.hard:
		f.problems = append(f.problems, *unreadable(l.name, "it is a link to what is not in the image"))
	}
	return kfile{}, false
}
