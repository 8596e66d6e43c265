package bucket_test

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/bucket"
	"github.com/seed-78150930/berth/storage/backup"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, target *bucket.Target, name string) string {
	t.Helper()
	r, err := target.Open(t.Context(), name)
	must(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	return string(text)
}

// TestFilesOfEverySize puts what fits in a part, what fills some, and what does not.
func TestFilesOfEverySize(t *testing.T) {
	s, open := serve(t, time.Minute)
	target := open()
	want := map[string]int64{}
	for _, content := range []string{"", "one", "eight by", "nine byte", "sixteen bytes of", strings.Repeat("many", 20)} {
		name := "blobs/ab/" + string(rune('a'+len(want)))
		for _, size := range []int64{int64(len(content)), -1} {
			must(t, target.Put(t.Context(), name, io.MultiReader(strings.NewReader(content)), size))
			if got := read(t, target, name); got != content {
				t.Errorf("%q comes back as %q", content, got)
			}
		}
		want[name] = int64(len(content))
	}
	got := map[string]int64{}
	for f, err := range target.List(t.Context(), "blobs") {
		must(t, err)
		got[f.Name] = f.Size
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	if _, ok := s.objects["/backups/some/prefix/blobs/ab/a"]; !ok {
		t.Errorf("objects are %v", s.objects)
	}
	must(t, target.Delete(t.Context(), "blobs/ab/a"))
	must(t, target.Delete(t.Context(), "blobs/ab/a"))
	if _, err := target.Open(t.Context(), "blobs/ab/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open what is deleted: %v", err)
	}
}

// failing fails in the place of its end.
type failing struct{ io.Reader }

var errWrong = errors.New("wrong bytes")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = errWrong
	}
	return n, err
}

func TestWhatFailsIsNotThere(t *testing.T) {
	s, open := serve(t, time.Minute)
	for _, content := range []string{"short", "longer than one part"} {
		if err := open().Put(t.Context(), "x", failing{strings.NewReader(content)}, int64(len(content))); !errors.Is(err, errWrong) {
			t.Errorf("put %q: %v", content, err)
		}
	}
	if len(s.objects) != 0 || len(s.parts) != 0 {
		t.Errorf("%d objects and %d uploads are left", len(s.objects), len(s.parts))
	}
}

func TestReadsGoOn(t *testing.T) {
	s, open := serve(t, time.Minute)
	content := strings.Repeat("abcdefgh", 100)
	must(t, open().Put(t.Context(), "x", strings.NewReader(content), int64(len(content))))
	s.broken = 3
	if got := read(t, open(), "x"); got != content {
		t.Errorf("%d bytes come back, want %d", len(got), len(content))
	}
}

func TestTidyEndsUploads(t *testing.T) {
	s, open := serve(t, time.Minute)
	s.keys["old"], s.parts["old"] = "/backups/some/prefix/blobs/x", map[int][]byte{1: []byte("half")}
	must(t, open().Tidy(t.Context()))
	if len(s.parts) != 0 {
		t.Errorf("%d uploads are left", len(s.parts))
	}
}

func TestOneHasTheLock(t *testing.T) {
	s, open := serve(t, time.Minute)
	_, unlock, err := open().Lock(t.Context())
	must(t, err)
	if _, _, err := open().Lock(t.Context()); !errors.Is(err, backup.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, unlock())
	_, unlock, err = open().Lock(t.Context())
	must(t, err)
	defer unlock()

	// One that was not renewed is taken over.
	s.mu.Lock()
	for key := range s.written {
		s.written[key] = time.Now().Add(-2 * time.Minute)
	}
	s.mu.Unlock()
	_, unlock2, err := open().Lock(t.Context())
	must(t, err)
	must(t, unlock2())
}

func TestLostLockEndsTheWork(t *testing.T) {
	s, open := serve(t, 200*time.Millisecond)
	held, unlock, err := open().Lock(t.Context())
	must(t, err)
	s.mu.Lock()
	for key := range s.objects {
		s.objects[key] = []byte("another's")
	}
	s.mu.Unlock()
	select {
	case <-held.Done():
	case <-time.After(time.Minute):
		t.Error("it goes on without its lock")
	}
	must(t, unlock())
	if got := slices.Collect(func(yield func(string) bool) { yield(string(s.objects["/backups/some/prefix/lock"])) }); got[0] != "another's" {
		t.Errorf("the other's lock is %q", got)
	}
}

func TestAddressesThatMakeNoSense(t *testing.T) {
	for _, url := range []string{"", "s3:", "s3://", "https://bucket/x", "s3://bucket/x?y=z", "s3://user@bucket/x"} {
		if _, err := bucket.Open(t.Context(), bucket.Options{URL: url, Region: "us-east-1"}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
