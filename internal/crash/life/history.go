// Package life plays histories in which a registry dies again and again: clients at
// both doors of a whole server, the power goes at a random point, the server starts
// on what the disk has left, everything that was acknowledged is asked for, and the
// clients go on. In the end all answers over all lives are held against a model.
package life

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/seed-78150930/berth/internal/crash/power"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage/failpoint"
)

// Options say how histories are played.
type Options struct {
	Seed uint64
	// Dir is a folder for the files, best in memory: all that is to survive a power
	// cut is noted beside them.
	Dir string
	// Lives is how often a store is used again after a death.
	Lives int
	// Forget is as in power.Options.
	Forget func(kind power.Sync, path string) bool
	// Recorded takes the disk that bbolt's files are on from now on.
	Recorded func(*power.Disk)
	// Tell is told which histories are played; nil means nobody is.
	Tell func(format string, args ...any)
}

// Report is what histories came to.
type Report struct {
	Cycles     int // deaths, each with a start on what they left
	Histories  int // stores over which answers were held against the model
	Calls      int // answers held against the model
	Operations int // of the disk
	Deaths     map[string]int
	Hit        map[failpoint.Point]int
	Failed     int // syncs that were made to fail
	Refused    int // stores that were asked for a write after that, and refused it
	Losses     []string
}

// Add counts another report in.
func (r *Report) Add(o Report) {
	r.Cycles += o.Cycles
	r.Histories += o.Histories
	r.Calls += o.Calls
	r.Operations += o.Operations
	r.Failed += o.Failed
	r.Refused += o.Refused
	for what, n := range o.Deaths {
		r.Deaths[what] += n
	}
	for p, n := range o.Hit {
		r.Hit[p] += n
	}
	r.Losses = append(r.Losses, o.Losses...)
}

// NewReport is one of nothing.
func NewReport() Report {
	return Report{Deaths: map[string]int{}, Hit: map[failpoint.Point]int{}}
}

// history is one store and all its lives.
type history struct {
	Options
	Report
	*ledger
	u      *universe
	random *rand.Rand
	disk   *power.Disk
	root   string
	way    way
	gone   func() bool // whether the power has gone

	faults sync.Mutex
}

// Play plays one history: a store from its making through a number of lives. It ends
// at the first loss.
func Play(o Options) (Report, error) {
	u := newUniverse(o.Seed)
	h := &history{
		Options: o, Report: NewReport(), u: u, ledger: newLedger(u),
		random: rand.New(rand.NewPCG(o.Seed, 0)),
	}
	h.Histories, h.way = 1, ways[h.random.IntN(len(ways))]
	h.loose = h.way.loose
	defer os.RemoveAll(filepath.Join(o.Dir, "lives"))
	for n := range o.Lives {
		if err := h.live(n); err != nil {
			return h.Report, err
		}
		if len(h.Losses) > 0 {
			return h.Report, nil
		}
	}
	h.hold()
	return h.Report, nil
}

// hold holds all answers against the model.
func (h *history) hold() {
	h.Calls = len(h.calls)
	for _, part := range byKey(h.calls) {
		if n := unexplained(part); n > 0 {
			h.lose("no order explains the answers about %s; the last of them:\n%s", part[0].Input.(call).key, describe(part[max(0, n-30):n]))
		}
	}
}

// unexplained is the number of first calls that no order explains, 0 if one explains
// them all. The calls are sorted.
func unexplained(part []porcupine.Operation) int {
	slices.SortFunc(part, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	m := model.ToModel()
	m.Partition = nil
	wrong := func(n int) bool {
		return porcupine.CheckOperationsTimeout(m, part[:n], 30*time.Second) == porcupine.Illegal
	}
	if !wrong(len(part)) {
		return 0
	}
	return sort.Search(len(part), wrong)
}

func describe(part []porcupine.Operation) (text string) {
	for _, op := range part {
		text += fmt.Sprintf("  %d..%d %+v -> %+v\n", op.Call, op.Return, op.Input, op.Output)
	}
	return text
}

func (h *history) lose(format string, args ...any) {
	h.faults.Lock()
	defer h.faults.Unlock()
	h.Losses = append(h.Losses, fmt.Sprintf("seed %d: ", h.Seed)+fmt.Sprintf(format, args...))
}

// death is how a life is to end.
type death struct {
	point failpoint.Point // "" means by operations of the disk
	after int             // hits of the point, or operations
	early bool            // already while the server starts
	fails power.Sync      // which syncs fail, "" for none; then the power goes later
	nth   int             // of those
}

var errInput = &os.PathError{Op: "sync", Path: "disk", Err: syscall.EIO}

// plan makes a death up.
func (h *history) plan(first bool) death {
	d := death{after: 1 + h.random.IntN(250), early: first || h.random.IntN(5) == 0}
	if h.random.IntN(2) == 0 {
		points := failpoint.All()
		d.point, d.after = points[h.random.IntN(len(points))], 1+h.random.IntN(6)
	}
	if first && d.point == "" {
		d.after += h.random.IntN(500) // the folders are made
	}
	if h.random.IntN(12) == 0 {
		d.fails, d.nth = []power.Sync{power.FileSync, power.FolderSync, power.IndexSync}[h.random.IntN(3)], 1+h.random.IntN(10)
	}
	return d
}

// fate has a death come.
type fate struct {
	death
	mu     sync.Mutex
	armed  bool
	hits   map[failpoint.Point]int
	failed int
}

// each is asked before each operation of the disk.
func (f *fate) each() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || f.point != "" {
		return false
	}
	f.after--
	return f.after == 0
}

// hit is called at each point.
func (f *fate) hit(p failpoint.Point, off func()) {
	f.mu.Lock()
	f.hits[p]++
	now := f.armed && p == f.point
	if now {
		f.after--
		now = f.after == 0
	}
	f.mu.Unlock()
	if now {
		off()
	}
}

// fail is asked at each sync.
func (f *fate) fail(kind power.Sync, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed || kind != f.fails || strings.Contains(path, "journal") { // which is not what is acknowledged by
		return nil
	}
	if f.nth--; f.nth != 0 {
		return nil
	}
	f.failed++
	return errInput
}

func (f *fate) arm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = true
}

// live is one life: what the last death left is looked at, then there are clients,
// until the power goes.
func (h *history) live(n int) error {
	f := &fate{death: h.plan(n == 0), hits: map[failpoint.Point]int{}}
	o := power.Options{Forget: h.Forget, Fail: f.fail, Each: f.each, Random: rand.New(rand.NewPCG(h.Seed, uint64(n)+2))}
	if err := h.next(n, o); err != nil {
		return err
	}
	h.gone = h.disk.Gone
	h.Recorded(h.disk)
	failpoint.Watch(func(p failpoint.Point) { f.hit(p, h.disk.Off) })
	defer failpoint.Watch(nil)
	if f.early {
		f.arm()
	}
	w, err := open(h.disk, h.root, h.way)
	switch {
	case err != nil && !h.disk.Gone() && f.failed == 0:
		h.lose("life %d: the server does not start: %v", n, err)
	case err == nil:
		h.look(w, n)
		if len(h.Losses) > 0 {
			break
		}
		f.arm()
		h.clients(w, n, f)
		h.refuses(w, f)
	}
	h.disk.Off()
	if w != nil && err == nil {
		_ = w.close() // it cannot write any more
	}
	h.endLife()
	h.count(f)
	return nil
}

// refuses looks whether a store of which a sync failed takes writes all the same.
func (h *history) refuses(w *world, f *fate) {
	f.mu.Lock()
	failed := f.failed
	f.mu.Unlock()
	if failed == 0 || h.disk.Gone() {
		return
	}
	said := w.call("CreateRepository", members{"repositoryName": "after-the-failure"}, nil)
	if said == "" && !h.disk.Gone() {
		h.lose("a sync of the %s failed, and the store takes writes", f.fails)
	}
	if !h.disk.Gone() {
		h.Refused++
	}
}

func (h *history) count(f *fate) {
	h.Cycles++
	h.Operations += h.disk.Operations()
	h.Failed += f.failed
	what := "operation of the disk"
	if f.point != "" {
		what = "point"
	}
	h.Deaths[what]++
	for p, n := range f.hits {
		h.Hit[p] += n
	}
}

// next makes the folder of the next life: an empty one, or what is left of the last.
func (h *history) next(n int, o power.Options) error {
	old := h.root
	h.root = filepath.Join(h.Dir, "lives", fmt.Sprint(n))
	if err := os.MkdirAll(h.root, 0o700); err != nil {
		return err
	}
	if h.disk == nil {
		h.disk = power.New(h.root, o)
		return nil
	}
	disk, err := h.disk.Image(h.root, o)
	h.disk = disk
	return errors.Join(err, os.RemoveAll(old))
}

// clients has some call at the same time.
func (h *history) clients(w *world, n int, f *fate) {
	var running sync.WaitGroup
	count := 1 + h.random.IntN(4)
	for i := range count {
		c := h.client(w, i)
		c.random = rand.New(rand.NewPCG(h.random.Uint64(), uint64(i)))
		c.failing = f.fails != ""
		running.Go(func() { c.run(80 / count) })
	}
	running.Wait()
}

func (h *history) client(w *world, number int) *client {
	return &client{
		world: w, ledger: h.ledger, u: h.u, number: number, gone: h.gone,
		random: h.random, fault: func(text string) { h.lose("%s", text) },
	}
}

// look asks for everything that was acknowledged, and has the store check itself.
func (h *history) look(w *world, n int) {
	c := h.client(w, 0)
	c.failing = true // faults are told apart here
	if !h.checks(w, n) || len(h.Losses) > 0 {
		return
	}
	for _, repo := range repositories {
		h.lookAt(c, repo)
	}
	for _, u := range slices.Clone(h.ups) {
		if !u.finished {
			u.at = 0
			c.where(u)
		}
	}
}

// checks has the domain hold its rows and bytes against each other. Bytes without an
// owner are what a death may leave.
func (h *history) checks(w *world, n int) bool {
	if w.service == nil { // another process has it
		return true
	}
	for fault, err := range w.service.Check(context.Background(), registry.Check{Hash: true}) {
		switch {
		case h.gone():
			return false
		case err != nil:
			h.lose("life %d: check: %v", n, err)
			return false
		case fault.Kind != registry.FaultStray:
			h.lose("life %d: %v", n, fault)
		}
	}
	return true
}

// lookAt reads a repository: its tags with all that they need, images, policy, and the
// layers that were acknowledged.
func (h *history) lookAt(c *client, repo string) {
	for tag := range int8(tagCount) {
		r := c.ask(call{key: repo, tag: tag}, readTag)
		if r.outcome == done && r.seen != none {
			h.whole(c, repo, tag, c.u.documents[r.seen])
		}
	}
	for doc := range c.u.documents {
		c.ask(call{key: repo, doc: int8(doc)}, readImage)
	}
	c.ask(call{key: repo}, readPolicy)
	for digest, want := range h.bytes {
		if h.has(repo, digest) {
			h.readable(c, repo, digest, want, "was acknowledged")
		}
	}
}

// whole looks for all that a tag needs.
func (h *history) whole(c *client, repo string, tag int8, d document) {
	for _, b := range d.blobs {
		h.readable(c, repo, sum(b), b, "belongs to "+tagName(tag))
	}
	for _, n := range d.children {
		if r := c.read(repo, c.u.documents[n].digest); r.outcome == done && r.seen != n && !c.gone() {
			h.lose("image %d of %s, which %s needs, is not there", n, repo, tagName(tag))
		}
	}
}

func (h *history) readable(c *client, repo, digest string, want []byte, why string) {
	a := c.at("GET", "/v2/"+repo+"/blobs/"+digest, "", nil)
	if (a.status != 200 || string(a.body) != string(want)) && !c.gone() {
		h.lose("layer %s of %s, which %s: %d, %d bytes of %d: %.200s", digest, repo, why, a.status, len(a.body), len(want), a.body)
	}
}
