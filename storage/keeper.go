package storage

import (
	"errors"
	"fmt"
)

// What every keeper does alike is here, so that all refuse the same things in
// the same words.

// ErrBadKey says that a key is empty.
var ErrBadKey = errors.New("storage: empty key")

// ErrBadID says that a blob's id is not 1 to 64 characters of [0-9a-f-].
var ErrBadID = errors.New("storage: bad blob id")

// maxID is the length of the longest blob id.
const maxID = 64

// CheckRow says whether an Index may keep value under key: nil, ErrBadKey or
// ErrTooLarge. Keepers call it before they put.
func CheckRow(key string, value []byte) error {
	switch {
	case key == "":
		return ErrBadKey
	case len(key) > MaxKey:
		return fmt.Errorf("%w: key of %d bytes", ErrTooLarge, len(key))
	case len(value) > MaxValue:
		return fmt.Errorf("%w: value of %d bytes under %q", ErrTooLarge, len(value), key)
	}
	return nil
}

// CheckID says whether id may name a blob: nil or ErrBadID. An id that passes
// is safe in a file name. Keepers call it first in every method of Blobs that
// takes an id.
func CheckID(id string) error {
	if len(id) == 0 || len(id) > maxID {
		return fmt.Errorf("%w: %d characters", ErrBadID, len(id))
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-' {
			return fmt.Errorf("%w: %q", ErrBadID, id)
		}
	}
	return nil
}

// Start returns the least key that r may select, for a keeper to seek to. What
// follows is of r as long as it has r.Prefix.
func (r Range) Start() string {
	if r.After < r.Prefix {
		return r.Prefix
	}
	return r.After + "\x00" // no key lies between
}
