package credentials_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth/credentials"
)

const inMemory = 64 << 10

// long is a body that does not fit in memory and does not repeat itself.
func long(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat(string(rune('a'+i%26)), 1+i%97))
	}
	return b.String()[:n]
}

func (f *fixture) hold(t *testing.T, v *credentials.Verifier, body string) (*credentials.Body, error) {
	t.Helper()
	r, _ := request(body)
	f.key.Sign(r, body, f.now)
	_, b, err := v.Signed(r, "ecr", limit)
	return b, err
}

func TestBodies(t *testing.T) {
	f := setUp(t)
	inMemoryOnly := f.verifier(t, func(o *credentials.Options) { o.SpoolDir = "" })
	for _, v := range []*credentials.Verifier{f.Verifier, inMemoryOnly} {
		for _, n := range []int{0, 1, inMemory - 1, inMemory, inMemory + 1, 3 * inMemory, limit} {
			want := long(n)
			b, err := f.hold(t, v, want)
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if b.Size() != int64(n) {
				t.Errorf("%d bytes: size %d", n, b.Size())
			}
			one, two := b.Reader(), b.Reader()
			for range 2 {
				if got, err := io.ReadAll(one); err != nil || string(got) != want {
					t.Errorf("%d bytes: read %d, %v", n, len(got), err)
				}
				if _, err := one.Seek(0, io.SeekStart); err != nil {
					t.Error(err)
				}
			}
			if got, err := io.ReadAll(two); err != nil || string(got) != want {
				t.Errorf("%d bytes, second reader: read %d, %v", n, len(got), err)
			}
			if left := list(t, f.spoolDir); len(left) != 0 {
				t.Errorf("%d bytes: %v has a name", n, left)
			}
			if err := errors.Join(b.Close(), b.Close()); err != nil {
				t.Errorf("%d bytes: close: %v", n, err)
			}
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestBodyOverLimit(t *testing.T) {
	f := setUp(t)
	body := long(limit + 1)
	r, w := request(body)
	f.key.Sign(r, body, f.now)
	_, _, err := f.Signed(r, "ecr", limit)
	wantError(t, err, credentials.RequestEntityTooLarge, 413)
	if w.read {
		t.Error("a body that says that it is too long was read")
	}
	r.ContentLength = -1 // sent in chunks
	_, _, err = f.Signed(r, "ecr", limit)
	wantError(t, err, credentials.RequestEntityTooLarge, 413)
	if rest, _ := io.ReadAll(w); w.Reader.(*strings.Reader).Len() != 0 || len(rest) != 0 {
		t.Errorf("%d bytes were left", len(rest))
	}
	r.Body = http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(body)), 100)
	_, _, err = f.Signed(r, "ecr", limit)
	wantError(t, err, credentials.RequestEntityTooLarge, 413)
}

func TestNothingIsReadAfterTheLimit(t *testing.T) {
	f := setUp(t)
	body := long(limit + 1000)
	r, w := request(body)
	f.key.Sign(r, body, f.now)
	r.ContentLength = -1
	if _, _, err := f.Signed(r, "ecr", limit); err == nil {
		t.Fatal("passed")
	}
	if left := w.Reader.(*strings.Reader).Len(); left != 999 {
		t.Errorf("%d bytes are left of those after the limit, want 999", left)
	}
}

func TestTooManyLongBodies(t *testing.T) {
	f := setUp(t) // takes two
	var held []*credentials.Body
	for range 2 {
		b, err := f.hold(t, f.Verifier, long(inMemory+1))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, b)
	}
	_, err := f.hold(t, f.Verifier, long(inMemory+1))
	wantError(t, err, credentials.ServiceUnavailable, 503)
	short, err := f.hold(t, f.Verifier, long(inMemory))
	if err != nil {
		t.Errorf("a short body beside: %v", err)
	} else {
		short.Close()
	}
	held[0].Close()
	held[0].Close() // gives back one place, not two
	b, err := f.hold(t, f.Verifier, long(inMemory+1))
	if err != nil {
		t.Fatalf("after one was closed: %v", err)
	}
	_, err = f.hold(t, f.Verifier, long(inMemory+1))
	wantError(t, err, credentials.ServiceUnavailable, 503)
	b.Close()
	held[1].Close()

	// What is refused holds no place either.
	f.key.Secret = "x"
	for range 3 {
		_, err := f.hold(t, f.Verifier, long(inMemory+1))
		wantError(t, err, credentials.InvalidSignature, 400)
	}
}

// torn is a body whose sender went away.
type torn struct{ head io.Reader }

func (b torn) Read(p []byte) (int, error) {
	n, err := b.head.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
func (torn) Close() error { return nil }

func TestSenderGoesAway(t *testing.T) {
	f := setUp(t)
	for _, n := range []int{0, 10, inMemory + 10, 5 * inMemory} {
		r, _ := request("")
		f.key.Sign(r, long(n), f.now)
		r.Body, r.ContentLength = torn{strings.NewReader(long(n))}, limit
		_, _, err := f.Signed(r, "ecr", limit)
		wantError(t, err, credentials.RequestAborted, 400)
	}
	if b, err := f.hold(t, f.Verifier, long(inMemory+1)); err != nil {
		t.Errorf("afterwards: %v", err)
	} else {
		b.Close()
	}
}

func TestSpoolFolder(t *testing.T) {
	f := setUp(t)
	info, err := os.Stat(f.spoolDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	old := filepath.Join(f.spoolDir, "body-123")
	if err := os.WriteFile(old, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(f.spoolDir, "note")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.verifier(t, nil)
	if got := list(t, f.spoolDir); len(got) != 1 || got[0] != other {
		t.Errorf("left in the folder: %v", got)
	}
	if err := os.RemoveAll(f.spoolDir); err != nil {
		t.Fatal(err)
	}
	_, err = f.hold(t, f.Verifier, long(inMemory+1))
	var refused *credentials.Error
	if err == nil || errors.As(err, &refused) {
		t.Errorf("without the folder: %v", err)
	}
	if b, err := f.hold(t, f.Verifier, "{}"); err != nil {
		t.Errorf("a short body without the folder: %v", err)
	} else if got, _ := io.ReadAll(b.Reader()); !bytes.Equal(got, []byte("{}")) {
		t.Errorf("a short body without the folder: %q", got)
	}
}
