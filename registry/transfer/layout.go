package transfer

import (
	"context"
	"encoding/json"
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

// The files of a layout (OCI image specification v1.1, "Image Layout").
const (
	layoutFile    = "oci-layout"
	indexFile     = "index.json"
	layoutVersion = "1.0.0"
	refName       = "org.opencontainers.image.ref.name"
)

// entry is a manifest that the index of a layout names.
type entry struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	Platform     json.RawMessage   `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// tag is the tag that an entry has, "" for none. Some tools write a whole name of an
// image there.
func (e entry) tag() string {
	name := e.Annotations[refName]
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[i+1:]
	}
	if strings.ContainsAny(name, "/@") {
		return ""
	}
	return name
}

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

// index is that of a layout, with what is looked for in it.
type index struct {
	entries []entry
	tags    map[string]int // the first entry with it
	double  map[string]bool
	digests map[digest.Digest]int
}

func newIndex(entries []entry) *index {
	x := &index{entries: entries, tags: map[string]int{}, double: map[string]bool{}, digests: map[digest.Digest]int{}}
	for i, e := range entries {
		if _, ok := x.digests[e.Digest]; !ok {
			x.digests[e.Digest] = i
		}
		tag := e.tag()
		if first, ok := x.tags[tag]; ok {
			x.double[tag] = x.double[tag] || entries[first].Digest != e.Digest
			continue
		}
		x.tags[tag] = i
	}
	return x
}

// find is the entry that a reference means. A digest needs none.
func (x *index) find(ref string) (entry, error) {
	if d, err := digest.Parse(ref); err == nil {
		if i, ok := x.digests[d]; ok {
			return x.entries[i], nil
		}
		return entry{Digest: d, Size: -1}, nil
	}
	i, ok := x.tags[ref]
	switch {
	case !ok || ref == "":
		return entry{}, fmt.Errorf("%w: the layout has no tag %.150q", peer.ErrNotFound, ref)
	case x.double[ref]:
		return entry{}, fmt.Errorf("%w: two images of the layout have the tag %s", peer.ErrWrong, ref)
	}
	return x.entries[i], nil
}

// readIndex reads the index of the layout in a folder.
func readIndex(t tree, dir string) ([]entry, error) {
	var said struct{ ImageLayoutVersion string }
	if err := readJSON(t, path.Join(dir, layoutFile), &said); err != nil {
		return nil, err
	}
	if said.ImageLayoutVersion != layoutVersion {
		return nil, fmt.Errorf("%w: a layout of version %.40q, and %s is known", peer.ErrWrong, said.ImageLayoutVersion, layoutVersion)
	}
	var index struct{ Manifests []entry }
	if err := readJSON(t, path.Join(dir, indexFile), &index); err != nil {
		return nil, err
	}
	for _, e := range index.Manifests {
		if e.Digest.IsZero() || e.Size < 0 {
			return nil, fmt.Errorf("%w: %s names a manifest without a digest or a size", peer.ErrWrong, indexFile)
		}
	}
	return index.Manifests, nil
}

// maxIndex bounds the index of a layout: some hundred thousand images.
const maxIndex = 64 << 20

func readJSON(t tree, name string, into any) error {
	body, err := readSmall(t, name, maxIndex)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s: %w", peer.ErrWrong, name, err)
	}
	return nil
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

// checked is a manifest that is what its digest says, of the type that it is.
func checked(m peer.Manifest) (peer.Manifest, error) {
	if m.MediaType == "" {
		m.MediaType = guess(m.Body)
	}
	signed, err := manifest.Digested(m.MediaType, m.Body)
	if err != nil {
		return m, fmt.Errorf("%w: manifest %s: %w", peer.ErrWrong, m.Digest, err)
	}
	if !m.Digest.Matches(signed) {
		return m, fmt.Errorf("%w: the bytes of manifest %s have another digest", peer.ErrWrong, m.Digest)
	}
	return m, nil
}

// guess is the media type of a manifest that was kept without one: what it calls
// itself, or else what it looks like, as distribution decides it (v3.1.2,
// registry/storage/manifeststore.go).
func guess(body []byte) string {
	var said struct {
		SchemaVersion int
		MediaType     string
		Manifests     json.RawMessage
		Signatures    json.RawMessage
	}
	switch err := json.Unmarshal(body, &said); {
	case err != nil:
		return ""
	case said.MediaType != "":
		return said.MediaType
	case said.SchemaVersion == 1 && said.Signatures != nil:
		return manifest.MediaTypeDockerSchema1Signed
	case said.SchemaVersion == 1:
		return manifest.MediaTypeDockerSchema1
	case said.Manifests != nil:
		return manifest.MediaTypeOCIIndex
	}
	return manifest.MediaTypeOCIManifest
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
