package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-78150930/berth/storage/failpoint"
)

// Draft ends the name of a file that WriteDurably has not wholly written. A
// process that dies leaves it; the next write takes its place.
const Draft = ".new"

// WriteDurably writes a file whole or not at all, and has it safe from a power
// cut when it returns. Nobody else may write it at the same time.
func WriteDurably(name string, data []byte) error {
	err := writeDraft(name+Draft, data)
	failpoint.Hit(failpoint.DraftSynced)
	if err == nil {
		err = os.Rename(name+Draft, name)
		failpoint.Hit(failpoint.DraftRenamed)
	}
	if err == nil {
		err = SyncFolder(filepath.Dir(name))
		failpoint.Hit(failpoint.DraftNamed)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func writeDraft(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return fill(f, data)
}

// SyncFolder has the names in a folder on the disk.
func SyncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OwnerOnly takes from others what rights they have to a file or folder: what
// is not in mode.
func OwnerOnly(path string, mode fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^mode == 0 {
		return err
	}
	return os.Chmod(path, mode)
}
