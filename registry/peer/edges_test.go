package peer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

// kinds are the errors that callers look for.
var kinds = []error{peer.ErrNotFound, peer.ErrDenied, peer.ErrTooMany, peer.ErrUnavailable, peer.ErrWrong, remote.ErrRefused}

// check says whether an error is of one kind, and of that alone.
func check(t *testing.T, what string, err, kind error) {
	t.Helper()
	for _, k := range kinds {
		if errors.Is(err, k) != (k == kind) {
			t.Errorf("%s: %v (%v: %v)", what, err, k, errors.Is(err, k))
		}
	}
}

func TestStatuses(t *testing.T) {
	tests := map[int]error{
		400: nil, 401: peer.ErrDenied, 403: peer.ErrDenied, 404: peer.ErrNotFound, 405: nil, 408: peer.ErrUnavailable, 429: peer.ErrTooMany,
		500: peer.ErrUnavailable, 502: peer.ErrUnavailable, 503: peer.ErrUnavailable, 504: peer.ErrUnavailable, 304: nil, 302: nil, 204: nil,
	}
	for status, kind := range tests {
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		r := to(t, upstream.URL)
		_, err := r.Manifest(t.Context(), repo, "v1")
		check(t, fmt.Sprintf("a manifest with status %d", status), err, kind)
		refused := new(peer.Error)
		if !errors.As(err, &refused) || refused.Status != status || !strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("status %d: %+v", status, err)
		}
		if status == 404 {
			continue
		}
		_, err = r.HasBlob(t.Context(), repo, sha256Of(layer))
		check(t, fmt.Sprintf("a blob with status %d", status), err, kind)
		for _, err := range r.Tags(t.Context(), repo) {
			check(t, fmt.Sprintf("tags with status %d", status), err, kind)
		}
	}
}

// What comes is not what was asked for.
func TestWrongBytes(t *testing.T) {
	d := sha256Of(image("")).String()
	tests := []struct {
		what, ref string
		header    map[string]string
		body      string
		err       error
	}{
		{"by digest", d, nil, image("") + " ", peer.ErrWrong},
		{"by digest, of which it tells", d, map[string]string{"Docker-Content-Digest": d}, "{}", peer.ErrWrong},
		{"by tag, with another digest", "v1", map[string]string{"Docker-Content-Digest": sha256Of("").String()}, image(""), peer.ErrWrong},
		{"another digest told", d, map[string]string{"Docker-Content-Digest": sha256Of("").String()}, image(""), peer.ErrWrong},
		{"nothing", d, nil, "", peer.ErrWrong},
		{"a digest that is none", "v1", map[string]string{"Docker-Content-Digest": "md5:x"}, image(""), nil},
		{"no digest", "v1", nil, image(""), nil},
		{"a sha512", "v1", map[string]string{"Docker-Content-Digest": digest.FromBytes(digest.SHA512, []byte(image(""))).String()}, image(""), nil},
		{"compressed, and is not", d, map[string]string{"Content-Encoding": "gzip"}, image(""), peer.ErrWrong},
		{"in an odd encoding", d, map[string]string{"Content-Encoding": "br"}, image(""), peer.ErrWrong},
		{"compressed", d, map[string]string{"Content-Encoding": "gzip"}, packed(image("")), nil},
		{"compressed and cut", d, map[string]string{"Content-Encoding": "gzip"}, packed(image(""))[:40], peer.ErrUnavailable},
		{"compressed and spoiled", d, map[string]string{"Content-Encoding": "gzip"}, packed(image(""))[:10] + "\xff\xff\xff\xff", peer.ErrWrong},
		{"a bomb", d, map[string]string{"Content-Encoding": "gzip"}, packed(strings.Repeat(" ", 100_000)), peer.ErrWrong},
		{"too long", "v1", nil, strings.Repeat(" ", 1001), peer.ErrWrong},
		{"as long as can be", "v1", nil, strings.Repeat(" ", 1000), nil},
	}
	for _, tt := range tests {
		r := to(t, script(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", imageType)
			for name, value := range tt.header {
				w.Header().Set(name, value)
			}
			io.WriteString(w, tt.body)
		}).URL, func(o *peer.Options) { o.MaxManifest = 1000 })
		m, err := r.Manifest(t.Context(), repo, tt.ref)
		check(t, tt.what, err, tt.err)
		if (err != nil) != (tt.err != nil) || err == nil && !m.Digest.Matches(m.Body) {
			t.Errorf("%s: %s, %v", tt.what, m.Digest, err)
		}
	}
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // a buffer takes all
	_ = w.Close()
	return b.String()
}

// A body of endless length is not read to its end.
func TestEndless(t *testing.T) {
	done := make(chan struct{})
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	_, err := to(t, upstream.URL).Manifest(t.Context(), repo, "v1")
	check(t, "a manifest without end", err, peer.ErrWrong)
	<-done
}

// HEAD that says too little has the manifest fetched.
func TestHead(t *testing.T) {
	d := sha256Of(image("")).String()
	tests := []struct {
		what   string
		head   func(http.Header)
		status int
		gets   int
		err    error
	}{
		{"all there is", func(http.Header) {}, 200, 0, nil},
		{"no digest", func(h http.Header) { h.Del("Docker-Content-Digest") }, 200, 1, nil},
		{"no type", func(h http.Header) { h.Set("Content-Type", "application/octet-stream") }, 200, 1, nil},
		{"no length", func(h http.Header) { h.Del("Content-Length") }, 200, 1, nil},
		{"no HEAD", func(http.Header) {}, 405, 1, nil},
		{"another digest", func(h http.Header) { h.Set("Docker-Content-Digest", sha256Of("").String()) }, 200, 0, peer.ErrWrong},
	}
	for _, tt := range tests {
		upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", imageType)
			h.Set("Docker-Content-Digest", d)
			h.Set("Content-Length", strconv.Itoa(len(image(""))))
			if r.Method == http.MethodHead {
				tt.head(h)
				w.WriteHeader(tt.status)
				return
			}
			io.WriteString(w, image(""))
		})
		got, err := to(t, upstream.URL).Head(t.Context(), repo, d)
		check(t, tt.what, err, tt.err)
		if err == nil && (got.Digest.String() != d || got.MediaType != imageType || got.Size != int64(len(image("")))) {
			t.Errorf("%s: %+v", tt.what, got)
		}
		if asked, _ := upstream.seen(); len(asked) != 1+tt.gets {
			t.Errorf("%s: asked %q", tt.what, asked)
		}
	}
}

// What a registry has against a request stands in a body, which an answer to HEAD has not.
func TestHeadRefused(t *testing.T) {
	upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"errors":[{"code":"NAME_INVALID","message":"a name is longer"}]}`)
	})
	_, err := to(t, upstream.URL).Head(t.Context(), repo, "v1")
	if err == nil || !strings.Contains(err.Error(), "a name is longer") {
		t.Errorf("the refusal is %v", err)
	}
}

// The type is the registry's word unless that says nothing.
func TestMediaTypes(t *testing.T) {
	for told, want := range map[string]string{
		indexType: indexType, imageType + "; charset=utf-8": imageType, "application/json": imageType, "text/plain; x=y": imageType, "//": imageType,
	} {
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", told)
			io.WriteString(w, image(""))
		})
		if m, err := to(t, upstream.URL).Manifest(t.Context(), repo, "v1"); err != nil || m.MediaType != want {
			t.Errorf("%s is %q, %v", told, m.MediaType, err)
		}
	}
}

// A body that breaks off is told from one that ends.
func TestTruncated(t *testing.T) {
	r := to(t, script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", imageType)
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, layer)
	}).URL)
	_, err := r.Manifest(t.Context(), repo, "v1")
	check(t, "a manifest", err, peer.ErrUnavailable)
	got, size, err := readAll(t, r, 0)
	check(t, "a blob", err, peer.ErrUnavailable)
	if got != layer || size != 1000 {
		t.Errorf("%q of %d comes of the blob", got, size)
	}
}

// Each phase has its time.
func TestTimes(t *testing.T) {
	wait := make(chan struct{})
	stuck := script(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") || strings.HasSuffix(r.URL.Path, "/body") {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, begun(r))
			_ = http.NewResponseController(w).Flush() // it is on its way, or the test fails
		}
		<-wait
	})
	defer close(wait)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	short := 50 * time.Millisecond
	quick := func(times remote.Times) func(*peer.Options) {
		return func(o *peer.Options) { o.Client = local(t, func(o *remote.Options) { o.Times = times }) }
	}
	_, err = to(t, stuck.URL, quick(remote.Times{Answer: short})).Manifest(t.Context(), repo, "v1")
	check(t, "no answer", err, peer.ErrUnavailable)
	_, err = to(t, stuck.URL, quick(remote.Times{Rest: short})).Manifest(t.Context(), repo, "body")
	check(t, "a manifest that stands still", err, peer.ErrUnavailable)
	got, _, err := readAll(t, to(t, stuck.URL, quick(remote.Times{Rest: short})), 0)
	check(t, "a blob that stands still", err, peer.ErrUnavailable)
	if got != layer || !errors.Is(err, remote.ErrStalled) {
		t.Errorf("%q comes of the blob, %v", got, err)
	}
	for _, err := range to(t, stuck.URL, quick(remote.Times{Rest: short})).Tags(t.Context(), "some/blobs/here") {
		check(t, "a list that stands still", err, peer.ErrUnavailable)
	}
	r := to(t, "https://"+silent.Addr().String(), quick(remote.Times{TLS: short}))
	_, err = r.Manifest(t.Context(), repo, "v1")
	check(t, "no TLS", err, peer.ErrUnavailable)
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	_, err = to(t, stuck.URL).Manifest(ctx, repo, "v1")
	check(t, "the caller's time", err, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's time: %v", err)
	}
}

// begun is how an answer begins that comes no further.
func begun(r *http.Request) string {
	if strings.HasSuffix(r.URL.Path, "/tags/list") {
		return `{"tags":[`
	}
	return layer
}

func TestNobodyThere(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err := to(t, gone.URL).Manifest(t.Context(), repo, "v1")
	check(t, "no server", err, peer.ErrUnavailable)
	if strings.Contains(err.Error(), "/v2/") {
		t.Errorf("the error tells the address: %v", err)
	}
}

// TestLater: a registry that wants to be left alone is.
func TestLater(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		kind := map[int]error{429: peer.ErrTooMany, 503: peer.ErrUnavailable}[status]
		busy := 1
		upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
			if busy > 0 {
				busy--
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(status)
				return
			}
			content(w, r)
		})
		r := to(t, upstream.URL)
		var waited []time.Duration
		peer.Hurry(r, func(d time.Duration) { waited = append(waited, d) })
		for range 3 {
			_, err := r.Manifest(t.Context(), repo, "v1")
			check(t, "while it wants to be left alone", err, kind)
			if e := new(peer.Error); !errors.As(err, &e) || e.RetryAfter != 30*time.Second || e.Status != status {
				t.Errorf("%d: %+v", status, err)
			}
		}
		_, err := r.Manifest(peer.Patient(t.Context(), 29*time.Second), repo, "v1")
		check(t, "with too little patience", err, kind)
		if asked, _ := upstream.seen(); len(asked) != 1 || len(waited) > 0 {
			t.Errorf("%d: asked %q, waited %v", status, asked, waited)
		}
		_, err = r.Manifest(peer.Patient(t.Context(), 30*time.Second), repo, "v1")
		must(t, err)
		busy = 2
		_, err = r.Manifest(peer.Patient(t.Context(), time.Minute), repo, "v1")
		must(t, err)
		busy = 3
		_, err = r.Manifest(peer.Patient(t.Context(), time.Minute), repo, "v1")
		check(t, "when patience ends", err, kind)
		if diff := cmp.Diff([]time.Duration{30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second, 30 * time.Second}, waited); diff != "" {
			t.Errorf("waited (-want +got):\n%s", diff)
		}
	}
}

// Whatever it says, a registry is asked a few times only, and waited for a few
// minutes.
func TestLaterHasBounds(t *testing.T) {
	for said, most := range map[string]int{"0": 5, "-1": 1, "soon": 1, "": 1, "Thu, 01 Jan 1970 00:00:00 GMT": 5, "99999999999999999999": 1, "Fri, 31 Dec 9999 23:59:59 GMT": 1} {
		upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", said)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		r := to(t, upstream.URL)
		peer.Hurry(r, func(time.Duration) {})
		_, err := r.Manifest(peer.Patient(t.Context(), time.Minute), repo, "v1")
		check(t, said, err, peer.ErrTooMany)
		if asked, _ := upstream.seen(); len(asked) != most {
			t.Errorf("%q: asked %d times", said, len(asked))
		}
		if e := new(peer.Error); errors.As(err, &e) && e.RetryAfter > remote.MostWait {
			t.Errorf("%q: wait for %s", said, e.RetryAfter)
		}
	}
	ctx, cancel := context.WithCancel(peer.Patient(t.Context(), time.Hour))
	upstream := script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
		cancel()
	})
	if _, err := to(t, upstream.URL).Manifest(ctx, repo, "v1"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up while waiting: %v", err)
	}
}

// Blobs from an offset on, from registries that have their own idea of it.
func TestRanges(t *testing.T) {
	tests := []struct {
		what, contentRange string
		status             int
		body               string
		size               int64
		err                error
	}{
		{"as asked", "bytes 5-20/21", 206, layer[5:], 21, nil},
		{"of a size that is not known", "bytes 5-20/*", 206, layer[5:], -1, nil},
		{"the whole", "", 200, layer, 21, nil},
		{"the whole, too short", "", 200, "abc", 0, peer.ErrWrong},
		{"others", "bytes 0-20/21", 206, layer, 0, peer.ErrWrong},
		{"none told", "", 206, layer, 0, peer.ErrWrong},
		{"nonsense", "bytes 5-4/21", 206, "", 0, peer.ErrWrong},
		{"beyond the end", "bytes 5-30/21", 206, "", 0, peer.ErrWrong},
		{"refused", "bytes */21", 416, "", 0, nil},
	}
	for _, tt := range tests {
		r := to(t, script(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Range"); got != "bytes=5-" {
				t.Errorf("%s: asked for %q", tt.what, got)
			}
			if tt.contentRange != "" {
				w.Header().Set("Content-Range", tt.contentRange)
			}
			w.WriteHeader(tt.status)
			io.WriteString(w, tt.body)
		}).URL)
		got, size, err := readAll(t, r, 5)
		check(t, tt.what, err, tt.err)
		if tt.status < 300 && tt.err == nil && (got != layer[5:] || size != tt.size || err != nil) {
			t.Errorf("%s: %q of %d, %v", tt.what, got, size, err)
		}
	}
}

// Nobody is asked for compressed bytes.
func TestIdentity(t *testing.T) {
	r := to(t, script(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("%s in %q", r.URL, got)
		}
		content(w, r)
	}).URL)
	_, err := r.Manifest(t.Context(), repo, "v1")
	must(t, err)
	_, _, err = readAll(t, r, 0)
	must(t, err)
}

// A registry may be below a path.
func TestBelowAPath(t *testing.T) {
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/base/v2/team/app/tags/list":
			http.StripPrefix("/base", http.HandlerFunc(content)).ServeHTTP(w, r)
		case r.URL.RawQuery == "":
			w.Header().Set("Link", `</base/v2/team/app/tags/list?last=a>; rel="next"`)
			io.WriteString(w, `{"tags":["a"]}`)
		default:
			io.WriteString(w, `{"tags":["b"]}`)
		}
	})
	r := to(t, upstream.URL+"/base/")
	must(t, r.Ping(t.Context()))
	_, err := r.Manifest(t.Context(), repo, "v1")
	must(t, err)
	if diff := cmp.Diff([]string{"a", "b"}, list(t, r.Tags(t.Context(), repo))); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	for _, err := range r.Repositories(t.Context()) {
		if !errors.Is(err, peer.ErrNotFound) {
			t.Errorf("repositories: %v", err)
		}
	}
	asked, _ := upstream.seen()
	for _, a := range asked {
		if !strings.Contains(a, " /base/v2/") {
			t.Errorf("asked %s", a)
		}
	}
}

// A list leads to no other server, and may be left.
func TestLists(t *testing.T) {
	other := script(t, content)
	upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+other.URL+r.URL.Path+`>; rel="next"`)
		io.WriteString(w, `{"tags":["a","b"]}`)
	})
	r := to(t, upstream.URL)
	var tags []string
	var failed error
	for tag, err := range r.Tags(t.Context(), repo) {
		if failed = err; err == nil {
			tags = append(tags, tag)
		}
	}
	check(t, "a list that leads elsewhere", failed, peer.ErrWrong)
	for range r.Tags(t.Context(), repo) {
		break
	}
	if asked, _ := other.seen(); len(asked) > 0 || !cmp.Equal([]string{"a", "b"}, tags) {
		t.Errorf("the other is asked %q, and the tags are %q", asked, tags)
	}
}

func TestReferrersByAPI(t *testing.T) {
	subject, one := sha256Of("subject"), sha256Of("signature")
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":9,"artifactType":"a/b","annotations":{"c":"d"}}]}`, imageType, one)
	for _, without := range []int{0, 400, 404, 405, 501} {
		upstream := script(t, func(w http.ResponseWriter, r *http.Request) {
			byTag := strings.HasPrefix(r.URL.Path, "/v2/"+repo+"/manifests/sha256-")
			if without != 0 && !byTag {
				w.WriteHeader(without)
				return
			}
			w.Header().Set("Content-Type", indexType)
			io.WriteString(w, index)
		})
		r := to(t, upstream.URL)
		for range 2 {
			found, err := r.Referrers(t.Context(), repo, subject)
			want := []peer.Descriptor{{Digest: one, MediaType: imageType, Size: 9, ArtifactType: "a/b", Annotations: map[string]string{"c": "d"}}}
			if diff := cmp.Diff(want, found, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); err != nil || diff != "" {
				t.Errorf("without it by %d: %v (-want +got):\n%s", without, err, diff)
			}
		}
	}
	bad := script(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", indexType)
		io.WriteString(w, `{"manifests":[{"digest":"../x","size":-1}]}`)
	})
	_, err := to(t, bad.URL).Referrers(t.Context(), repo, subject)
	check(t, "a broken list", err, peer.ErrWrong)
}
