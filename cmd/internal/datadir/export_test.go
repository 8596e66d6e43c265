package datadir

import "os"

// OpenOn is Open of a folder that is there, on a file system whose locks are others.
func OpenOn(path string, lock func(*os.File) error) (*Dir, error) { return take(path, lock) }

// TryLocksOn is TryLocks likewise.
func TryLocksOn(dir string, lock func(*os.File) error) error { return tryLocks(dir, lock) }
