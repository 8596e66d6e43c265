//go:build !unix

package boltindex

import (
	"errors"
	"os"
)

// again is not to be had here, so a file that was not closed in order is not opened.
func again(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }
