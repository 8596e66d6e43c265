package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

// Limits on what is read of folders and archives.
const (
	maxManifest = 4 << 20 // as much as ECR takes (Amazon ECR service quotas)
	maxEntries  = 1 << 20 // of an archive
)

// tree is a folder or an archive. Names have slashes, and lead nowhere else.
type tree interface {
	// open opens a file. What is no plain file is an error.
	open(name string) (io.ReadSeekCloser, int64, error)
	// list lists a folder by name, those in it that are folders themselves with a slash.
	list(name string) ([]string, error)
	Close() error
}

// folder is a tree of the file system, which links in it do not lead out of.
type folder struct{ root *os.Root }

func openFolder(dir string) (folder, error) {
	root, err := os.OpenRoot(dir)
	return folder{root}, err
}

func (f folder) Close() error { return f.root.Close() }

func (f folder) open(name string) (io.ReadSeekCloser, int64, error) {
	info, err := f.root.Stat(name) // before it is opened, which may wait where it is a pipe
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no file", peer.ErrWrong, name)
	}
	if err != nil {
		return nil, 0, absent(err)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, absent(err)
	}
	return file, info.Size(), nil
}

func (f folder) list(name string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), name)
	if err != nil {
		return nil, absent(err)
	}
	all := make([]string, 0, len(entries))
	for _, e := range entries {
		text := e.Name()
		if e.IsDir() {
			text += "/"
		}
		all = append(all, text)
	}
	return all, nil
}

// absent is an error of a file that is not there as one of package peer.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", peer.ErrNotFound, err)
	}
	return err
}

// archive is a tar file, of which no entry is unpacked.
type archive struct {
	file  *os.File
	files map[string]extent
	dirs  map[string]map[string]bool
}

// extent is where the bytes of a file are.
type extent struct{ at, size int64 }

// openArchive reads the heads of all entries. An entry whose name leads out of the
// archive, or that claims more bytes than there are, makes the whole one wrong.
func openArchive(name string) (_ *archive, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	a := &archive{file: file, files: map[string]extent{}, dirs: map[string]map[string]bool{".": {}}}
	if err := a.index(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return a, nil
}

func (a *archive) index() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: no plain file", peer.ErrWrong)
	}
	heads := tar.NewReader(a.file)
	for n := 0; ; n++ {
		head, err := heads.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: not a tar file (one that is compressed is to be unpacked first): %w", peer.ErrWrong, err)
		}
		if n == maxEntries {
			return fmt.Errorf("%w: more than %d entries", peer.ErrWrong, maxEntries)
		}
		at, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if err := a.entry(head, at, info.Size()); err != nil {
			return err
		}
	}
}

func (a *archive) entry(head *tar.Header, at, end int64) error {
	name := path.Clean(strings.TrimSuffix(head.Name, "/"))
	if !fs.ValidPath(name) || strings.Contains(head.Name, "..") && !fs.ValidPath(strings.TrimPrefix(strings.TrimSuffix(head.Name, "/"), "./")) {
		return fmt.Errorf("%w: an entry has the name %.100q, which leads out of the archive", peer.ErrWrong, head.Name)
	}
	if head.Typeflag != tar.TypeReg || isSparse(head) {
		return nil // folders are known by what is in them; links and the like are not followed
	}
	if head.Size < 0 || head.Size > end-at {
		return fmt.Errorf("%w: %.100s claims %d bytes, and the archive has %d more", peer.ErrWrong, name, head.Size, max(0, end-at))
	}
	a.files[name] = extent{at, head.Size}
	for name != "." {
		dir := path.Dir(name)
		base := path.Base(name)
		if _, isFile := a.files[name]; !isFile {
			base += "/"
		}
		if a.dirs[dir] == nil {
			a.dirs[dir] = map[string]bool{}
		}
		a.dirs[dir][base] = true
		name = dir
	}
	return nil
}

// isSparse says that the bytes of an entry do not lie as they are (GNU tar manual,
// "Storing Sparse Files").
func isSparse(head *tar.Header) bool {
	for name := range head.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (a *archive) Close() error { return a.file.Close() }

func (a *archive) open(name string) (io.ReadSeekCloser, int64, error) {
	e, ok := a.files[name]
	if !ok {
		return nil, 0, fmt.Errorf("%w: the archive has no file %s", peer.ErrNotFound, name)
	}
	return section{io.NewSectionReader(a.file, e.at, e.size)}, e.size, nil
}

type section struct{ *io.SectionReader }

func (section) Close() error { return nil }

func (a *archive) list(name string) ([]string, error) {
	entries, ok := a.dirs[name]
	if !ok {
		return nil, fmt.Errorf("%w: the archive has no folder %s", peer.ErrNotFound, name)
	}
	all := make([]string, 0, len(entries))
	for e := range entries {
		all = append(all, e)
	}
	return all, nil
}

// readSmall reads a file of bounded size.
func readSmall(t tree, name string, most int64) ([]byte, error) {
	file, size, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > most {
		return nil, fmt.Errorf("%w: %s has %d bytes, and %d are taken", peer.ErrWrong, name, size, most)
	}
	body, err := remote.ReadAll(file, most)
	return body, err
}

// openAt opens a file from an offset on.
func openAt(t tree, name string, from int64) (io.ReadCloser, int64, error) {
	file, size, err := t.open(name)
	if err != nil {
		return nil, 0, err
	}
	if from > size {
		err = fmt.Errorf("%w: it ends before byte %d", peer.ErrWrong, from)
	} else if from > 0 {
		_, err = file.Seek(from, io.SeekStart)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, size, nil
}
