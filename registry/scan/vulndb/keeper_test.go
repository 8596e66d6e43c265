package vulndb_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/registry/scan/scantest"
	"github.com/seed-78150930/berth/registry/scan/vulndb"
)

// house is a keeper whose settings and clock a test changes.
type house struct {
	*vulndb.Keeper
	folder   string
	settings vulndb.Settings
	now      time.Time
}

func newHouse(t testing.TB, folder string, s vulndb.Settings) *house {
	t.Helper()
	h := &house{folder: folder, settings: s, now: time.Now()}
	k, err := vulndb.NewKeeper(vulndb.KeeperOptions{
		Folder: folder, Client: http.DefaultClient, Now: func() time.Time { return h.now }, Settings: func() vulndb.Settings { return h.settings },
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Keeper = k
	return h
}

// update updates and says whether there is another database.
func (h *house) update(t testing.TB) bool {
	t.Helper()
	done, err := h.Update(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done.Changed
}

// finds says what the keeper's database has of p of npm.
func (h *house) finds(t testing.TB) string {
	t.Helper()
	f, err := h.Open()
	if err != nil {
		return err.Error()
	}
	db, err := vulndb.Open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	findings, _ := match(t, db, scan.Package{Ecosystem: "npm", Name: "p", Version: "0.1.0"})
	return short(findings)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func npm(t testing.TB, folder string, ids ...string) {
	t.Helper()
	var list []string
	for _, id := range ids {
		list = append(list, recordOf(id, "npm", "", ranged("introduced 0")))
	}
	if err := scantest.WriteZip(folder, "npm", list...); err != nil {
		t.Fatal(err)
	}
}

func TestNoDatabase(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "vulndb"), vulndb.Settings{})
	_, err := h.Open()
	var p *scan.Problem
	if !errors.Is(err, vulndb.ErrNone) || !errors.As(err, &p) || p.Kind != scan.NoDatabase || p.Text != "The server has no vulnerability database" {
		t.Errorf("%v", err)
	}
	if _, err := h.Update(t.Context()); !errors.Is(err, vulndb.ErrNoSource) {
		t.Errorf("an update: %v", err)
	}
	if err := h.Run(t.Context()); err != nil {
		t.Errorf("a run: %v", err)
	}
	if wanted, err := h.Wanted(t.Context()); wanted || err != nil {
		t.Errorf("wanted: %v, %v", wanted, err)
	}
	if st := h.Status(); st.Failed != "" || st.Database != nil || st.Unusable == "" {
		t.Errorf("%+v", st)
	}
}

func TestDirectory(t *testing.T) {
	zips := t.TempDir()
	h := newHouse(t, t.TempDir(), vulndb.Settings{Directory: zips})
	if _, err := h.Update(t.Context()); !errors.Is(err, vulndb.ErrNoZips) {
		t.Errorf("of an empty folder: %v", err)
	}
	npm(t, zips, "GHSA-1")
	before := h.Changed()
	if !h.update(t) || h.finds(t) != "GHSA-1 UNDEFINED" || !isClosed(before) {
		t.Errorf("at first: %s", h.finds(t))
	}
	before = h.Changed()
	if h.update(t) || isClosed(before) {
		t.Error("nothing changed, and there is another database")
	}
	npm(t, zips, "GHSA-1", "GHSA-2")
	if !h.update(t) || h.finds(t) != "GHSA-1 UNDEFINED; GHSA-2 UNDEFINED" || !isClosed(before) {
		t.Errorf("then: %s", h.finds(t))
	}
	// What was broken keeps what there is.
	if err := os.WriteFile(filepath.Join(zips, "npm", "all.zip"), []byte("no zip"), 0o600); err != nil {
		t.Fatal(err)
	}
	before = h.Changed()
	if _, err := h.Update(t.Context()); err == nil || isClosed(before) || h.finds(t) != "GHSA-1 UNDEFINED; GHSA-2 UNDEFINED" {
		t.Errorf("over a broken zip: %v, %s", err, h.finds(t))
	}
	if st := h.Status(); !strings.Contains(st.Failed, "npm") || st.Unusable != "" {
		t.Errorf("%+v", st)
	}
	// A restart finds what there was.
	npm(t, zips, "GHSA-1", "GHSA-2")
	h.update(t)
	again := newHouse(t, h.folder, h.settings)
	if again.finds(t) != "GHSA-1 UNDEFINED; GHSA-2 UNDEFINED" || again.update(t) {
		t.Errorf("after a restart: %s", again.finds(t))
	}
	// Another setting is another database.
	again.settings.Ecosystems = []string{"npm"}
	again.update(t)
	if st := again.Status(); len(st.Zips) != 1 || st.Failed != "" {
		t.Errorf("%+v", st)
	}
	again.settings.Ecosystems = []string{"Debian"}
	if _, err := again.Update(t.Context()); !errors.Is(err, vulndb.ErrNoZips) {
		t.Errorf("of no ecosystem that there is: %v", err)
	}
}

func TestImport(t *testing.T) {
	zips := t.TempDir()
	npm(t, zips, "GHSA-1")
	h := newHouse(t, t.TempDir(), vulndb.Settings{})
	if done, err := h.Import(t.Context(), zips); err != nil || !done.Changed || done.Info.Records != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if st := h.Status(); st.Source != "import" || st.From != zips || st.Bytes == 0 {
		t.Errorf("%+v", st)
	}
	if err := os.RemoveAll(zips); err != nil {
		t.Fatal(err)
	}
	if again := newHouse(t, h.folder, h.settings); again.finds(t) != "GHSA-1 UNDEFINED" {
		t.Error("an import ends with the process")
	}
	if _, err := h.Import(t.Context(), zips); err == nil || h.finds(t) != "GHSA-1 UNDEFINED" {
		t.Errorf("of a folder that is not there: %v", err)
	}
}

func TestMaxAge(t *testing.T) {
	zips := t.TempDir()
	if err := scantest.WriteZips(zips); err != nil {
		t.Fatal(err)
	}
	// The oldest zip counts.
	old := time.Now().Add(-50 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(filepath.Join(zips, "Debian", "all.zip"), old, old); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, t.TempDir(), vulndb.Settings{Directory: zips, MaxAge: 51 * time.Hour})
	h.update(t)
	if err := h.Usable(); err != nil {
		t.Error(err)
	}
	if info, _ := h.Info(); !info.AsOf.Equal(old) {
		t.Errorf("as of %s, want %s", info.AsOf, old)
	}
	h.now = h.now.Add(2 * time.Hour)
	_, err := h.Open()
	var p *scan.Problem
	if !errors.Is(err, vulndb.ErrTooOld) || errors.Is(err, vulndb.ErrNone) || !errors.As(err, &p) || p.Kind != scan.NoDatabase || !strings.Contains(p.Text, "too old") {
		t.Errorf("%v", err)
	}
	h.settings.MaxAge = 0
	if err := h.Usable(); err != nil {
		t.Errorf("without a bound: %v", err)
	}
}

// What an earlier process left unfinished goes, and a database that is damaged goes
// with the first run.
func TestStart(t *testing.T) {
	zips, folder := t.TempDir(), t.TempDir()
	npm(t, zips, "GHSA-1")
	h := newHouse(t, folder, vulndb.Settings{})
	if _, err := h.Import(t.Context(), zips); err != nil {
		t.Fatal(err)
	}
	left := []string{".unfinished-1", "zips/.unfinished-2"}
	for _, name := range left {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(folder, "vulnerabilities.db")
	b := contentOf(t, path)
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	h = newHouse(t, folder, vulndb.Settings{})
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s is there", name)
		}
	}
	before := h.Changed()
	if wanted, err := h.Wanted(t.Context()); !wanted || err != nil {
		t.Errorf("wanted: %v, %v", wanted, err)
	}
	if err := h.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if err := h.Usable(); !errors.Is(err, vulndb.ErrNone) || !isClosed(before) {
		t.Errorf("a damaged database: %v", err)
	}
	// One that is cut is none from the start, and another takes its place.
	if err := os.WriteFile(path, b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	h = newHouse(t, folder, vulndb.Settings{Directory: zips})
	if err := h.Usable(); !errors.Is(err, vulndb.ErrIncomplete) || !errors.Is(err, vulndb.ErrNone) {
		t.Errorf("half a database: %v", err)
	}
	if !h.update(t) || h.finds(t) != "GHSA-1 UNDEFINED" {
		t.Errorf("then: %s", h.finds(t))
	}
}

// bucket is an address that has zips.
type bucket struct {
	*httptest.Server
	mu     sync.Mutex
	zips   map[string][]byte // by path
	tags   map[string]string // ETags by path
	answer func(w http.ResponseWriter, r *http.Request) bool
	log    []string
}

func newBucket(t testing.TB) *bucket {
	b := &bucket{zips: map[string][]byte{}, tags: map[string]string{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := r.URL.Path
	for _, name := range []string{"If-None-Match", "If-Modified-Since"} {
		if v := r.Header.Get(name); v != "" {
			line += " " + name
		}
	}
	b.log = append(b.log, line)
	if b.answer != nil && b.answer(w, r) {
		return
	}
	body, ok := b.zips[r.URL.Path]
	tag := b.tags[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case tag != "" && r.Header.Get("If-None-Match") == tag:
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", tag)
		_, _ = w.Write(body)
	}
}

func (b *bucket) put(t testing.TB, path, tag string, records ...string) {
	t.Helper()
	data, err := scantest.Zip(records...)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.zips[path], b.tags[path] = data, tag
}

func (b *bucket) asked() (log []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	log, b.log = b.log, nil
	return log
}

func TestFetch(t *testing.T) {
	b := newBucket(t)
	b.put(t, "/osv/npm/all.zip", `"1"`, recordOf("GHSA-1", "npm", "", ranged("introduced 0")))
	b.put(t, "/osv/Rocky Linux/all.zip", `"r"`, recordOf("RLSA-1", "Rocky Linux:9", "", ranged("introduced 0")))
	h := newHouse(t, t.TempDir(), vulndb.Settings{URL: b.URL + "/osv", Ecosystems: []string{"npm", "Rocky Linux"}, MaxAge: 10 * time.Hour, Interval: 2 * time.Hour})
	if !h.update(t) || h.finds(t) != "GHSA-1 UNDEFINED" {
		t.Errorf("at first: %s", h.finds(t))
	}
	if diff := cmp.Diff([]string{"/osv/npm/all.zip", "/osv/Rocky Linux/all.zip"}, b.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	// What has not changed is not sent again, and is as new as the answer.
	h.now = h.now.Add(9 * time.Hour)
	before := h.Changed()
	if h.update(t) || isClosed(before) {
		t.Error("nothing changed, and there is another database")
	}
	if diff := cmp.Diff([]string{"/osv/npm/all.zip If-None-Match", "/osv/Rocky Linux/all.zip If-None-Match"}, b.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if info, _ := h.Info(); !info.AsOf.Equal(h.now) {
		t.Errorf("as of %s, want %s", info.AsOf, h.now)
	}
	h.now = h.now.Add(9 * time.Hour)
	if err := h.Usable(); err != nil {
		t.Error(err)
	}
	// The next one is taken, also after a restart.
	b.put(t, "/osv/npm/all.zip", `"2"`, recordOf("GHSA-2", "npm", "", ranged("introduced 0")))
	again := newHouse(t, h.folder, h.settings)
	again.now = h.now
	if !again.update(t) || again.finds(t) != "GHSA-2 UNDEFINED" {
		t.Errorf("then: %s", again.finds(t))
	}
	b.asked()
	// Who looks by itself does not look twice in a short time, but when settings change.
	if err := again.Run(t.Context()); err != nil || len(b.asked()) != 0 {
		t.Errorf("a run at once: %v", err)
	}
	again.now = again.now.Add(90 * time.Minute)
	if err := again.Run(t.Context()); err != nil || len(b.asked()) != 2 {
		t.Errorf("a run later: %v", err)
	}
	again.settings.Ecosystems = []string{"npm"}
	if err := again.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"/osv/npm/all.zip If-None-Match"}, b.asked()); diff != "" {
		t.Errorf("asked for one (-want +got):\n%s", diff)
	}
	if info, _ := again.Info(); len(info.Ecosystems) != 1 {
		t.Errorf("%+v", info)
	}
}

// Whatever an address answers, the database stays what it was.
func TestBadAnswers(t *testing.T) {
	zip, err := scantest.Zip(recordOf("GHSA-2", "npm", "", ranged("introduced 0")))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"nothing there": func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true },
		"an error": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = fmt.Fprint(w, "<html>log in</html>")
			return true
		},
		"nothing at all": func(http.ResponseWriter, *http.Request) bool { return true },
		"half a zip": func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(zip[:len(zip)/2])
			return true
		},
		"a broken answer": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(zip)))
			_, _ = w.Write(zip[:len(zip)/2])
			return true
		},
		"more than there may be": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", fmt.Sprint(int64(5)<<30))
			w.WriteHeader(http.StatusOK)
			return true
		},
	}
	for name, answer := range tests {
		b := newBucket(t)
		b.put(t, "/npm/all.zip", `"1"`, recordOf("GHSA-1", "npm", "", ranged("introduced 0")))
		h := newHouse(t, t.TempDir(), vulndb.Settings{URL: b.URL, Ecosystems: []string{"npm"}, Interval: time.Hour})
		h.update(t)
		asOf, _ := h.Info()
		h.now = h.now.Add(time.Hour)
		b.mu.Lock()
		b.answer = answer
		b.mu.Unlock()
		if _, err := h.Update(t.Context()); err == nil || !strings.Contains(err.Error(), "npm") {
			t.Errorf("%s: %v", name, err)
		}
		if info, _ := h.Info(); h.finds(t) != "GHSA-1 UNDEFINED" || !info.AsOf.Equal(asOf.AsOf) || h.Status().Failed == "" {
			t.Errorf("%s: %s, as of %s", name, h.finds(t), info.AsOf)
		}
		if every := h.Every(); every != 10*time.Minute {
			t.Errorf("%s: tried again after %s", name, every)
		}
		left, err := filepath.Glob(filepath.Join(h.folder, "zips", ".*"))
		if err != nil || len(left) > 0 {
			t.Errorf("%s: left %q, %v", name, left, err)
		}
		b.mu.Lock()
		b.answer = nil
		b.mu.Unlock()
		if h.update(t) || h.Every() != time.Hour {
			t.Errorf("%s: the next time", name)
		}
	}
}

// One ecosystem that cannot be had does not keep the others.
func TestOneOfTwoFails(t *testing.T) {
	b := newBucket(t)
	b.put(t, "/npm/all.zip", "", recordOf("GHSA-1", "npm", "", ranged("introduced 0")))
	h := newHouse(t, t.TempDir(), vulndb.Settings{URL: b.URL, Ecosystems: []string{"Debian", "npm"}})
	done, err := h.Update(t.Context())
	if err == nil || !strings.Contains(err.Error(), "Debian") || !done.Changed || h.finds(t) != "GHSA-1 UNDEFINED" {
		t.Errorf("%+v, %v: %s", done, err, h.finds(t))
	}
	b.asked()
	// Without an ETag it is asked by the time.
	_, _ = h.Update(t.Context())
	if diff := cmp.Diff([]string{"/Debian/all.zip", "/npm/all.zip If-Modified-Since"}, b.asked()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// Updates wait for each other, and give up with their context.
func TestUpdatesTakeTurns(t *testing.T) {
	b := newBucket(t)
	b.put(t, "/npm/all.zip", `"1"`, recordOf("GHSA-1", "npm", "", ranged("introduced 0")))
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.answer = func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() { close(asked); <-answer })
		return false
	}
	h := newHouse(t, t.TempDir(), vulndb.Settings{URL: b.URL, Ecosystems: []string{"npm"}})
	first := make(chan error, 1)
	go func() {
		_, err := h.Update(context.Background())
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := h.Update(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("beside another: %v", err)
	}
	if !h.Status().Busy {
		t.Error("nobody is busy")
	}
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if st := h.Status(); st.Busy || st.Failed != "" {
		t.Errorf("%+v", st)
	}
}
