package fsblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/storage"
)

// folders is how many there are: two hexadecimal digits' worth.
const folders = 256

func folderName(n int) string { return fmt.Sprintf("%02x", n) }

// folderOf returns the number of the folder for id: its first two characters.
// A hyphen, which comes before the digits, counts as 0, as does a character
// that is absent, and after a first hyphen the second counts for nothing. So
// ids in order lie in folders in order, and a list goes from one to the next.
func folderOf(id string) int {
	n := digit(id[0]) << 4
	if id[0] != '-' && len(id) > 1 {
		n |= digit(id[1])
	}
	return n
}

func digit(c byte) int {
	switch {
	case c == '-':
		return 0
	case c <= '9':
		return int(c - '0')
	}
	return int(c-'a') + 10
}

func (s *Store) folder(id string) string   { return filepath.Join(s.dir, folderName(folderOf(id))) }
func (s *Store) path(id string) string     { return filepath.Join(s.folder(id), id) }
func (s *Store) openPath(id string) string { return s.path(id) + openSuffix }

// List implements storage.Blobs. It holds the names of one folder at a time.
// A blob made or deleted meanwhile may be shown or not; one that is sealed
// meanwhile is shown.
func (s *Store) List(ctx context.Context, after string) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		first := 0
		if storage.CheckID(after) == nil { // what is no id may stand anywhere
			first = folderOf(after)
		}
		for n := first; n < folders; n++ {
			ids, err := s.ids(ctx, n, after)
			if err != nil {
				yield(storage.BlobInfo{}, err)
				return
			}
			for _, id := range ids {
				info, err := s.info(ctx, id)
				if errors.Is(err, storage.ErrNotFound) {
					continue
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
		}
	}
}

// ids returns the ids in folder n that come after the one given, in order.
func (s *Store) ids(ctx context.Context, n int, after string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := s.disk.Open(filepath.Join(s.dir, folderName(n)))
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	names, err := d.Readdirnames(0)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	var ids []string
	for _, name := range names {
		id := strings.TrimSuffix(name, openSuffix)
		if id > after && storage.CheckID(id) == nil && folderOf(id) == n { // not a stranger's file
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil // one may be seen under both names as it is sealed
}

func (s *Store) info(ctx context.Context, id string) (storage.BlobInfo, error) {
	if err := ctx.Err(); err != nil {
		return storage.BlobInfo{}, err
	}
	info, err := s.disk.Lstat(s.openPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		info, err = s.disk.Lstat(s.path(id))
	}
	if err != nil {
		return storage.BlobInfo{}, wrap("list", id, err)
	}
	return storage.BlobInfo{ID: id, Size: info.Size(), ModTime: info.ModTime()}, nil
}
