package fsblob

import "os"

// OpenWith is Open with another way to sync.
func OpenWith(dir string, sync func(*os.File) error) (*Store, error) { return open(dir, sync) }
