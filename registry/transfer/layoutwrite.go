package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/peer"
)

// LayoutWriter writes images to a folder in the OCI image layout. A blob has its name
// when it is whole, and the index names what is there: a run that was broken off
// leaves a layout that can be read. One program may write to a folder at a time. Its
// methods may be called side by side.
type LayoutWriter struct {
	root folder
	name string // of the one repository; "" if each has a folder of its name

	mu      sync.Mutex
	layouts map[string]*written // by folder
}

// CreateLayouts opens a folder to write to, and makes it if need be. The name is that
// of the repository whose layout the folder itself is to be; "" means that each
// repository has one in a folder of its name. Close it in the end.
func CreateLayouts(dir, name string) (*LayoutWriter, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := openFolder(dir)
	if err != nil {
		return nil, err
	}
	return &LayoutWriter{root: root, name: name, layouts: map[string]*written{}}, nil
}

// Close writes the indexes that changed, and closes the folder.
func (w *LayoutWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	for dir, l := range w.layouts {
		err = errors.Join(err, w.save(dir, l))
	}
	return errors.Join(err, w.root.Close())
}

// layout is that of a repository, and its folder.
func (w *LayoutWriter) layout(repo string) (*written, string, error) {
	dir := repo
	if w.name == repo && repo != "" {
		dir = "."
	} else if w.name != "" || !isName(repo) {
		return nil, "", fmt.Errorf("%w: %.100q is no repository of this layout", peer.ErrWrong, repo)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.layouts[dir]; ok {
		return known, dir, nil
	}
	l := &written{tags: map[string]entry{}, loose: map[digest.Digest]entry{}, named: map[digest.Digest]int{}, inside: map[digest.Digest]bool{}}
	entries, err := readIndex(w.root, dir)
	if err != nil && !isGone(err) {
		return nil, "", err
	}
	for _, e := range entries {
		l.add(e)
		w.holds(l, dir, e.Digest, 0)
	}
	w.layouts[dir] = l
	return l, dir, nil
}

// holds notes what an index names, so that the index of the layout need not.
func (w *LayoutWriter) holds(l *written, dir string, d digest.Digest, depth int) {
	body, err := readSmall(w.root, blobPath(dir, d), maxManifest)
	if err != nil {
		return // it is no index that others can read either
	}
	m, err := manifest.Parse(guess(body), body)
	if err != nil || depth == maxDepth {
		return
	}
	for _, child := range m.Manifests {
		l.inside[child.Digest] = true
		delete(l.loose, child.Digest)
		w.holds(l, dir, child.Digest, depth+1)
	}
}

// Head implements Target. What a run that was broken off has written and not named is
// not there.
func (w *LayoutWriter) Head(_ context.Context, repo, ref string) (peer.Descriptor, error) {
	l, dir, err := w.layout(repo)
	if err != nil {
		return peer.Descriptor{}, err
	}
	l.mu.Lock()
	e, err := l.find(ref)
	l.mu.Unlock()
	if err != nil {
		return peer.Descriptor{}, err
	}
	file, size, err := w.root.open(blobPath(dir, e.Digest))
	if err != nil {
		return peer.Descriptor{}, err
	}
	return peer.Descriptor{Digest: e.Digest, MediaType: e.MediaType, Size: size}, file.Close()
}

// HasBlob implements Target.
func (w *LayoutWriter) HasBlob(_ context.Context, repo string, d digest.Digest) (bool, error) {
	_, dir, err := w.layout(repo)
	if err != nil {
		return false, err
	}
	file, _, err := w.root.open(blobPath(dir, d))
	if isGone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, file.Close()
}

// MountBlob implements Target: a layout has blobs of its own.
func (*LayoutWriter) MountBlob(context.Context, string, string, digest.Digest) (bool, error) {
	return false, nil
}

// PushBlob implements Target.
func (w *LayoutWriter) PushBlob(_ context.Context, repo string, d digest.Digest, size int64, open func(from int64) (io.ReadCloser, error)) error {
	l, dir, err := w.layout(repo)
	if err != nil {
		return err
	}
	return w.write(l, dir, d, func(file io.Writer) error {
		if size == 0 {
			return nil
		}
		body, err := open(0)
		if err != nil {
			return err
		}
		n, err := io.Copy(file, body)
		if err == nil && n != size {
			err = fmt.Errorf("%w: %d bytes of %d", peer.ErrWrong, n, size)
		}
		return errors.Join(err, body.Close())
	})
}

// write writes a blob under a name of its own first. When it is synced it gets the
// name that others know.
func (w *LayoutWriter) write(l *written, dir string, d digest.Digest, fill func(io.Writer) error) error {
	l.mu.Lock()
	l.files++
	part := path.Join(dir, "blobs", fmt.Sprintf(".part-%d-%d", os.Getpid(), l.files))
	l.mu.Unlock()
	name := blobPath(dir, d)
	if err := w.root.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return w.replace(part, name, fill)
}

// replace writes a file under another name and then renames it.
func (w *LayoutWriter) replace(part, name string, fill func(io.Writer) error) error {
	file, err := w.root.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	err = fill(file)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = w.root.root.Rename(part, name)
	}
	if err != nil {
		return errors.Join(err, ignoreAbsent(w.root.root.Remove(part)))
	}
	return nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// saveTime is how late an index that changed is written: with each image anew it
// would take time with the square of their number.
const saveTime = time.Second

// PushManifest implements Target.
func (w *LayoutWriter) PushManifest(_ context.Context, repo, ref, mediaType string, body []byte) error {
	l, dir, err := w.layout(repo)
	if err != nil {
		return err
	}
	d, err := digest.Parse(ref)
	tagged := err != nil
	if tagged {
		signed, err := manifest.Digested(mediaType, body)
		if err != nil {
			return fmt.Errorf("%w: %w", peer.ErrWrong, err)
		}
		d = digest.FromBytes(digest.SHA256, signed)
	}
	if has, err := w.HasBlob(context.Background(), repo, d); err != nil || !has {
		if err == nil {
			err = w.write(l, dir, d, func(file io.Writer) error { _, err := file.Write(body); return err })
		}
		if err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	w.holds(l, dir, d, 0)
	l.name(entry{MediaType: mediaType, Digest: d, Size: int64(len(body))}, ref, tagged)
	if time.Since(l.saved) < saveTime {
		return nil
	}
	return w.saveLocked(dir, l)
}

func (w *LayoutWriter) save(dir string, l *written) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.saveLocked(dir, l)
}

func (w *LayoutWriter) saveLocked(dir string, l *written) error {
	if !l.changed {
		return nil
	}
	index := struct {
		SchemaVersion int     `json:"schemaVersion"`
		MediaType     string  `json:"mediaType"`
		Manifests     []entry `json:"manifests"`
	}{2, manifest.MediaTypeOCIIndex, l.entries()}
	for name, content := range map[string]any{layoutFile: map[string]string{"imageLayoutVersion": layoutVersion}, indexFile: index} {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		name = path.Join(dir, name)
		if err := w.replace(name+".part", name, func(file io.Writer) error { _, err := file.Write(text); return err }); err != nil {
			return err
		}
	}
	l.changed, l.saved = false, time.Now()
	return nil
}
