package datadir

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/privatefile"
)

// draftName ends the name of a folder in which a data folder is made of a backup.
const draftName = ".restoring"

// DraftBeside is where a restore writes what becomes the data folder at an absolute path,
// which Open refuses as long as the draft is there.
func DraftBeside(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+draftName)
}

// DraftIn is DraftBeside for a folder whose place cannot be taken.
func DraftIn(path string) string { return filepath.Join(path, draftName) }

// Lay takes an empty folder to make a data folder of what was backed up, with the key that
// it had. Until Finish it is none: Open refuses it, whatever lies in it.
func Lay(path string, key Key) (*Dir, error) {
	if err := os.Mkdir(filepath.Join(path, tmpDir), 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := acquire(path, flock)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock, key: key}
	if err := privatefile.WriteDurably(filepath.Join(path, keysFile), key.text()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Finish makes what was laid a data folder of a format, once all that belongs in it is
// there and safe from a power cut.
func (d *Dir) Finish(format int) error {
	if err := privatefile.WriteDurably(filepath.Join(d.path, formatFile), fmt.Appendf(nil, "%d\n%s\n", format, formatSince)); err != nil {
		return err
	}
	return privatefile.SyncFolder(d.path)
}

// FormatIn is the format of the data folder at a path, for those who only read there,
// beside the server that has the folder.
func FormatIn(path string) (int, error) {
	name := filepath.Join(path, formatFile)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read the data folder's format: %w", err)
	}
	number, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	version, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("%s is damaged: it holds %.20q, not the version of a format", name, text)
	}
	return version, nil
}

// BlobsIn is what Blobs is for the data folder at a path.
func BlobsIn(path string) string { return filepath.Join(path, blobsDir) }

// KeysIn is the file with the master key of the data folder at a path.
func KeysIn(path string) string { return filepath.Join(path, keysFile) }

// ID tells keys apart. It is no secret.
func (k Key) ID() string { return k.id }

// text is the key as it stands in its file.
func (k Key) text() []byte {
	return fmt.Appendln(nil, k.id, base64.StdEncoding.EncodeToString(k.secret[:]))
}

// ParseKey reads what a key's file holds.
func ParseKey(text []byte) (Key, error) {
	k, ok := parseKey(string(text))
	if !ok {
		return Key{}, errors.New("it holds no master key")
	}
	return k, nil
}
