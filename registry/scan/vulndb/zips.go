package vulndb

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Zip is a zip of records, as OSV has one for each ecosystem.
type Zip struct {
	Ecosystem string
	Path      string `json:"-"`
	Size      int64
	Modified  time.Time
}

// ErrNoZips says that there are no records where some should be.
var ErrNoZips = errors.New("vulndb: there is no all.zip of any ecosystem")

// Zips lists the zips in a folder: "<Ecosystem>/all.zip", as OSV's bucket has them,
// or "<Ecosystem>.zip", in order of ecosystem. Of an ecosystem that has both it is the
// first, and of one with releases that with all of them. All other files are left alone.
func Zips(folder string) ([]Zip, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	found := map[string]Zip{}
	for _, e := range entries {
		name, plain := strings.CutSuffix(e.Name(), ".zip")
		path := filepath.Join(folder, e.Name())
		if !plain {
			path = filepath.Join(path, "all.zip")
		}
		if !isName(name) || strings.HasPrefix(name, ".") || plain && name == "all" {
			continue
		}
		stat, err := os.Stat(path)
		if err != nil || !stat.Mode().IsRegular() {
			continue
		}
		if _, twice := found[name]; twice && plain {
			continue
		}
		found[name] = Zip{name, path, stat.Size(), stat.ModTime().UTC()}
	}
	list := make([]Zip, 0, len(found))
	for _, z := range found {
		// OSV has the records of a release once more beside those of all.
		if whole := family(z.Ecosystem); whole == z.Ecosystem || found[whole] == (Zip{}) {
			list = append(list, z)
		}
	}
	slices.SortFunc(list, func(a, b Zip) int { return strings.Compare(a.Ecosystem, b.Ecosystem) })
	return list, nil
}

// Bounds of a zip, which others may have made.
const (
	maxDirectory = 64 << 20 // bytes of a zip's list of its files, of which OSV's longest has a third
	maxRecord    = 32 << 20 // bytes of a record, unpacked
	maxUnpacked  = 64 << 30 // bytes of all records of a zip
)

// errTooLarge is why a record is not read.
var errTooLarge = fmt.Errorf("it is larger than %d MiB", maxRecord>>20)

// counted fails when more was read than it may be.
type counted struct {
	io.ReaderAt
	left int64
}

func (c *counted) ReadAt(b []byte, at int64) (int, error) {
	if c.left -= int64(len(b)); c.left < 0 {
		return 0, errors.New("its list of files is too long")
	}
	return c.ReaderAt.ReadAt(b, at)
}

// read hands each record of a zip to a function. What cannot be read of one goes to
// bad, and the next one follows; of the zip itself it is an error.
func (z Zip) read(ctx context.Context, each func(name string, data []byte) error, bad func(name string, reason error)) error {
	f, err := os.Open(z.Path)
	if err != nil {
		return z.wrong(err)
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return z.wrong(err)
	}
	at := &counted{f, maxDirectory}
	r, err := zip.NewReader(at, stat.Size())
	if err != nil {
		return z.wrong(err)
	}
	at.left = 1 << 62
	var all int64
	var buf []byte
	for _, e := range r.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.Mode().IsDir() || !strings.HasSuffix(e.Name, ".json") {
			continue
		}
		if buf, err = unpackEntry(e, buf); err != nil {
			bad(e.Name, err)
			continue
		}
		if all += int64(len(buf)); all > maxUnpacked {
			return z.wrong(fmt.Errorf("its records are more than %d GiB", maxUnpacked>>30))
		}
		if err := each(e.Name, buf); err != nil {
			return err
		}
	}
	return nil
}

// unpackEntry reads a file of a zip, into the buffer if it is large enough.
func unpackEntry(e *zip.File, buf []byte) ([]byte, error) {
	if e.UncompressedSize64 > maxRecord {
		return buf, errTooLarge
	}
	in, err := e.Open()
	if err != nil {
		return buf, entryReason(err)
	}
	defer in.Close()
	if need := int(e.UncompressedSize64) + 1; cap(buf) < need {
		buf = make([]byte, 0, need)
	}
	buf = buf[:e.UncompressedSize64]
	if _, err := io.ReadFull(in, buf); err != nil {
		return buf, entryReason(err)
	}
	// The checksum is looked at behind the last byte.
	var more [1]byte
	if n, err := in.Read(more[:]); n != 0 || !errors.Is(err, io.EOF) {
		return buf, entryReason(err)
	}
	return buf, nil
}

func entryReason(err error) error {
	switch {
	case errors.Is(err, zip.ErrChecksum):
		return errors.New("its checksum is wrong")
	case errors.Is(err, zip.ErrAlgorithm):
		return errors.New("it is packed in an unknown way")
	}
	return errors.New("it is damaged")
}

// has says whether the records of an ecosystem are those that the zip is for.
func (z Zip) has(ecosystem string) bool {
	rest, ok := strings.CutPrefix(ecosystem, z.Ecosystem)
	return ok && (rest == "" || rest[0] == ':')
}

// wrong is an error of a zip, which names its ecosystem and no path of the server's.
func (z Zip) wrong(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("vulndb: the zip of %s: %w", z.Ecosystem, err)
}
