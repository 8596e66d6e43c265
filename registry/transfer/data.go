package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Where distribution keeps what (v3.1.2, registry/storage/paths.go: "The path layout
// in the storage backend"). Repositories have their tags and what they may use, as
// links; the bytes of all are in one folder.
const (
	dataRoot  = "docker/registry/v2"
	maxLink   = 512
	tagsPath  = "_manifests/tags"
	revisions = "_manifests/revisions"
)

// Data is the storage folder of a distribution registry, which is read and never
// written. Its methods may be called side by side, and beside the registry itself.
type Data struct {
	folder
	base string // of what is in dataRoot

	mu      sync.Mutex
	pointed map[string]map[digest.Digest][]peer.Descriptor
}

// OpenData opens the folder that distribution's filesystem.rootdirectory names, or
// one of those below it that lead to its repositories. Close it in the end.
func OpenData(dir string) (*Data, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	for _, base := range []string{dataRoot, "registry/v2", "v2", "."} {
		if _, err := f.list(path.Join(base, "repositories")); err == nil {
			return &Data{folder: f, base: base, pointed: map[string]map[digest.Digest][]peer.Descriptor{}}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("%s is no storage folder of a distribution registry: it has no %s/repositories", dir, dataRoot), f.Close())
}

// Repositories implements Catalogue: those that have manifests, or had some.
func (d *Data) Repositories(ctx context.Context) iter.Seq2[string, error] {
	top := path.Join(d.base, "repositories")
	return func(yield func(string, error) bool) {
		walk(ctx, d.folder, top, 0, func(_ string, entries []string) (bool, error) {
			return slices.Contains(entries, "_manifests/"), nil
		}, func(dir string, err error) bool {
			return yield(strings.TrimPrefix(dir, top+"/"), err)
		})
	}
}

// at is a path in the folder of a repository.
func (d *Data) at(repo, name string) (string, error) {
	if !isName(repo) {
		return "", fmt.Errorf("%w: there is no repository %.100q", peer.ErrNotFound, repo)
	}
	return path.Join(d.base, "repositories", repo, name), nil
}

// link is the digest that a file holds.
func (d *Data) link(repo, name string) (digest.Digest, error) {
	file, err := d.at(repo, name)
	if err != nil {
		return digest.Digest{}, err
	}
	text, err := readSmall(d.folder, file, maxLink)
	if err != nil {
		return digest.Digest{}, err
	}
	to, err := digest.Parse(strings.TrimSpace(string(text)))
	if err != nil {
		return to, fmt.Errorf("%w: %s: %w", peer.ErrWrong, file, err)
	}
	return to, nil
}

// References implements Catalogue. An untagged image is one that is not a part of
// another, nor has a tag; but parts are cheap to name, so all are.
func (d *Data) References(_ context.Context, repo string) (refs References, err error) {
	refs.Whole = true
	dir, err := d.at(repo, tagsPath)
	if err != nil {
		return refs, err
	}
	names, err := d.list(dir)
	if err != nil && !isGone(err) {
		return refs, err
	}
	slices.Sort(names)
	tagged := map[digest.Digest]bool{}
	for _, name := range names {
		tag, isFolder := strings.CutSuffix(name, "/")
		if !isFolder {
			continue
		}
		refs.Tags = append(refs.Tags, tag)
		if to, err := d.link(repo, tagsPath+"/"+tag+"/current/link"); err == nil {
			tagged[to] = true
		}
	}
	all, err := d.manifests(repo)
	for _, m := range all {
		if !tagged[m] {
			refs.Untagged = append(refs.Untagged, m)
		}
	}
	return refs, err
}

// manifests are all manifests of a repository, those without a link left out: they
// were deleted.
func (d *Data) manifests(repo string) (all []digest.Digest, err error) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		dir, err := d.at(repo, revisions+"/"+string(algorithm))
		if err != nil {
			return nil, err
		}
		names, err := d.list(dir)
		if err != nil && !isGone(err) {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			m, err := digest.Parse(string(algorithm) + ":" + strings.TrimSuffix(name, "/"))
			if err != nil {
				continue // nothing of distribution's
			}
			if _, err := d.link(repo, revision(m)); err == nil {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// revision is where a repository has the link of a manifest.
func revision(m digest.Digest) string {
	return path.Join(revisions, string(m.Algorithm()), m.Encoded(), "link")
}

// blob is where the bytes of a digest are.
func (d *Data) blob(b digest.Digest) string {
	return path.Join(d.base, "blobs", string(b.Algorithm()), b.Encoded()[:2], b.Encoded(), "data")
}

// Manifest implements Source.
func (d *Data) Manifest(_ context.Context, repo, ref string) (peer.Manifest, error) {
	to, err := digest.Parse(ref)
	if err != nil {
		if !isTag(ref) {
			return peer.Manifest{}, fmt.Errorf("%w: %.150q is no tag", peer.ErrNotFound, ref)
		}
		if to, err = d.link(repo, tagsPath+"/"+ref+"/current/link"); err != nil {
			return peer.Manifest{}, err
		}
	}
	if _, err := d.link(repo, revision(to)); err != nil {
		return peer.Manifest{}, err
	}
	body, err := readSmall(d.folder, d.blob(to), maxManifest)
	if err != nil {
		return peer.Manifest{}, err
	}
	return checked(peer.Manifest{Digest: to, Body: body})
}

// isTag says whether a text can be a tag, and so a part of a path.
func isTag(text string) bool {
	return text != "" && text[0] != '.' && text[0] != '-' && len(text) <= 128 &&
		strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// OpenBlob implements Source. What a repository has no link to is not its own.
func (d *Data) OpenBlob(_ context.Context, repo string, b digest.Digest, from int64) (io.ReadCloser, int64, error) {
	if _, err := d.link(repo, path.Join("_layers", string(b.Algorithm()), b.Encoded(), "link")); err != nil {
		return nil, 0, err
	}
	return openAt(d.folder, d.blob(b), from)
}

// Referrers implements Source: of all manifests of the repository.
func (d *Data) Referrers(ctx context.Context, repo string, to digest.Digest) ([]peer.Descriptor, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.pointed[repo]; known != nil {
		return known[to], nil
	}
	all, err := d.manifests(repo)
	if err != nil {
		return nil, err
	}
	pointed := map[digest.Digest][]peer.Descriptor{}
	for _, one := range all {
		m, err := d.Manifest(ctx, repo, one.String())
		if err != nil {
			continue // it is told of where it is copied
		}
		if parsed, err := manifest.Parse(m.MediaType, m.Body); err == nil && parsed.Subject != nil {
			subject := parsed.Subject.Digest
			pointed[subject] = append(pointed[subject], peer.Descriptor{Digest: one, MediaType: m.MediaType, Size: int64(len(m.Body))})
		}
	}
	d.pointed[repo] = pointed
	return pointed[to], nil
}
