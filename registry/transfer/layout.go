package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Layouts are the images of a folder or an archive in the OCI image layout: those of
// one repository, where that is itself a layout, or those of a repository for each
// layout in folders below. Its methods may be called side by side.
type Layouts struct {
	tree tree
	name string // of the one repository; "" if folders have their names

	mu      sync.Mutex
	indexes map[string]*index // by folder
	pointed map[string]map[digest.Digest][]peer.Descriptor
}

// OpenLayouts opens a folder, or a tar file that is not compressed. The name is that
// of the repository, if it is one layout; "" means that of the folder or file. Close
// it in the end.
func OpenLayouts(file, name string) (*Layouts, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	l := &Layouts{indexes: map[string]*index{}, pointed: map[string]map[digest.Digest][]peer.Descriptor{}}
	if info.IsDir() {
		l.tree, err = openFolder(file)
	} else {
		l.tree, err = openArchive(file)
	}
	if err != nil {
		return nil, err
	}
	if _, _, err := l.tree.open(layoutFile); err == nil {
		if l.name = name; name == "" {
			l.name = nameOf(file)
		}
	} else if !isGone(err) {
		return nil, errors.Join(err, l.tree.Close())
	}
	return l, nil
}

// nameOf is what a repository is called after a file.
func nameOf(file string) string {
	name := strings.ToLower(path.Base(strings.TrimSuffix(strings.ReplaceAll(file, "\\", "/"), "/")))
	return strings.TrimSuffix(name, ".tar")
}

// Single is the name of the repository, if there is one alone.
func (l *Layouts) Single() string { return l.name }

// Close closes the folder or file.
func (l *Layouts) Close() error { return l.tree.Close() }

// folder is where the layout of a repository is.
func (l *Layouts) folder(repo string) (string, error) {
	switch {
	case l.name == repo && repo != "":
		return ".", nil
	case l.name != "", !isName(repo):
		return "", fmt.Errorf("%w: there is no repository %.100q", peer.ErrNotFound, repo)
	}
	return repo, nil
}

// isName says whether a text is a name of a repository, as a path wants it.
func isName(repo string) bool {
	return repo != "." && repo == path.Clean(repo) && !strings.HasPrefix(repo, "/") && !strings.HasPrefix(repo, "..") &&
		strings.Trim(repo, "abcdefghijklmnopqrstuvwxyz0123456789._-/") == ""
}

const maxFolders = 12 // of folders in folders in which layouts are looked for

// Repositories implements Catalogue.
func (l *Layouts) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if l.name != "" {
			yield(l.name, nil)
			return
		}
		walk(ctx, l.tree, ".", 0, func(dir string, entries []string) (bool, error) {
			return slices.Contains(entries, layoutFile), nil
		}, yield)
	}
}

// walk finds folders, in byte order. It says whether to go on.
func walk(ctx context.Context, t tree, dir string, depth int, found func(dir string, entries []string) (bool, error), yield func(string, error) bool) bool {
	entries, err := t.list(dir)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return yield("", err)
	}
	slices.Sort(entries)
	is, err := found(dir, entries)
	if err != nil || is && dir != "." {
		if !yield(dir, err) {
			return false
		}
	}
	for _, e := range entries {
		name, isFolder := strings.CutSuffix(e, "/")
		if !isFolder || depth == maxFolders || !isName(name) || strings.HasPrefix(name, "_") || is && name == "blobs" {
			continue
		}
		if !walk(ctx, t, path.Join(dir, name), depth+1, found, yield) {
			return false
		}
	}
	return true
}

// References implements Catalogue.
func (l *Layouts) References(_ context.Context, repo string) (References, error) {
	x, err := l.index(repo)
	if err != nil {
		return References{}, err
	}
	refs := References{Whole: true}
	for i, e := range x.entries {
		switch tag := e.tag(); {
		case tag == "":
			refs.Untagged = append(refs.Untagged, e.Digest)
		case x.tags[tag] == i:
			refs.Tags = append(refs.Tags, tag)
		}
	}
	return refs, nil
}

// index reads the index of a layout once.
func (l *Layouts) index(repo string) (*index, error) {
	dir, err := l.folder(repo)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.indexes[dir]; ok {
		return known, nil
	}
	entries, err := readIndex(l.tree, dir)
	if err != nil {
		return nil, err
	}
	x := newIndex(entries)
	l.indexes[dir] = x
	return x, nil
}

// blobPath is where a layout has a blob.
func blobPath(dir string, d digest.Digest) string {
	return path.Join(dir, "blobs", string(d.Algorithm()), d.Encoded())
}

// Manifest implements Source. A tag that two images have is nobody's.
func (l *Layouts) Manifest(_ context.Context, repo, ref string) (peer.Manifest, error) {
	dir, err := l.folder(repo)
	if err != nil {
		return peer.Manifest{}, err
	}
	x, err := l.index(repo)
	if err != nil {
		return peer.Manifest{}, err
	}
	e, err := x.find(ref)
	if err != nil {
		return peer.Manifest{}, err
	}
	body, err := readSmall(l.tree, blobPath(dir, e.Digest), maxManifest)
	if err != nil {
		return peer.Manifest{}, err
	}
	if e.Size >= 0 && e.Size != int64(len(body)) {
		return peer.Manifest{}, fmt.Errorf("%w: manifest %s has %d bytes, and the index says %d", peer.ErrWrong, e.Digest, len(body), e.Size)
	}
	return checked(peer.Manifest{Digest: e.Digest, MediaType: e.MediaType, Body: body})
}

// OpenBlob implements Source.
func (l *Layouts) OpenBlob(_ context.Context, repo string, d digest.Digest, from int64) (io.ReadCloser, int64, error) {
	dir, err := l.folder(repo)
	if err != nil {
		return nil, 0, err
	}
	return openAt(l.tree, blobPath(dir, d), from)
}

// Referrers implements Source: those that the index of the layout names.
func (l *Layouts) Referrers(ctx context.Context, repo string, d digest.Digest) ([]peer.Descriptor, error) {
	x, err := l.index(repo)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	pointed := l.pointed[repo]
	l.mu.Unlock()
	if pointed == nil {
		pointed = map[digest.Digest][]peer.Descriptor{}
		for _, e := range x.entries {
			l.point(ctx, repo, e, pointed)
		}
		l.mu.Lock()
		l.pointed[repo] = pointed
		l.mu.Unlock()
	}
	return pointed[d], nil
}

// point notes what an entry refers to. One that cannot be read refers to nothing, and
// is told of where it is copied itself.
func (l *Layouts) point(ctx context.Context, repo string, e entry, pointed map[digest.Digest][]peer.Descriptor) {
	m, err := l.Manifest(ctx, repo, e.Digest.String())
	if err != nil {
		return
	}
	parsed, err := manifest.Parse(m.MediaType, m.Body)
	if err == nil && parsed.Subject != nil {
		to := parsed.Subject.Digest
		pointed[to] = append(pointed[to], peer.Descriptor{Digest: e.Digest, MediaType: m.MediaType, Size: int64(len(m.Body))})
	}
}
