package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

// Blobs tests a keeper against the contract of storage.Blobs. open returns a
// fresh keeper without blobs.
func Blobs(t *testing.T, open func(t testing.TB) storage.Blobs) {
	runBlobs(t, open, appendCases, sealCases, listCases)
}

// DurableBlobs tests what a keeper that outlives its process must keep. open
// opens the keeper in the folder dir, which is empty the first time, and is
// called again without more ado, as after a crash.
func DurableBlobs(t *testing.T, open func(t testing.TB, dir string) storage.Blobs) {
	t.Run("Reopen", func(t *testing.T) { testBlobsReopen(t, open) })
	t.Run("SealAgain", func(t *testing.T) { testSealAgain(t, open) })
}

var appendCases = []blobsCase{
	{"Append", testAppend},
	{"AppendNothing", testAppendNothing},
	{"AppendDropsWhatLiesBeyond", testAppendDrops},
	{"AppendRefusesGaps", testGaps},
	{"AppendLarge", testAppendLarge},
	{"AppendKeepsWhatAFailingReaderGave", testFailingReader},
	{"AppendStopsWithItsContext", testAppendCancelled},
	{"DifferentBlobsAtOnce", testBlobsAtOnce},
}

// add appends s to the blob id and reports a size other than want.
func add(t testing.TB, s storage.Blobs, id string, off int64, data string, want int64) {
	t.Helper()
	size, err := s.Append(context.Background(), id, off, strings.NewReader(data))
	if size != want || err != nil {
		t.Errorf("Append(%s, %d, %d bytes) = %d, %v; want %d", id, off, len(data), size, err, want)
	}
}

func seal(t testing.TB, s storage.Blobs, id string) {
	t.Helper()
	must(t, s.Seal(context.Background(), id))
}

// wantBlob reports a sealed blob that does not hold exactly want.
func wantBlob(t testing.TB, s storage.Blobs, id, want string) {
	t.Helper()
	r, err := s.Open(context.Background(), id)
	if err != nil {
		t.Errorf("Open(%s): %v", id, err)
		return
	}
	got, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		t.Errorf("read blob %s: %v", id, err)
	}
	if string(got) != want {
		t.Errorf("blob %s holds %d bytes, %.40q; want %d, %.40q", id, len(got), got, len(want), want)
	}
}

// wantSizes reports a list that does not show exactly the blobs given as
// "id size".
func wantSizes(t testing.TB, list iter.Seq2[storage.BlobInfo, error], want ...string) {
	t.Helper()
	var got []string
	for b, err := range list {
		must(t, err)
		got = append(got, fmt.Sprint(b.ID, " ", b.Size))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func testAppend(t *testing.T, s storage.Blobs) {
	add(t, s, "a0", 0, "one ", 4)
	add(t, s, "a0", 4, "two ", 8)
	add(t, s, "a0", 8, "", 8)
	add(t, s, "a0", 8, "three", 13)
	seal(t, s, "a0")
	wantBlob(t, s, "a0", "one two three")
}

func testAppendNothing(t *testing.T, s storage.Blobs) {
	add(t, s, "a0", 0, "", 0)
	wantSizes(t, s.List(context.Background(), ""), "a0 0")
	seal(t, s, "a0")
	wantBlob(t, s, "a0", "")
}

func testAppendDrops(t *testing.T, s storage.Blobs) {
	add(t, s, "a0", 0, "kept, dropped for good", 22)
	add(t, s, "a0", 4, "!", 5)
	wantSizes(t, s.List(context.Background(), ""), "a0 5")
	add(t, s, "a0", 5, "?", 6)
	add(t, s, "b0", 0, "all of it", 9)
	add(t, s, "b0", 0, "", 0)
	seal(t, s, "a0")
	wantBlob(t, s, "a0", "kept!?")
	wantSizes(t, s.List(context.Background(), ""), "a0 6", "b0 0")
}

func testGaps(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	_, err := s.Append(ctx, "a0", 1, strings.NewReader("x"))
	wantError(t, "Append at 1 of an absent blob", err, storage.ErrGap)
	wantSizes(t, s.List(ctx, ""))
	add(t, s, "a0", 0, "1234", 4)
	_, err = s.Append(ctx, "a0", 5, strings.NewReader("x"))
	wantError(t, "Append at 5 of 4 bytes", err, storage.ErrGap)
	if _, err = s.Append(ctx, "a0", -1, strings.NewReader("x")); err == nil {
		t.Error("Append at -1 succeeds")
	}
	add(t, s, "a0", 4, "5", 5)
	seal(t, s, "a0")
	wantBlob(t, s, "a0", "12345")
}

// noise returns n bytes that differ from seed to seed.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(seed, seed))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return string(b)
}

// testAppendLarge passes the sizes of any buffer, in pieces that fit none, and
// cuts within it.
func testAppendLarge(t *testing.T, s storage.Blobs) {
	data := noise(1, 3<<20+17)
	cut := 1<<20 + 1
	add(t, s, "a0", 0, data[:cut]+"to be dropped", int64(cut+13))
	size, err := s.Append(context.Background(), "a0", int64(cut), iotest.HalfReader(strings.NewReader(data[cut:])))
	if size != int64(len(data)) || err != nil {
		t.Errorf("Append = %d, %v; want %d", size, err, len(data))
	}
	seal(t, s, "a0")
	wantBlob(t, s, "a0", data)
}

func testFailingReader(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	long := noise(2, 600<<10)
	for _, tt := range []struct {
		id, data string
		with     error
	}{
		{"a0", "", errTest},
		{"a1", "short", errTest},
		{"a2", "body cut off", io.ErrUnexpectedEOF},
		{"a3", long, errTest},
	} {
		add(t, s, tt.id, 0, "before ", 7)
		broken := io.MultiReader(strings.NewReader(tt.data), iotest.ErrReader(tt.with))
		size, err := s.Append(ctx, tt.id, 7, broken)
		if want := int64(7 + len(tt.data)); size != want {
			t.Errorf("%s: size %d beside the error, want %d", tt.id, size, want)
		}
		wantError(t, tt.id, err, tt.with)
		add(t, s, tt.id, size, " after", size+6)
		seal(t, s, tt.id)
		wantBlob(t, s, tt.id, "before "+tt.data+" after")
	}
	data := iotest.DataErrReader(strings.NewReader("with its EOF"))
	if size, err := s.Append(ctx, "a4", 0, data); size != 12 || err != nil {
		t.Errorf("Append of a reader that ends with its data = %d, %v; want 12", size, err)
	}
}

// testAppendCancelled ends the context while bytes are coming, before the
// reader has ended.
func testAppendCancelled(t *testing.T, s storage.Blobs) {
	ctx, cancel := context.WithCancel(context.Background())
	size, err := s.Append(ctx, "a0", 0, &endless{cancel: cancel})
	wantError(t, "Append", err, context.Canceled)
	if size == 0 {
		t.Error("Append kept nothing of what it read before its context ended")
	}
	add(t, s, "a0", size, "", size)
	_, err = s.Append(ctx, "a1", 0, strings.NewReader("never read"))
	wantError(t, "Append with an ended context", err, context.Canceled)
	wantError(t, "Seal", s.Seal(ctx, "a0"), context.Canceled)
	_, err = s.Open(ctx, "a0")
	wantError(t, "Open", err, context.Canceled)
	wantError(t, "Delete", s.Delete(ctx, "a0"), context.Canceled)
	wantSizes(t, s.List(context.Background(), ""), fmt.Sprint("a0 ", size))
}

// endless gives bytes for ever and calls cancel once a megabyte is read.
type endless struct {
	given  int
	cancel func()
}

func (e *endless) Read(p []byte) (int, error) {
	e.given += len(p)
	if e.given > 1<<20 {
		e.cancel()
	}
	return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
}

func testBlobsAtOnce(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	together(24, func(i int) {
		id := fmt.Sprintf("%02x-%d", i*11%256, i)
		data := noise(uint64(i), 100<<10)
		for off := 0; off < len(data); off += 40 << 10 {
			end := min(off+40<<10, len(data))
			add(t, s, id, int64(off), data[off:end], int64(end))
		}
		wantError(t, "Seal", s.Seal(ctx, id), nil)
		wantBlob(t, s, id, data)
		if i%2 == 0 {
			wantError(t, "Delete", s.Delete(ctx, id), nil)
		}
		for _, err := range s.List(ctx, "") {
			wantError(t, "List", err, nil)
		}
	})
	n := 0
	for range s.List(ctx, "") {
		n++
	}
	if n != 12 {
		t.Errorf("%d blobs are left, want 12", n)
	}
}
