package server

import (
	"cmp"
	"hash"
	"net"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/clock"
	"github.com/seed-78150930/berth/storage/disk"
)

// seams are where a test counts what a server does, or has it fail. Zero members stand for the real
// thing.
type seams struct {
	layers disk.FS                                 // has the files of layers
	facts  disk.FS                                 // has the journal, and the names beside the index
	index  func(storage.Numbered) storage.Numbered // puts another before the index and its journal
	hash   func(digest.Algorithm) hash.Hash        // hashes what is uploaded
	clock  clock.Options                           // its Wall and Elapsed
	kind   func(dir string) string                 // says what kind of file system a folder is on
	names  *net.Resolver                           // has the addresses of upstreams

	scanner scan.Scanner // scans images in place of the server's own

	patience time.Duration // with an index that was not closed in order
}

func or(d disk.FS) disk.FS { return cmp.Or(d, disk.FS(disk.OS{})) }

func (s seams) before(x storage.Numbered) storage.Index {
	if s.index == nil {
		return x
	}
	return s.index(x)
}
