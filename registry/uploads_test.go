package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

const mib = 1 << 20

func at(off int64, content string) registry.Part {
	return registry.Part{Offset: off, Length: int64(len(content)), Body: strings.NewReader(content)}
}

func whole(off int64, content string) registry.Part {
	p := at(off, content)
	p.Whole = true
	return p
}

// wantOffset fails the test unless an upload stands at a byte.
func wantOffset(t testing.TB, s *registry.Service, n registry.Name, id string, want int64) {
	t.Helper()
	u, err := s.Upload(alice(t), n, id)
	must(t, err)
	if u.ID != id || u.Offset != want {
		t.Errorf("upload stands at %+v, want %d", u, want)
	}
}

func TestUpload(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	u, err := s.StartUpload(alice(t), n, registry.NewUpload{})
	must(t, err)
	if u.Offset != 0 || len(u.ID) != 36 {
		t.Errorf("started %+v", u)
	}
	for i, content := range []string{"one ", "", "two"} {
		want := []int64{4, 4, 7}[i]
		got, err := s.AppendUpload(alice(t), n, u.ID, at(u.Offset, content))
		if err != nil || got != (registry.Upload{ID: u.ID, Offset: want}) {
			t.Errorf("append %q: %+v, %v; want %d", content, got, err, want)
		}
		u = got
		wantOffset(t, s, n, u.ID, want)
	}
	d := sha256Of([]byte("one two"))
	l, err := finish(t, s, n, u.ID, d)
	if err != nil || l != (registry.Layer{Digest: d, Size: 7}) {
		t.Errorf("finished %+v, %v", l, err)
	}
	if got := readLayer(t, s, n, d); got != "one two" {
		t.Errorf("it reads %q", got)
	}
	_, err = finish(t, s, n, u.ID, d)
	wantCode(t, "finish again", err, registry.UploadNotFound)
}

func TestOffsets(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for _, wholeParts := range []bool{false, true} {
		id := start(t, s, n)
		send(t, s, n, id, "0123456789")
		for _, off := range []int64{0, 9, 11, 1 << 62} {
			p := at(off, "x")
			p.Whole = wholeParts
			u, err := s.AppendUpload(alice(t), n, id, p)
			e := wantCode(t, "append", err, registry.UploadOffset)
			if e.Offset != 10 || e.Got != off || e.Upload != id || u.Offset != 10 {
				t.Errorf("append at %d: %+v, refusal %+v; want both to say 10", off, u, e)
			}
		}
		must(t, func() error { _, err := s.AppendUpload(alice(t), n, id, at(10, "ab")); return err }())
		_, err := finish(t, s, n, id, sha256Of([]byte("0123456789ab")))
		must(t, err)
	}
}

func TestOneAppendAtATime(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	id := start(t, s, n)
	send(t, s, n, id, "first ")
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: 6, Length: -1, Body: r})
		done <- err
	}()
	_, err := w.Write([]byte("sec")) // returns when the append has it
	must(t, err)

	_, err = s.AppendUpload(alice(t), n, id, at(6, "other"))
	if e := wantCode(t, "append meanwhile", err, registry.UploadOffset); e.Offset != 6 {
		t.Errorf("the refusal says that it stands at %d, want 6", e.Offset)
	}
	_, err = finish(t, s, n, id, sha256Of([]byte("first ")))
	wantCode(t, "finish meanwhile", err, registry.UploadOffset)
	wantCode(t, "cancel meanwhile", s.CancelUpload(alice(t), n, id), registry.UploadOffset)
	_, err = s.Upload(by(t, "bob"), n, id)
	wantCode(t, "another's look meanwhile", err, registry.UploadNotFound)
	wantOffset(t, s, n, id, 6)

	_, err = w.Write([]byte("ond"))
	must(t, err)
	must(t, w.Close())
	must(t, <-done)
	wantOffset(t, s, n, id, 12)
	_, err = finish(t, s, n, id, sha256Of([]byte("first second")))
	must(t, err)
}

func TestBodyThatFails(t *testing.T) {
	lost := errors.New("connection lost")
	breaks := func(sent string) io.Reader { return io.MultiReader(strings.NewReader(sent), iotest.ErrReader(lost)) }
	tests := []struct {
		what string
		part registry.Part
		want int64
	}{
		{"after some bytes", registry.Part{Offset: -1, Length: 10, Body: breaks("abc")}, 8},
		{"before the first", registry.Part{Offset: -1, Length: 10, Body: breaks("")}, 5},
		{"together with bytes", registry.Part{Offset: -1, Length: 10, Body: iotest.DataErrReader(breaks("abc"))}, 8},
		{"byte by byte", registry.Part{Offset: -1, Length: 10, Body: iotest.OneByteReader(breaks("abc"))}, 8},
		{"of a whole part", registry.Part{Offset: -1, Length: 10, Body: breaks("abc"), Whole: true}, 5},
		{"of a whole part, before the first", registry.Part{Offset: -1, Length: 10, Body: breaks(""), Whole: true}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s := open(t, registry.Options{})
			n := create(t, s, "team/app")
			id := start(t, s, n)
			send(t, s, n, id, "first")
			u, err := s.AppendUpload(alice(t), n, id, tt.part)
			if !errors.Is(err, registry.ErrBody) || !errors.Is(err, lost) || u.Offset != tt.want {
				t.Errorf("append: %+v, %v; want ErrBody at %d", u, err, tt.want)
			}
			wantOffset(t, s, n, id, tt.want)
			content := "firstabc"[:tt.want] + "rest"
			send(t, s, n, id, "rest")
			_, err = finish(t, s, n, id, sha256Of([]byte(content)))
			must(t, err)
			if got := readLayer(t, s, n, sha256Of([]byte(content))); got != content {
				t.Errorf("it reads %q, want %q", got, content)
			}
		})
	}
}

// TestWholePartIsSeenWhenItIsKept looks at an upload when the bytes of a part are there
// and could still be taken back.
func TestWholePartIsSeenWhenItIsKept(t *testing.T) {
	for _, whole := range []bool{true, false} {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		id := start(t, s, n)
		send(t, s, n, id, "first")
		bytes, ended := strings.NewReader("abc"), 0
		body := readerFunc(func(p []byte) (int, error) {
			if bytes.Len() > 0 {
				return bytes.Read(p)
			}
			if ended++; ended == 1 { // it is asked for more when the store has these
				want := int64(8)
				if whole {
					want = 5
				}
				wantOffset(t, s, n, id, want)
			}
			return 0, io.EOF
		})
		_, err := s.AppendUpload(alice(t), n, id, registry.Part{Offset: 5, Length: 3, Body: body, Whole: whole})
		must(t, err)
		wantOffset(t, s, n, id, 8)
		if ended == 0 {
			t.Error("nobody looked")
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClientThatGoesAway(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} {
		id := start(t, s, n)
		ctx, hangUp := context.WithCancel(alice(t))
		body := &hanger{hangUp, strings.NewReader("abc"), end}
		_, err := s.AppendUpload(ctx, n, id, registry.Part{Offset: 0, Length: -1, Body: body})
		if errors.Is(err, registry.ErrBody) != (end != io.EOF) || err != nil && end == io.EOF {
			t.Errorf("append of a body that ends with %v: %v", end, err)
		}
		wantOffset(t, s, n, id, 3)
		_, err = finish(t, s, n, id, sha256Of([]byte("abc")))
		must(t, err)
	}
}

// hanger is the body of a client whose request has ended when it is read.
type hanger struct {
	hangUp context.CancelFunc
	body   io.Reader
	end    error
}

func (h *hanger) Read(p []byte) (int, error) {
	h.hangUp()
	n, err := h.body.Read(p)
	if err == io.EOF {
		err = h.end
	}
	return n, err
}

func TestWholePartOfAnotherLength(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	id := start(t, s, n)
	send(t, s, n, id, "first")
	for _, length := range []int64{2, 4} {
		p := whole(5, "abc")
		p.Length = length
		u, err := s.AppendUpload(alice(t), n, id, p)
		if !errors.Is(err, registry.ErrBody) || u.Offset != 5 {
			t.Errorf("3 bytes for %d: %+v, %v; want ErrBody at 5", length, u, err)
		}
	}
	// What came of the refused parts lies in the store yet is none of the layer.
	_, err := finish(t, s, n, id, sha256Of([]byte("first")))
	must(t, err)
	if got := readLayer(t, s, n, sha256Of([]byte("first"))); got != "first" {
		t.Errorf("it reads %q", got)
	}
}

func TestLayerLimit(t *testing.T) {
	const limit = 10
	tests := []struct {
		what string
		part registry.Part
		ok   bool
		want int64 // where the upload stands then, having begun at 5
	}{
		{"up to it", at(5, "abcde"), true, 10},
		{"up to it, of unknown length", stream("abcde"), true, 10},
		{"up to it, whole", whole(5, "abcde"), true, 10},
		{"over it as said", registry.Part{Offset: -1, Length: 6, Body: iotest.ErrReader(errors.New("was read"))}, false, 5},
		{"over it, of unknown length", stream("abcdef"), false, 10},
		{"over it against its word", registry.Part{Offset: -1, Length: 2, Body: strings.NewReader("abcdef")}, false, 10},
		{"over it, whole, of unknown length", registry.Part{Offset: -1, Length: -1, Body: strings.NewReader("abcdef"), Whole: true}, false, 5},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			blobs := memory.NewBlobs()
			s := open(t, registry.Options{Blobs: blobs, Limits: registry.Limits{Layer: limit}})
			n := create(t, s, "team/app")
			id := start(t, s, n)
			send(t, s, n, id, "first")
			u, err := s.AppendUpload(alice(t), n, id, tt.part)
			if tt.ok {
				must(t, err)
			} else if e := wantCode(t, "append", err, registry.LayerTooLarge); e.Limit != limit || e.Upload != id {
				t.Errorf("refusal %+v", e)
			}
			if u.Offset != tt.want {
				t.Errorf("the upload stands at %d, want %d", u.Offset, tt.want)
			}
			for info, err := range blobs.List(t.Context(), "") {
				if err != nil || info.Size > limit {
					t.Errorf("the store keeps %d bytes, %v", info.Size, err)
				}
			}
			_, err = finish(t, s, n, id, sha256Of([]byte("firstabcde"[:tt.want])))
			must(t, err)
		})
	}
}

func TestFinish(t *testing.T) {
	content := []byte("one")
	short, long := sha256Of(content), digest.FromBytes(digest.SHA512, content)
	wrong, wrongLong := sha256Of(nil), digest.FromBytes(digest.SHA512, nil)
	tests := []struct {
		what      string
		algorithm digest.Algorithm
		want      []digest.Digest
		kept      digest.Digest // zero: mismatch
	}{
		{"sha256", "", []digest.Digest{short}, short},
		{"sha256, said so", digest.SHA256, []digest.Digest{short}, short},
		{"sha512, said so", digest.SHA512, []digest.Digest{long}, long},
		{"sha512, not said before", "", []digest.Digest{long}, long},
		{"sha256 after sha512", digest.SHA512, []digest.Digest{short}, short},
		{"one of two", "", []digest.Digest{wrong, short}, short},
		{"one of two algorithms", "", []digest.Digest{wrongLong, short}, short},
		{"wrong", "", []digest.Digest{wrong}, digest.Digest{}},
		{"wrong sha512", "", []digest.Digest{wrongLong}, digest.Digest{}},
		{"none", "", nil, digest.Digest{}},
		{"zero", "", []digest.Digest{{}}, digest.Digest{}},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			blobs := memory.NewBlobs()
			s := open(t, registry.Options{Blobs: blobs})
			n := create(t, s, "team/app")
			u, err := s.StartUpload(alice(t), n, registry.NewUpload{Algorithm: tt.algorithm})
			must(t, err)
			send(t, s, n, u.ID, "one")
			l, err := finish(t, s, n, u.ID, tt.want...)
			if tt.kept.IsZero() {
				wantMismatch(t, s, n, u.ID, err)
				if got := blobCount(t, blobs); got != 0 {
					t.Errorf("the store keeps %d blobs of it", got)
				}
				return
			}
			if err != nil || l.Digest != tt.kept || l.Size != 3 {
				t.Errorf("finished %+v, %v; want %s", l, err, tt.kept)
			}
			if got := readLayer(t, s, n, tt.kept); got != "one" {
				t.Errorf("it reads %q", got)
			}
		})
	}
}

// wantMismatch fails the test unless a wrong digest took the upload with it.
func wantMismatch(t *testing.T, s *registry.Service, n registry.Name, id string, err error) {
	t.Helper()
	e := wantCode(t, "finish", err, registry.LayerDigestMismatch)
	if e.Upload != id || e.Name != n {
		t.Errorf("refusal %+v", e)
	}
	_, err = s.Upload(alice(t), n, id)
	wantCode(t, "find the upload", err, registry.UploadNotFound)
	must(t, registry.Tidy(t.Context(), s))
}

func TestEmptyLayer(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	empty := sha256Of(nil)
	for what, prepare := range map[string]func(id string){
		"nothing sent":    func(string) {},
		"an empty append": func(id string) { send(t, s, n, id, "") },
	} {
		id := start(t, s, n)
		prepare(id)
		if l, err := finish(t, s, n, id, empty); err != nil || l.Size != 0 {
			t.Errorf("%s: %+v, %v", what, l, err)
		}
		if got := readLayer(t, s, n, empty); got != "" {
			t.Errorf("%s: it reads %q", what, got)
		}
		must(t, s.DeleteLayer(alice(t), n, empty))
	}
}

func TestParts(t *testing.T) {
	large, least, small := strings.Repeat("a", 6*mib), strings.Repeat("b", 5*mib), strings.Repeat("c", 5*mib-1)
	tests := []struct {
		what  string
		parts []string
		code  registry.Code
	}{
		{"none", nil, registry.UploadEmpty},
		{"empty ones", []string{"", ""}, registry.UploadEmpty},
		{"one small", []string{"x"}, ""},
		{"the last small", []string{large, least, "x"}, ""},
		{"the first small", []string{small, large}, registry.UploadPartTooSmall},
		{"one between small", []string{least, small, "x"}, registry.UploadPartTooSmall},
		{"an empty one at the end", []string{least, "x", ""}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			s := open(t, registry.Options{})
			n := create(t, s, "team/app")
			u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
			must(t, err)
			for _, p := range tt.parts {
				u, err = s.AppendUpload(alice(t), n, u.ID, whole(u.Offset, p))
				must(t, err)
			}
			d := sha256Of([]byte(strings.Join(tt.parts, "")))
			_, err = s.FinishUpload(alice(t), n, u.ID, registry.Finish{Digests: []digest.Digest{d}, Parts: true})
			if tt.code != "" {
				wantCode(t, "finish by the rules of parts", err, tt.code)
				_, err = finish(t, s, n, u.ID, d) // the upload is still there
			}
			must(t, err)
		})
	}
}

func TestTooManyParts(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Parts: 2}})
	n := create(t, s, "team/app")
	id := start(t, s, n)
	for _, p := range []string{"a", "b"} {
		_, err := s.AppendUpload(alice(t), n, id, whole(-1, p))
		must(t, err)
	}
	u, err := s.AppendUpload(alice(t), n, id, whole(-1, "c"))
	if e := wantCode(t, "third part", err, registry.TooManyParts); e.Limit != 2 || u.Offset != 2 {
		t.Errorf("refusal %+v at %d", e, u.Offset)
	}
	send(t, s, n, id, "c") // a stream is not counted in parts
	_, err = finish(t, s, n, id, sha256Of([]byte("abc")))
	must(t, err)
}

func TestUploadsAreTheirOwners(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	abroad := nameIn(t, registry.ID{Account: here.Account, Region: "eu-west-1"}, "team/app")
	_, err := s.CreateRepository(alice(t), abroad, registry.Settings{})
	must(t, err)
	for _, durable := range []bool{false, true} {
		u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: durable})
		must(t, err)
		for _, tt := range []struct {
			what string
			who  string
			name registry.Name
			id   string
		}{
			{"another principal", "bob", n, u.ID},
			{"nobody", "", n, u.ID},
			{"another repository", "alice", other, u.ID},
			{"another registry", "alice", abroad, u.ID},
			{"an id of other form", "alice", n, "../" + u.ID},
			{"an id in capitals", "alice", n, strings.ToUpper(u.ID)},
			{"an id with a zero byte", "alice", n, "\x00"},
			{"no id", "alice", n, ""},
		} {
			ctx := by(t, tt.who)
			_, errUpload := s.Upload(ctx, tt.name, tt.id)
			_, errAppend := s.AppendUpload(ctx, tt.name, tt.id, stream("x"))
			_, errFinish := s.FinishUpload(ctx, tt.name, tt.id, registry.Finish{})
			errCancel := s.CancelUpload(ctx, tt.name, tt.id)
			for _, err := range []error{errUpload, errAppend, errFinish, errCancel} {
				wantCode(t, tt.what, err, registry.UploadNotFound)
			}
		}
		wantOffset(t, s, n, u.ID, 0)
	}
}

// TestUploadsOfAnEarlierUser: who has a name after another has not his uploads.
func TestUploadsOfAnEarlierUser(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	as := func(kind auth.Kind, id string) context.Context {
		return auth.WithPrincipal(t.Context(), auth.Principal{Account: here.Account, ARN: arn("alice"), UserID: id, Kind: kind})
	}
	u, err := s.StartUpload(as(auth.User, "AIDAFIRST"), n, registry.NewUpload{Durable: true})
	must(t, err)
	_, err = s.Upload(as(auth.User, "AIDASECOND"), n, u.ID)
	wantCode(t, "another of the name", err, registry.UploadNotFound)
	_, err = s.Upload(as(auth.User, "AIDAFIRST"), n, u.ID)
	must(t, err)
	u, err = s.StartUpload(as(auth.Root, ""), n, registry.NewUpload{Durable: true}) // as earlier versions noted a root
	must(t, err)
	_, err = s.Upload(as(auth.Root, here.Account), n, u.ID)
	must(t, err)
}

func TestCancelUpload(t *testing.T) {
	blobs := memory.NewBlobs()
	s := open(t, registry.Options{Blobs: blobs})
	n := create(t, s, "team/app")
	for _, durable := range []bool{false, true} {
		u, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: durable})
		must(t, err)
		send(t, s, n, u.ID, "one")
		must(t, s.CancelUpload(alice(t), n, u.ID))
		wantCode(t, "cancel again", s.CancelUpload(alice(t), n, u.ID), registry.UploadNotFound)
		must(t, registry.Tidy(t.Context(), s))
		if got := blobCount(t, blobs); got != 0 {
			t.Errorf("the store keeps %d blobs", got)
		}
	}
}

func TestTooManyUploads(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{Uploads: 2}})
	n := create(t, s, "team/app")
	full := func(what string) {
		t.Helper()
		_, err := s.StartUpload(alice(t), n, registry.NewUpload{})
		if e := wantCode(t, what, err, registry.TooManyUploads); e.Limit != 2 || e.Name != n {
			t.Errorf("%s: refusal %+v", what, e)
		}
	}
	one, two := start(t, s, n), start(t, s, n)
	full("a third")
	_, err := s.StartUpload(by(t, "bob"), n, registry.NewUpload{}) // has his own count
	must(t, err)

	send(t, s, n, one, "one")
	_, err = finish(t, s, n, one, sha256Of([]byte("one")))
	must(t, err)
	three := start(t, s, n)
	full("after one was finished and another begun")
	must(t, s.CancelUpload(alice(t), n, two))
	start(t, s, n)
	full("after one was cancelled and another begun")
	_, err = finish(t, s, n, three, sha256Of([]byte("no")))
	wantCode(t, "finish with a wrong digest", err, registry.LayerDigestMismatch)
	start(t, s, n)
	full("after one was refused and another begun")
}

func TestTooManyUploadsInARepository(t *testing.T) {
	s := open(t, registry.Options{Limits: registry.Limits{RepositoryUploads: 2}})
	n, other := create(t, s, "team/app"), create(t, s, "team/other")
	full := func(what string) {
		t.Helper()
		_, err := s.StartUpload(by(t, "bob"), n, registry.NewUpload{})
		if e := wantCode(t, what, err, registry.TooManyUploads); e.Limit != 2 || e.Name != n {
			t.Errorf("%s: refusal %+v", what, e)
		}
	}
	one, two := start(t, s, n), start(t, s, n)
	full("a third, of another identity")
	start(t, s, other)
	must(t, s.CancelUpload(alice(t), n, one))
	start(t, s, n)
	full("after one was cancelled and another begun")
	send(t, s, n, two, "two")
	_, err := finish(t, s, n, two, sha256Of([]byte("two")))
	must(t, err)
	three := start(t, s, n)
	full("after one was finished and another begun")
	_, err = finish(t, s, n, three, sha256Of([]byte("no")))
	wantCode(t, "finish with a wrong digest", err, registry.LayerDigestMismatch)
	start(t, s, n)
	full("after one was refused and another begun")
	s.Configure(registry.Options{Limits: registry.Limits{RepositoryUploads: 3}})
	start(t, s, n)
	s.Configure(registry.Options{Limits: registry.Limits{RepositoryUploads: 2}})
	full("after the limit was raised and lowered again")
	_, err = s.DeleteRepository(alice(t), n, true)
	must(t, err)
	n = create(t, s, "team/app")
	start(t, s, n)
	start(t, s, n)
	full("in a repository made anew")
}

// However many begin at once, no more than the limit are open.
func TestUploadsAreCountedExactly(t *testing.T) {
	const limit, many = 10, 64
	s := open(t, registry.Options{Limits: registry.Limits{RepositoryUploads: limit}})
	n := create(t, s, "team/app")
	var begun, refused atomic.Int64
	var all sync.WaitGroup
	for i := range many {
		ctx := by(t, fmt.Sprint("user", i))
		all.Go(func() {
			switch _, err := s.StartUpload(ctx, n, registry.NewUpload{Durable: i%2 == 0}); {
			case err == nil:
				begun.Add(1)
			case registry.CodeOf(err) == registry.TooManyUploads:
				refused.Add(1)
			default:
				t.Errorf("start: %v", err)
			}
		})
	}
	all.Wait()
	if begun.Load() != limit || refused.Load() != many-limit {
		t.Errorf("%d began and %d were refused, want %d and %d", begun.Load(), refused.Load(), limit, many-limit)
	}
}

func TestRepositoryDeletedDuringAnUpload(t *testing.T) {
	for _, again := range []bool{false, true} {
		s := open(t, registry.Options{})
		n := create(t, s, "team/app")
		resting, err := s.StartUpload(alice(t), n, registry.NewUpload{Durable: true})
		must(t, err)
		running := start(t, s, n)
		send(t, s, n, running, "one")
		_, err = s.DeleteRepository(alice(t), n, false)
		must(t, err)
		code := registry.RepositoryNotFound
		if again {
			create(t, s, "team/app")
			code = registry.UploadNotFound
		}
		for _, id := range []string{resting.ID, running} {
			_, errAppend := s.AppendUpload(alice(t), n, id, stream("two"))
			_, errFinish := finish(t, s, n, id, sha256Of([]byte("one")))
			for _, err := range []error{errAppend, errFinish} {
				wantCode(t, "go on with an upload", err, code)
			}
		}
	}
}
