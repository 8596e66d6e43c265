package transfer_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/peer/peertest"
	"github.com/seed-78150930/berth/registry/transfer"
)

// upstream is a distribution before which something stands, and which notes what it
// is asked.
type upstream struct {
	*httptest.Server
	mu     sync.Mutex
	before func(w http.ResponseWriter, r *http.Request, next http.Handler) bool // answered it
	asked  []string
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	u := &upstream{}
	next := peertest.Handler(t)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.asked = append(u.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Range"))
		before := u.before
		u.mu.Unlock()
		if before == nil || !before(w, r, next) {
			next.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) stand(before func(http.ResponseWriter, *http.Request, http.Handler) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before, u.asked = before, nil
}

// of are the requests with a part of their line.
func (u *upstream) of(part string) (all []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, a := range u.asked {
		if strings.Contains(a, part) {
			all = append(all, a)
		}
	}
	return all
}

// big are bytes that are the same in each run.
func big(n int) string {
	all := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(all)
	return string(all)
}

// A layer whose source breaks off is gone on with from there, by range.
func TestSourceBreaksOff(t *testing.T) {
	m := image(nil, big(300_000))
	source, target := newUpstream(t), at(t, peertest.Distribution(t))
	put(t, at(t, source.URL), "a", "v1", m)
	cut := 0
	source.stand(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, sha256Of(m.blobs[1]).String()) || cut == 2 {
			return false
		}
		cut++
		from, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
		w.Header().Set("Content-Length", strconv.Itoa(len(m.blobs[1])-from))
		if from > 0 {
			w.Header().Set("Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(len(m.blobs[1])-1)+"/"+strconv.Itoa(len(m.blobs[1])))
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write(m.blobs[1][from : from+100_000])
		panic(http.ErrAbortHandler)
	})
	s := at(t, source.URL)
	good(t, run(t, transfer.Options{From: s, Listed: transfer.FromRegistry(s), To: target}))
	has(t, "the target", target, placed{"a", "v1", m})
	asked := source.of(sha256Of(m.blobs[1]).String())
	if len(asked) != 3 || !strings.HasSuffix(asked[1], "bytes=100000-") || !strings.HasSuffix(asked[2], "bytes=200000-") {
		t.Errorf("asked %q", asked)
	}
}

// rereading is a target that reads a blob as one that loses bytes does.
type rereading struct {
	transfer.Target
	reads [][2]int64 // from, and how many bytes
	got   []byte
}

func (r *rereading) PushBlob(ctx context.Context, repo string, d digest.Digest, size int64, open func(int64) (io.ReadCloser, error)) error {
	r.got = make([]byte, size)
	for _, one := range r.reads {
		body, err := open(one[0])
		if err != nil {
			return err
		}
		part, err := io.ReadAll(io.LimitReader(body, one[1]))
		if err != nil {
			return err
		}
		copy(r.got[one[0]:], part)
	}
	return r.Target.PushBlob(ctx, repo, d, size, open)
}

// A target that lost bytes gets them again, and the digest is still of all.
func TestTargetGoesBack(t *testing.T) {
	m := image(nil, big(100_000))
	m.blobs = m.blobs[1:]
	body := object{"schemaVersion": 2, "mediaType": m.mediaType, "layers": []object{described(layerType, m.blobs[0])}, "config": described(configType, m.blobs[0])}
	m.body = encode(body)
	from := at(t, peertest.Distribution(t))
	put(t, from, "a", "v1", m)
	for name, reads := range map[string][][2]int64{
		"in parts":               {{0, 40_000}, {40_000, 40_000}, {80_000, 20_000}},
		"back within a part":     {{0, 40_000}, {40_000, 30_000}, {50_000, 50_000}},
		"back to another part":   {{0, 40_000}, {40_000, 30_000}, {70_000, 10_000}, {10_000, 20_000}, {30_000, 70_000}},
		"back to the beginning":  {{0, 100_000}, {0, 100_000}},
		"on beyond what it read": {{0, 10}, {90_000, 10_000}},
	} {
		to := &rereading{Target: intoFolder(t, "a"), reads: reads}
		good(t, run(t, transfer.Options{From: from, Listed: transfer.FromRegistry(from), To: to}))
		if name != "on beyond what it read" && string(to.got) != string(m.blobs[0]) {
			t.Errorf("%s: the bytes are others", name)
		}
	}
}

// A run that is called off in the midst of a layer leaves nothing half, and the next
// one copies what lacks and nothing twice.
func TestCalledOff(t *testing.T) {
	first, second := image(nil, "first", "shared"), image(nil, big(200_000), "shared")
	source, target := newUpstream(t), newUpstream(t)
	put(t, at(t, source.URL), "a", "v1", first)
	put(t, at(t, source.URL), "a", "v2", second)
	ctx, cancel := context.WithCancel(t.Context())
	layer := sha256Of(second.blobs[1]).String()
	source.stand(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, layer) {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(second.blobs[1])))
		_, _ = w.Write(second.blobs[1][:100_000])
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
		return true
	})
	s, to := at(t, source.URL), at(t, target.URL)
	o := transfer.Options{From: s, Listed: transfer.FromRegistry(s), To: to, Jobs: 1, Wanted: []transfer.Wanted{{Repository: "a"}}}
	r, err := transfer.Run(ctx, o)
	if !errors.Is(err, context.Canceled) || len(r.Failed) > 0 {
		t.Errorf("called off: %v, %+v", err, r)
	}
	hasNot(t, "called off", to, "a", "v2")
	if has, err := to.HasBlob(t.Context(), "a", sha256Of(second.blobs[1])); has || err != nil {
		t.Errorf("half a layer is there: %v", err)
	}
	source.stand(nil)
	good(t, run(t, o))
	has(t, "gone on with", to, placed{"a", "v1", first}, placed{"a", "v2", second})
	if asked := source.of(sha256Of(first.blobs[1]).String()); r.Copied == 1 && len(asked) > 0 {
		t.Errorf("copied again: %q", asked)
	}
}

// What a source sends wrong is refused and named, and the rest goes on.
func TestWrongSource(t *testing.T) {
	fine, bad := image(nil, "fine"), image(nil, "bad layer")
	layer := sha256Of(bad.blobs[1]).String()
	source := newUpstream(t)
	put(t, at(t, source.URL), "a", "v1", bad)
	put(t, at(t, source.URL), "a", "v2", fine)
	for name, lie := range map[string]func(w http.ResponseWriter, r *http.Request, next http.Handler){
		"other bytes": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { io.WriteString(w, "b4d layer") },
		"fewer bytes": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { io.WriteString(w, "bad") },
		"more bytes":  func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { io.WriteString(w, "bad layer and more") },
		"nothing":     func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusNotFound) },
		"no":          func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) },
	} {
		target := intoFolder(t, "a")
		source.stand(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			wrong := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, layer)
			if wrong {
				lie(w, r, next)
			}
			return wrong
		})
		s := at(t, source.URL)
		r := run(t, transfer.Options{From: s, Listed: transfer.FromRegistry(s), To: target})
		if len(r.Failed) != 1 || r.Failed[0].Repository != "a" || r.Failed[0].Reference != "v1" || !strings.Contains(r.Failed[0].Error, layer) {
			t.Errorf("%s: %+v", name, r.Failed)
		}
		if d, err := target.Head(t.Context(), "a", "v2"); err != nil || d.Digest != fine.digest() {
			t.Errorf("%s: the other image is %s, %v", name, d.Digest, err)
		}
		if _, err := target.Head(t.Context(), "a", "v1"); !errors.Is(err, peer.ErrNotFound) {
			t.Errorf("%s: it has its tag: %v", name, err)
		}
		if has, err := target.HasBlob(t.Context(), "a", sha256Of(bad.blobs[1])); has || err != nil {
			t.Errorf("%s: it was kept: %v", name, err)
		}
	}
}

// A source that wants to be asked later is.
func TestPatience(t *testing.T) {
	source, target := newUpstream(t), at(t, peertest.Distribution(t))
	m := image(nil, "layer")
	put(t, at(t, source.URL), "a", "v1", m)
	calls := 0
	var mu sync.Mutex
	source.stand(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls%2 == 0 {
			return false
		}
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	s := at(t, source.URL)
	good(t, run(t, transfer.Options{From: s, Listed: transfer.FromRegistry(s), To: target, Jobs: 1}))
	has(t, "the target", target, placed{"a", "v1", m})
}

// A target that refuses is named, with what was refused.
func TestRefusingTarget(t *testing.T) {
	w := newWorld()
	source, target := at(t, peertest.Distribution(t)), newUpstream(t)
	w.fill(t, source)
	target.stand(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		refused := r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/v1")
		if refused {
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"errors":[{"code":"TAG_INVALID","message":"it is immutable"}]}`)
		}
		return refused
	})
	r := run(t, transfer.Options{From: source, Listed: transfer.FromRegistry(source), To: at(t, target.URL)})
	if len(r.Failed) != 1 || r.Failed[0].Reference != "v1" || !strings.Contains(r.Failed[0].Error, "it is immutable") || !strings.HasPrefix(r.Failed[0].Error, "the target: ") {
		t.Errorf("%+v", r.Failed)
	}
}
