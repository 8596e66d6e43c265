package peer_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/peer"
)

// uploads is an upstream that takes uploads, with its own idea of them.
type uploads struct {
	*scripted
	at       string // the bytes so far
	whole    string // "" until there is a blob
	starts   int
	least    string // OCI-Chunk-Min-Length
	noParts  int    // status for a part, 0 to take them
	forgets  int    // how often an upload is forgotten
	denies   int    // status for what ends an upload, 0 to take it
	code     string // with it
	ranges   string // instead of the right one
	sendings []int  // bytes by request
}

func (u *uploads) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if len(body) > 0 {
		u.sendings = append(u.sendings, len(body))
	}
	location := func() {
		w.Header().Set("Location", "/v2/"+repo+"/blobs/uploads/"+fmt.Sprint(u.starts)+"?state=x")
		w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(u.at)-1)))
		if u.ranges != "" {
			w.Header().Set("Range", u.ranges)
		}
	}
	switch {
	case r.Method == http.MethodHead:
		if u.whole == "" {
			w.WriteHeader(http.StatusNotFound)
		}
	case r.Method == http.MethodPost:
		u.starts++
		u.at = ""
		if u.least != "" {
			w.Header().Set("OCI-Chunk-Min-Length", u.least)
		}
		location()
		w.Header().Del("Range")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPatch && u.noParts != 0:
		w.WriteHeader(u.noParts)
	case r.Method == http.MethodPatch && u.forgets > 0:
		u.forgets--
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodPatch:
		if r.Header.Get("Content-Range") != fmt.Sprintf("%d-%d", len(u.at), len(u.at)+len(body)-1) {
			location()
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		u.at += string(body)
		location()
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodGet:
		if u.forgets > 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		location()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut && u.denies != 0:
		w.WriteHeader(u.denies)
		fmt.Fprintf(w, `{"errors":[{"code":%q}]}`, u.code)
	case r.Method == http.MethodPut:
		if r.URL.Query().Get("state") != "x" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		u.whole = u.at + string(body)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	}
}

func newUploads(t testing.TB, change func(*uploads)) *uploads {
	u := &uploads{}
	change(u)
	u.scripted = script(t, u.ServeHTTP)
	return u
}

const alphabet = "abcdefghijklmnopqrstuvwxyz"

func push(t testing.TB, u *uploads) error {
	r := to(t, u.URL)
	peer.InParts(r, 10)
	peer.Hurry(r, func(time.Duration) {})
	return r.PushBlob(t.Context(), repo, sha256Of(alphabet), int64(len(alphabet)), from([]byte(alphabet)))
}

func TestPushes(t *testing.T) {
	tests := []struct {
		what   string
		change func(*uploads)
		want   []int // bytes by request
	}{
		{"in parts", func(*uploads) {}, []int{10, 10, 6}},
		{"in parts of a size that it wants", func(u *uploads) { u.least = "20" }, []int{20, 6}},
		{"that wants no less than all", func(u *uploads) { u.least = "1000" }, []int{26}},
		{"that wants nonsense", func(u *uploads) { u.least = "-7" }, []int{10, 10, 6}},
		{"that takes no parts", func(u *uploads) { u.noParts = http.StatusMethodNotAllowed }, []int{10, 26}},
		{"that takes no parts of that size", func(u *uploads) { u.noParts = http.StatusRequestEntityTooLarge }, []int{10, 26}},
		{"that tells nothing of parts", func(u *uploads) { u.ranges = "0-0" }, []int{10, 10, 26}},
		{"that forgets", func(u *uploads) { u.forgets = 1 }, []int{10, 10, 10, 6}},
	}
	for _, tt := range tests {
		u := newUploads(t, tt.change)
		if err := push(t, u); err != nil || u.whole != alphabet {
			t.Errorf("to one %s: %q, %v", tt.what, u.whole, err)
		}
		if diff := cmp.Diff(tt.want, u.sendings); diff != "" {
			t.Errorf("to one %s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// Small blobs take two requests, and empty ones too.
func TestSmallPushes(t *testing.T) {
	for _, text := range []string{"", "a", "ab"} {
		u := newUploads(t, func(*uploads) {})
		must(t, to(t, u.URL).PushBlob(t.Context(), repo, sha256Of(text), int64(len(text)), from([]byte(text))))
		if asked, _ := u.seen(); u.whole != text || len(asked) != 2 {
			t.Errorf("%q is %q, by %q", text, u.whole, asked)
		}
	}
}

// What does not mend ends, and the upload is given up.
func TestPushesThatEnd(t *testing.T) {
	tests := []struct {
		what   string
		change func(*uploads)
		starts int // at most
		err    error
	}{
		{"denied", func(u *uploads) { u.denies = 403 }, 1, peer.ErrDenied},
		{"other bytes", func(u *uploads) { u.denies, u.code = 400, "DIGEST_INVALID" }, 1, nil},
		{"broken", func(u *uploads) { u.denies = 500 }, 6, peer.ErrUnavailable},
		{"never satisfied", func(u *uploads) { u.denies = 416 }, 6, nil},
		{"full of itself", func(u *uploads) { u.ranges = "0-999" }, 6, peer.ErrWrong},
		{"nonsense", func(u *uploads) { u.ranges = "bytes" }, 6, peer.ErrWrong},
	}
	for _, tt := range tests {
		u := newUploads(t, tt.change)
		err := push(t, u)
		check(t, tt.what, err, tt.err)
		asked, _ := u.seen()
		if err == nil || u.starts > tt.starts || len(asked) > 60 {
			t.Errorf("%s: %v after %d uploads by %d requests", tt.what, err, u.starts, len(asked))
		}
		if last := asked[len(asked)-1]; !strings.HasPrefix(last, "DELETE ") {
			t.Errorf("%s: the last request is %s", tt.what, last)
		}
	}
}

// The bytes' own error is told, and not tried again.
func TestPushOfBrokenBytes(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, open := range []func(int64) (io.ReadCloser, error){
		func(int64) (io.ReadCloser, error) { return nil, broken },
		func(int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("abc"), failing{broken})), nil
		},
		func(int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("abc")), nil },
	} {
		u := newUploads(t, func(*uploads) {})
		r := to(t, u.URL)
		err := r.PushBlob(t.Context(), repo, sha256Of(alphabet), int64(len(alphabet)), open)
		if !errors.Is(err, broken) && !errors.Is(err, io.ErrUnexpectedEOF) || u.starts != 1 || u.whole != "" {
			t.Errorf("%v, after %d uploads, %q", err, u.starts, u.whole)
		}
		check(t, "bytes that cannot be read", err, nil)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A token that ends while a blob is on its way is renewed.
func TestTokenEndsInAPush(t *testing.T) {
	service := tokens(t)
	u := &uploads{}
	parts := 0
	u.scripted = script(t, renewing(func(r *http.Request) bool {
		if r.Method == http.MethodPatch {
			parts++
		}
		want := "Bearer token-1"
		if parts > 1 {
			want = "Bearer token-2"
		}
		return r.Header.Get("Authorization") == want
	}, fmt.Sprintf(`Bearer realm=%q`, service.URL), u.ServeHTTP))
	if err := push(t, u); err != nil || u.whole != alphabet {
		t.Errorf("%q, %v", u.whole, err)
	}
}

func renewing(good func(*http.Request) bool, challenge string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !good(r) {
			w.Header().Set("Www-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h(w, r)
	}
}

func TestPushManifestRefusals(t *testing.T) {
	upstream := script(t, content)
	r := to(t, upstream.URL)
	for what, err := range map[string]error{
		"another digest": r.PushManifest(t.Context(), repo, sha256Of("").String(), imageType, []byte(image(""))),
		"no name":        r.PushManifest(t.Context(), "A", "v1", imageType, []byte(image(""))),
		"no tag":         r.PushManifest(t.Context(), repo, "v/1", imageType, []byte(image(""))),
	} {
		check(t, what, err, peer.ErrWrong)
	}
	if asked, _ := upstream.seen(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	denied := script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"errors":[{"code":"DENIED","message":"not you"}]}`)
	})
	err := to(t, denied.URL).PushManifest(t.Context(), repo, "v1", imageType, []byte(image("")))
	check(t, "denied", err, peer.ErrDenied)
	if e := new(peer.Error); !errors.As(err, &e) || e.Code != "DENIED" || e.Message != "not you" {
		t.Errorf("%+v", err)
	}
}
