package registry_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

// A service that is opened over the store of another one finds what a process
// finds after the one before was killed.

const slice = 8 * mib // what comes between checkpoints

func TestRestartGoesOnFromTheLastCheckpoint(t *testing.T) {
	tests := []struct {
		what      string
		algorithm digest.Algorithm
		sends     []int // sizes of the appends before the end
		want      int64 // where the upload stands after it
	}{
		{"one slice", digest.SHA256, []int{slice}, slice},
		{"a slice and a byte", digest.SHA512, []int{slice + 1}, slice},
		{"two slices and more", digest.SHA256, []int{17 * mib}, 2 * slice},
		{"many small appends", digest.SHA256, []int{3 * mib, 3 * mib, 3 * mib, mib}, 9 * mib},
		{"a small append and a slice", digest.SHA256, []int{mib, slice + 1}, 9 * mib},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
			before := open(t, o)
			n := create(t, before, "team/app")
			u, err := before.StartUpload(alice(t), n, registry.NewUpload{Algorithm: tt.algorithm})
			must(t, err)
			sent := ""
			for i, size := range tt.sends {
				part := strings.Repeat(string(rune('a'+i)), size)
				send(t, before, n, u.ID, part)
				sent += part
			}

			after := open(t, o)
			wantOffset(t, after, n, u.ID, tt.want)
			content := sent[:tt.want] + "and the rest"
			d := digest.FromBytes(tt.algorithm, []byte(content))
			_, err = after.AppendUpload(alice(t), n, u.ID, at(tt.want, "and the rest"))
			must(t, err)
			_, err = finish(t, after, n, u.ID, d)
			must(t, err)
			if got := readLayer(t, after, n, d); got != content {
				t.Errorf("it reads %d other bytes", len(got))
			}
		})
	}
}

func TestRestartForgetsWhatWasNotCheckpointed(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	before := open(t, o)
	n := create(t, before, "team/app")
	id := start(t, before, n)
	send(t, before, n, id, "one")
	_, err := open(t, o).Upload(alice(t), n, id)
	wantCode(t, "find the upload", err, registry.UploadNotFound)
}

func TestCloseCheckpoints(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	before := open(t, o)
	n := create(t, before, "team/app")
	bare, id := start(t, before, n), start(t, before, n)
	send(t, before, n, id, "one")
	must(t, before.Close(t.Context()))

	after := open(t, o)
	wantOffset(t, after, n, bare, 0)
	wantOffset(t, after, n, id, 3)
	send(t, after, n, id, " two")
	_, err := finish(t, after, n, id, sha256Of([]byte("one two")))
	must(t, err)
}

func TestDurableUploads(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	before := open(t, o)
	n := create(t, before, "team/app")
	u, err := before.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
	must(t, err)
	wantOffset(t, open(t, o), n, u.ID, 0)

	u, err = before.AppendUpload(alice(t), n, u.ID, whole(0, "one"))
	must(t, err)
	after := open(t, o)
	wantOffset(t, after, n, u.ID, 3)
	_, err = after.FinishUpload(alice(t), n, u.ID, registry.Finish{Digests: []digest.Digest{sha256Of([]byte("one"))}, Parts: true})
	must(t, err)
}

func TestRestartDropsBytesBeyondTheCheckpoint(t *testing.T) {
	o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs()}
	before := open(t, o)
	n := create(t, before, "team/app")
	id, content := start(t, before, n), strings.Repeat("a", slice)
	send(t, before, n, id, content+"and more that was not checkpointed")

	after := open(t, o) // whose client is content with what is there
	_, err := finish(t, after, n, id, sha256Of([]byte(content)))
	must(t, err)
	if got := readLayer(t, after, n, sha256Of([]byte(content))); got != content {
		t.Errorf("it reads %d bytes, want %d", len(got), len(content))
	}
}

func TestRestartCountsUploads(t *testing.T) {
	for what, limits := range map[string]registry.Limits{
		"of an identity": {Uploads: 2}, "of a repository": {RepositoryUploads: 2},
	} {
		o := registry.Options{Index: memory.NewIndex(), Blobs: memory.NewBlobs(), Limits: limits}
		before := open(t, o)
		n := create(t, before, "team/app")
		id := start(t, before, n)
		start(t, before, n)
		must(t, before.Close(t.Context()))

		after := open(t, o)
		_, err := after.StartUpload(alice(t), n, registry.NewUpload{})
		wantCode(t, "a third "+what, err, registry.TooManyUploads)
		must(t, after.CancelUpload(alice(t), n, id))
		start(t, after, n)
	}
}

// died finishes an upload on an index that fails to commit, so that the blob is
// sealed and nothing else done, and opens the store anew.
func died(t *testing.T, o registry.Options, index *faultyIndex, s *registry.Service, n registry.Name, id string, d digest.Digest) *registry.Service {
	t.Helper()
	index.fail(errors.New("power cut"))
	_, err := finish(t, s, n, id, d)
	if err == nil || registry.CodeOf(err) != "" {
		t.Fatalf("finish: %v, want a fault", err)
	}
	index.heal()
	return open(t, o)
}

func TestFinishAfterAFailedFinish(t *testing.T) {
	index := &faultyIndex{Index: memory.NewIndex()}
	o := registry.Options{Index: index, Blobs: memory.NewBlobs()}
	content := strings.Repeat("a", slice)
	d := sha256Of([]byte(content))

	t.Run("in the same process", func(t *testing.T) {
		s := open(t, o)
		n := create(t, s, "team/same")
		id := start(t, s, n)
		send(t, s, n, id, content)
		died(t, o, index, s, n, id, d)
		_, err := finish(t, s, n, id, d)
		must(t, err)
	})
	t.Run("in another one that knows all bytes", func(t *testing.T) {
		s := open(t, o)
		n := create(t, s, "team/all")
		id := start(t, s, n)
		send(t, s, n, id, content)
		after := died(t, o, index, s, n, id, d)
		_, err := after.AppendUpload(alice(t), n, id, stream("more"))
		wantCode(t, "append to what is sealed", err, registry.UploadNotFound)
		_, err = finish(t, after, n, id, d)
		must(t, err)
	})
	t.Run("in another one that lacks some", func(t *testing.T) {
		s := open(t, o)
		n := create(t, s, "team/some")
		id := start(t, s, n)
		send(t, s, n, id, content+"more")
		after := died(t, o, index, s, n, id, sha256Of([]byte(content+"more")))
		wantOffset(t, after, n, id, slice)
		_, err := finish(t, after, n, id, d) // right for the bytes up to the checkpoint
		wantCode(t, "finish", err, registry.UploadNotFound)
		must(t, after.CancelUpload(alice(t), n, id))
	})
}

func TestFailedStart(t *testing.T) {
	index := &faultyIndex{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index, Blobs: memory.NewBlobs(), Limits: registry.Limits{Uploads: 1}})
	n := create(t, s, "team/app")
	for fault, code := range map[error]registry.Code{errors.New("torn cable"): "", storage.ErrFull: registry.StoreFull} {
		index.fail(fault)
		_, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
		if err == nil || registry.CodeOf(err) != code {
			t.Errorf("start on an index with %v: %v, want code %q", fault, err, code)
		}
		index.heal()
	}
	start(t, s, n) // those that failed do not count
}

func TestFailedWholePart(t *testing.T) {
	index := &faultyIndex{Index: memory.NewIndex()}
	s := open(t, registry.Options{Index: index})
	n := create(t, s, "team/app")
	id := start(t, s, n)
	for i, fault := range []error{errors.New("torn cable"), storage.ErrFull} {
		index.fail(fault)
		u, err := s.AppendUpload(alice(t), n, id, whole(int64(3*i), "abc"))
		if err == nil || u.Offset != int64(3*i) || (registry.CodeOf(err) == registry.StoreFull) != (fault == storage.ErrFull) {
			t.Errorf("append on an index with %v: %+v, %v", fault, u, err)
		}
		index.heal()
		_, err = s.AppendUpload(alice(t), n, id, whole(int64(3*i), "xyz"))
		must(t, err)
	}
	_, err := finish(t, s, n, id, sha256Of([]byte("xyzxyz")))
	must(t, err)
}

func TestFaultsOfTheBlobs(t *testing.T) {
	broken := errors.New("broken disk")
	store := memory.NewBlobs()
	// keeps is a store that keeps some bytes, then has a fault.
	keeps := func(limit int64, fault error) func(string, int64, io.Reader) (int64, error) {
		return func(id string, off int64, r io.Reader) (int64, error) {
			size, err := store.Append(t.Context(), id, off, io.LimitReader(r, limit))
			if err != nil || fault != nil {
				return 0, errors.Join(err, fault)
			}
			_, err = io.Copy(io.Discard, r)
			return size, err
		}
	}
	tests := []struct {
		what   string
		append func(string, int64, io.Reader) (int64, error)
		code   registry.Code
	}{
		{"broken", keeps(2, broken), ""},
		{"broken at once", keeps(0, broken), ""},
		{"full", keeps(2, fmt.Errorf("write: %w", storage.ErrFull)), registry.StoreFull},
		{"keeps less than it was given", keeps(2, nil), ""},
		{"lost bytes", keeps(2, storage.ErrGap), ""},
	}
	for _, tt := range tests {
		for _, wholeParts := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, whole parts %v", tt.what, wholeParts), func(t *testing.T) {
				blobs := &faultyBlobs{Blobs: store}
				s := open(t, registry.Options{Blobs: blobs})
				n := create(t, s, "team/app")
				id := start(t, s, n)
				send(t, s, n, id, "first ")
				p := at(6, "second")
				p.Whole = wholeParts
				blobs.append = tt.append
				u, err := s.AppendUpload(alice(t), n, id, p)
				if err == nil || registry.CodeOf(err) != tt.code || errors.Is(err, registry.ErrBody) || u.Offset != 6 {
					t.Errorf("append: %+v, %v; want code %q at 6", u, err, tt.code)
				}
				blobs.append = nil
				wantOffset(t, s, n, id, 6)
				send(t, s, n, id, "third")
				_, err = finish(t, s, n, id, sha256Of([]byte("first third")))
				must(t, err)
			})
		}
	}
}

func TestFullStoreAtFinish(t *testing.T) {
	index := &faultyIndex{Index: memory.NewIndex()}
	blobs := &faultyBlobs{Blobs: memory.NewBlobs()}
	s := open(t, registry.Options{Index: index, Blobs: blobs})
	n := create(t, s, "team/app")
	empty, one := start(t, s, n), start(t, s, n)
	send(t, s, n, one, "one")

	blobs.append = func(string, int64, io.Reader) (int64, error) { return 0, storage.ErrFull }
	_, err := finish(t, s, n, empty, sha256Of(nil))
	wantCode(t, "finish an empty one", err, registry.StoreFull)
	index.fail(storage.ErrFull)
	_, err = finish(t, s, n, one, sha256Of([]byte("one")))
	wantCode(t, "finish", err, registry.StoreFull)
	_, err = s.PutImage(alice(t), n, registry.Push{Body: indexOf(t)})
	wantCode(t, "push", err, registry.StoreFull)

	blobs.append = nil
	index.heal()
	for id, content := range map[string]string{empty: "", one: "one"} {
		_, err := finish(t, s, n, id, sha256Of([]byte(content)))
		must(t, err)
	}
}
