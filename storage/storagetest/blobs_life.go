package storagetest

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/storage"
)

var sealCases = []blobsCase{
	{"Seal", testSeal},
	{"Seek", testSeek},
	{"Delete", testDelete},
	{"DeleteWhileRead", testDeleteWhileRead},
	{"BadIDs", testBadIDs},
	{"GoodIDs", testGoodIDs},
}

func testSeal(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	wantError(t, "Seal of an absent blob", s.Seal(ctx, "a0"), storage.ErrNotFound)
	_, err := s.Open(ctx, "a0")
	wantError(t, "Open of an absent blob", err, storage.ErrNotFound)
	add(t, s, "a0", 0, "data", 4)
	_, err = s.Open(ctx, "a0")
	wantError(t, "Open before the seal", err, storage.ErrNotFound)
	seal(t, s, "a0")
	seal(t, s, "a0")
	for _, off := range []int64{0, 4, 5} {
		_, err = s.Append(ctx, "a0", off, strings.NewReader("more"))
		wantError(t, "Append after the seal", err, storage.ErrSealed)
	}
	wantBlob(t, s, "a0", "data")
	wantSizes(t, s.List(ctx, ""), "a0 4")
}

func testSeek(t *testing.T, s storage.Blobs) {
	data := noise(3, 300<<10)
	add(t, s, "a0", 0, data, int64(len(data)))
	seal(t, s, "a0")
	r, err := s.Open(context.Background(), "a0")
	must(t, err)
	for _, tt := range []struct {
		off    int64
		whence int
		at, n  int
	}{
		{0, io.SeekEnd, len(data), 0},
		{100 << 10, io.SeekStart, 100 << 10, 200},
		{-200, io.SeekCurrent, 100 << 10, 100 << 10},
		{-3, io.SeekEnd, len(data) - 3, 3},
		{0, io.SeekStart, 0, len(data)},
	} {
		at, err := r.Seek(tt.off, tt.whence)
		if at != int64(tt.at) || err != nil {
			t.Errorf("Seek(%d, %d) = %d, %v; want %d", tt.off, tt.whence, at, err, tt.at)
		}
		got := make([]byte, tt.n)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != data[tt.at:tt.at+tt.n] {
			t.Errorf("after Seek(%d, %d): other bytes or error %v", tt.off, tt.whence, err)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read at the end = %d, %v; want EOF", n, err)
	}
	must(t, r.Close())
}

func testDelete(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	must(t, s.Delete(ctx, "a0"))
	add(t, s, "a0", 0, "sealed", 6)
	seal(t, s, "a0")
	add(t, s, "a1", 0, "open", 4)
	add(t, s, "a2", 0, "stays", 5)
	for _, id := range []string{"a0", "a1"} {
		must(t, s.Delete(ctx, id))
		must(t, s.Delete(ctx, id))
		_, err := s.Open(ctx, id)
		wantError(t, "Open after Delete", err, storage.ErrNotFound)
		wantError(t, "Seal after Delete", s.Seal(ctx, id), storage.ErrNotFound)
		_, err = s.Append(ctx, id, 4, strings.NewReader("x"))
		wantError(t, "Append after Delete", err, storage.ErrGap)
	}
	wantSizes(t, s.List(ctx, ""), "a2 5")
}

// testDeleteWhileRead: who has a blob open may read it to the end, or gets an
// error, but never other bytes.
func testDeleteWhileRead(t *testing.T, s storage.Blobs) {
	data := noise(4, 200<<10)
	add(t, s, "a0", 0, data, int64(len(data)))
	seal(t, s, "a0")
	r, err := s.Open(context.Background(), "a0")
	must(t, err)
	must(t, s.Delete(context.Background(), "a0"))
	got, err := io.ReadAll(r)
	if !strings.HasPrefix(data, string(got)) || err == nil && len(got) != len(data) {
		t.Errorf("read %d bytes, error %v; want %d bytes or an error", len(got), err, len(data))
	}
	must(t, r.Close())
}

// badIDs are what a client might send in the hope that it becomes a path.
var badIDs = []string{
	"", ".", "..", "/", "../x", "a/../../b", "/etc/passwd", "a0/b0", `a0\b0`, "..\\x", "a0.open", "a0.", "A0", "g0", "a0 ", " a0",
	"a0\x00", "\x00", "a0\n", "é", "a_0", "%2e%2e", "a0:b", "~", strings.Repeat("a", 65), strings.Repeat("a", 5000),
}

func testBadIDs(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	for _, id := range badIDs {
		r := &counting{}
		_, err := s.Append(ctx, id, 0, r)
		wantError(t, "Append of "+id, err, storage.ErrBadID)
		if r.reads != 0 {
			t.Errorf("Append of %q read its bytes", id)
		}
		wantError(t, "Seal of "+id, s.Seal(ctx, id), storage.ErrBadID)
		_, err = s.Open(ctx, id)
		wantError(t, "Open of "+id, err, storage.ErrBadID)
		wantError(t, "Delete of "+id, s.Delete(ctx, id), storage.ErrBadID)
	}
	wantSizes(t, s.List(ctx, ""))
}

type counting struct{ reads int }

func (c *counting) Read([]byte) (int, error) {
	c.reads++
	return 0, io.EOF
}

func testGoodIDs(t *testing.T, s storage.Blobs) {
	ids := []string{"a", "0", "-", "--", "-a", "a-", "f0", strings.Repeat("f", 64), "0123456789abcdef-0123456789abcdef"}
	for _, id := range ids {
		add(t, s, id, 0, id, int64(len(id)))
		seal(t, s, id)
	}
	for _, id := range ids {
		wantBlob(t, s, id, id)
	}
}

var listCases = []blobsCase{
	{"List", testList},
	{"ListTimes", testListTimes},
	{"ListStops", testListStops},
	{"ListWhileDeleting", testListWhileDeleting},
}

// ordered are ids in order, chosen to be awkward for folders by first letters.
var ordered = []string{
	"-", "--", "-0", "-f", "0", "0-", "0-f", "00", "00-", "000", "0f", "1", "1-", "10", "9", "a", "a-", "a-9", "a0", "a0-1", "ab", "f", "f-", "ff", "fff",
}

func putOrdered(t testing.TB, s storage.Blobs) {
	t.Helper()
	for i := range ordered {
		id := ordered[(i*7)%len(ordered)]
		add(t, s, id, 0, id, int64(len(id)))
		if i%2 == 0 {
			seal(t, s, id)
		}
	}
}

func testList(t *testing.T, s storage.Blobs) {
	putOrdered(t, s)
	afters := append([]string{"", "00-0", "zz", "g", "/", "ffffff", "A"}, ordered...)
	for _, after := range afters {
		var want, got []string
		for _, id := range ordered {
			if id > after {
				want = append(want, id)
			}
		}
		for b, err := range s.List(context.Background(), after) {
			must(t, err)
			got = append(got, b.ID)
			if b.Size != int64(len(b.ID)) {
				t.Errorf("blob %q has size %d in the list, want %d", b.ID, b.Size, len(b.ID))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("List after %q (-want +got):\n%s", after, diff)
		}
	}
}

func testListTimes(t *testing.T, s storage.Blobs) {
	const slack = 2 * time.Second // a file system's clock may tick coarsely
	from := time.Now().Add(-slack)
	add(t, s, "a0", 0, "x", 1)
	for b, err := range s.List(context.Background(), "") {
		must(t, err)
		if b.ModTime.Before(from) || b.ModTime.After(time.Now().Add(slack)) {
			t.Errorf("ModTime %v is not now", b.ModTime)
		}
	}
}

func testListStops(t *testing.T, s storage.Blobs) {
	putOrdered(t, s)
	n := 0
	for range s.List(context.Background(), "") {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	n = 0
	for _, err := range s.List(ctx, "") {
		wantError(t, "List with an ended context", err, context.Canceled)
		n++
	}
	if n != 1 {
		t.Errorf("a list that fails yields %d times, want once", n)
	}
}

func testListWhileDeleting(t *testing.T, s storage.Blobs) {
	ctx := context.Background()
	putOrdered(t, s)
	var got []string
	for b, err := range s.List(ctx, "") {
		must(t, err)
		got = append(got, b.ID)
		must(t, s.Delete(ctx, b.ID))
	}
	if diff := cmp.Diff(ordered, got); diff != "" {
		t.Errorf("List while deleting (-want +got):\n%s", diff)
	}
	wantSizes(t, s.List(ctx, ""))
}

func testBlobsReopen(t *testing.T, open func(t testing.TB, dir string) storage.Blobs) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, "a0", 0, "sealed", 6)
	seal(t, s, "a0")
	add(t, s, "a1", 0, "open", 4)
	add(t, s, "a2", 0, "gone", 4)
	must(t, s.Delete(context.Background(), "a2"))

	s = open(t, dir)
	wantSizes(t, s.List(context.Background(), ""), "a0 6", "a1 4")
	wantBlob(t, s, "a0", "sealed")
	seal(t, s, "a0")
	_, err := s.Append(context.Background(), "a0", 6, strings.NewReader("x"))
	wantError(t, "Append to a sealed blob", err, storage.ErrSealed)
	add(t, s, "a1", 4, " and more", 13)
	seal(t, s, "a1")
	wantBlob(t, s, "a1", "open and more")
}

// testSealAgain seals a blob anew whose seal may be what was lost.
func testSealAgain(t *testing.T, open func(t testing.TB, dir string) storage.Blobs) {
	dir := t.TempDir()
	s := open(t, dir)
	add(t, s, "a0", 0, "bytes", 5)
	for range 2 {
		s = open(t, dir)
		seal(t, s, "a0")
		wantBlob(t, s, "a0", "bytes")
	}
}
