package fsblob

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
)

// Stamp implements storage.Stamper: the size of the file and when it was last
// modified and, where the system tells, when its inode was last changed and which one
// it is. A change time is the kernel's own and cannot be put back as that of the
// modification can (inode(7)).
func (s *Store) Stamp(r io.ReadSeekCloser) (string, error) {
	f, ok := r.(*os.File)
	if !ok {
		return "", fmt.Errorf("stamp a blob: a %T is not of this store", r)
	}
	info, err := f.Stat()
	if err != nil {
		return "", wrap("stamp", f.Name(), err)
	}
	return stampOf(info), nil
}

func stampOf(info fs.FileInfo) string {
	stamp := short(info.Size()) + "." + short(info.ModTime().UnixNano())
	if changed, inode, ok := inodeOf(info); ok {
		stamp += "." + short(changed) + "." + short(inode)
	}
	return stamp
}

func short(n int64) string { return strconv.FormatInt(n, 36) }
