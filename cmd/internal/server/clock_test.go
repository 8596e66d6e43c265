package server_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/server"
	"github.com/seed-78150930/berth/registry/events"
)

// machine has a clock that can be set, and time that passes.
type machine struct {
	mu     sync.Mutex
	wall   time.Time
	passed time.Duration
}

func newMachine() *machine { return &machine{wall: time.Now(), passed: time.Hour} }

// watch has a server under the machine's clock.
func (m *machine) watch() server.Watch {
	return server.Watch{
		Wall:    func() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.wall },
		Elapsed: func() time.Duration { m.mu.Lock(); defer m.mu.Unlock(); return m.passed },
	}
}

// pass lets time go by.
func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.passed = m.wall.Add(d), m.passed+d
}

// jump sets the clock ahead, or back.
func (m *machine) jump(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall = m.wall.Add(d)
}

const day = 24 * time.Hour

// What opened a door and has ended opens none any more when the clock is set back by a
// day, also after a new start. New passwords are given, and are good.
func TestClockSetBackRevivesNothing(t *testing.T) {
	m := newMachine()
	settings := map[string]string{"data": filepath.Join(t.TempDir(), "data"), "login.bearer": "true"}
	d := openWatched(t, settings, m.watch())
	d.createRepository("team/app")
	p := &player{doorway: d, door: ociDoor{d}, repo: "team/app"}
	p.put("1", v1.MediaTypeImageManifest, p.image("some layer"), accepted)
	old, bearer := d.password, d.bearing(d.password, "repository:team/app:pull")
	link := (&shelf{doorway: d}).link(sha256Of([]byte("some layer")))
	want := func(when string, password, others int) {
		t.Helper()
		for what, c := range map[string]struct {
			r    *http.Request
			want int
		}{
			"the password": {d.as("AWS", old, http.MethodGet, "/v2/", nil), password},
			"its bearer":   {bearer(d.request(http.MethodGet, "/v2/team/app/tags/list", nil)), password},
			"the link":     {d.request(http.MethodGet, link, nil), others},
		} {
			c.r.URL.Host = strings.TrimPrefix(d.house.url, "http://")
			if a := d.do(c.r); a.status != c.want {
				t.Errorf("%s: %s opens with %d, want %d", when, what, a.status, c.want)
			}
		}
	}
	want("at first", http.StatusOK, http.StatusOK)
	m.pass(13 * time.Hour)
	want("13 hours later", http.StatusUnauthorized, http.StatusForbidden)
	m.jump(-day)
	want("a day back", http.StatusUnauthorized, http.StatusForbidden)
	if status := d.do(d.as("AWS", d.logIn(), http.MethodGet, "/v2/", nil)).status; status != http.StatusOK {
		t.Errorf("a new password: %d", status)
	}
	d.must(d.house.stop())
	d = openWatched(t, settings, m.watch())
	want("a day back, after a new start", http.StatusUnauthorized, http.StatusForbidden)
	if status := d.do(d.as("AWS", d.password, http.MethodGet, "/v2/", nil)).status; status != http.StatusOK {
		t.Errorf("a new password after a new start: %d", status)
	}
	m.jump(2 * day)
	want("a day ahead", http.StatusUnauthorized, http.StatusForbidden)
}

// pastime is a server of images that a lifecycle policy keeps two of, under a clock.
type pastime struct {
	*shelf
	*machine
}

// run has everything done that is due, twice.
func (p pastime) run() {
	p.Helper()
	for range 2 {
		p.must(p.house.RunJobs(p.Context()))
	}
}

// want holds the runs of the policy so far, the images that are there and those in the
// trash against what they are to be.
func (p pastime) want(when string, runs, images, trashed int) {
	p.Helper()
	p.run()
	var out struct{ ImageIDs []members }
	p.mustCall("ListImages", members{"repositoryName": "team/app"}, &out)
	page, err := admin.ListTrash.Ask(p.Context(), p.house, admin.TrashQuestion{})
	p.must(err)
	if n := len(p.told(events.LifecycleRun)); n != runs || len(out.ImageIDs) != images || len(page.Trashed) != trashed {
		p.Errorf("%s: %d runs, %d images, %d in the trash; want %d, %d, %d", when, n, len(out.ImageIDs), len(page.Trashed), runs, images, trashed)
	}
}

func (p pastime) push(n int) {
	p.Helper()
	body := []byte(image(n))
	if r := (ecrDoor{p.doorway}).put("team/app", manifestPush{tag: tagOf(n), mediaType: v1.MediaTypeImageIndex, body: body}); r.text != "" {
		p.Fatal(r.text)
	}
}

// A clock that jumps by a day, back or ahead, has no lifecycle policy run that has run,
// and nothing leave the trash before its time. What waits for a steady clock is done then.
func TestClockThatJumps(t *testing.T) {
	p := pastime{&shelf{}, newMachine()}
	p.doorway = openWatched(t, map[string]string{"lifecycle-interval": "1h", "trash-window": "24h"}, p.watch())
	p.createRepository("team/app")
	for n := range 3 {
		p.push(n)
	}
	policy := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]}`
	p.mustCall("PutLifecyclePolicy", members{"repositoryName": "team/app", "lifecyclePolicyText": policy}, nil)
	p.pass(61 * time.Minute)
	await(t, "the policy does not run", func() bool { p.run(); return len(p.told(events.LifecycleRun)) == 1 })
	p.want("an hour later", 1, 2, 1)

	p.push(3)
	p.jump(-day)
	p.want("set back", 1, 3, 1)
	p.pass(30 * time.Minute)
	p.want("half an hour after that", 1, 3, 1)
	p.jump(day)
	p.want("put right", 1, 3, 1)
	p.pass(59 * time.Minute)
	p.want("nearly an hour after that", 1, 3, 1)
	p.pass(2 * time.Minute)
	await(t, "the policy does not run again", func() bool { p.run(); return len(p.told(events.LifecycleRun)) == 2 })
	p.want("an hour after that", 2, 2, 2)

	p.push(4)
	p.jump(day)
	p.want("set ahead", 2, 3, 2)
	p.pass(30 * time.Minute)
	p.jump(-day)
	p.want("put right again", 2, 3, 2)
	for range 20 { // the first was deleted 2 hours and a half ago
		p.pass(time.Hour)
		p.run()
	}
	page, err := admin.ListTrash.Ask(t.Context(), p.house, admin.TrashQuestion{})
	p.must(err)
	if len(page.Trashed) < 2 {
		t.Errorf("%d in the trash 23 hours after the first came into it", len(page.Trashed))
	}
	for range 32 { // until the clock has caught up with what it had shown, and an hour longer
		p.pass(time.Hour)
		p.run()
	}
	await(t, "the trash is never emptied", func() bool {
		p.run()
		page, err := admin.ListTrash.Ask(t.Context(), p.house, admin.TrashQuestion{})
		p.must(err)
		return len(page.Trashed) == 1 // that which the policy deleted when it was believed again
	})
}
