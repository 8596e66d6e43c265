package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// slowBlobs is a storage.Later whose bytes are on disk when its test says so.
type slowBlobs struct {
	faultyBlobs
	settle func() error // of all appends
}

func (b *slowBlobs) AppendLater(ctx context.Context, id string, off int64, r io.Reader) (int64, func() error, error) {
	size, err := b.Append(ctx, id, off, r)
	return size, b.settle, err
}

func newSlow(settle func() error) *slowBlobs {
	return &slowBlobs{faultyBlobs{Blobs: memory.NewBlobs()}, settle}
}

func TestBytesThatDoNotComeToTheDiskAreNotKept(t *testing.T) {
	bad := errors.New("a bad disk")
	var lost error
	s := open(t, registry.Options{Blobs: newSlow(func() error { return lost })})
	n := create(t, s, "team/app")
	for _, whole := range []bool{false, true} {
		id := start(t, s, n)
		send(t, s, n, id, "one, ")
		lost = bad
		part := stream("two")
		part.Whole = whole
		if u, err := s.AppendUpload(alice(t), n, id, part); !errors.Is(err, bad) || u.Offset != 5 {
			t.Errorf("append (whole: %v): %+v, %v; want 5, %v", whole, u, err, bad)
		}
		lost = nil
		wantOffset(t, s, n, id, 5)
		send(t, s, n, id, "three")
		_, err := finish(t, s, n, id, sha256Of([]byte("one, three")))
		must(t, err)
	}
}

// TestStreamGoesOnBesideTheDisk has a slice come while the one before is put on disk,
// and looks at what a process that takes the upload up afterwards is told.
func TestStreamGoesOnBesideTheDisk(t *testing.T) {
	const slice = 8 << 20
	for _, lost := range []error{nil, errors.New("a bad disk")} {
		more := make(chan struct{})
		index := memory.NewIndex()
		blobs := newSlow(func() error {
			<-more // until the next slice has begun to come
			return lost
		})
		s := openUnchecked(t, registry.Options{Index: index, Blobs: blobs})
		n := create(t, s, "team/app")
		id := start(t, s, n)
		first := bytes.NewReader(make([]byte, slice))
		rest := strings.NewReader("rest")
		body := readerFunc(func(p []byte) (int, error) {
			if first.Len() > 0 {
				return first.Read(p)
			}
			if rest.Len() == 4 {
				close(more)
			}
			return rest.Read(p)
		})
		u, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: 0, Length: -1, Body: body})
		if !errors.Is(err, lost) {
			t.Fatalf("append: %v, want %v", err, lost)
		}
		if lost != nil {
			if u.Offset != 0 {
				t.Errorf("with the first bytes lost the upload stands at %d", u.Offset)
			}
			continue
		}
		if u.Offset != slice+4 {
			t.Errorf("the upload stands at %d", u.Offset)
		}
		again := openUnchecked(t, registry.Options{Index: index, Blobs: blobs})
		wantOffset(t, again, n, id, slice) // of the checkpoint
		must(t, s.CancelUpload(alice(t), n, id))
	}
}

var _ storage.Later = (*slowBlobs)(nil)
