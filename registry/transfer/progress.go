package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
)

// Progress is how far a run is.
type Progress struct {
	Listed bool    // all images are known
	Images int     // that are known so far
	Done   int     // of them
	Failed int     // what could not be copied
	Share  float64 // how much is done, from 0 to 1
	Bytes  int64   // that were copied
	// Rate is bytes a second of the last seconds.
	Rate float64
	// Left is how long it takes still if it goes on as before; 0 if nobody can say.
	Left time.Duration
}

// Report is what became of a run. Its JSON form is what commands print.
type Report struct {
	Repositories int       `json:"repositories"`     // with images, or made
	Images       int       `json:"images"`           // tags, and images without one, that were looked at
	Copied       int       `json:"copied"`           // of them
	There        int       `json:"there"`            // that the target had already
	Manifests    int64     `json:"manifestsPushed"`  // those of parts of images, and tags, too
	Blobs        int64     `json:"blobsPushed"`      // copied
	Mounted      int64     `json:"blobsMounted"`     // given by another repository of the target
	Present      int64     `json:"blobsPresent"`     // that the target had
	Bytes        int64     `json:"bytes"`            // that were copied, or would be
	Seconds      float64   `json:"seconds"`          //
	Notes        []string  `json:"notes,omitempty"`  // what was left out and why
	Failed       []Failure `json:"failed,omitempty"` // what was not copied
}

// Failure is what could not be copied.
type Failure struct {
	Repository string `json:"repository"`
	Reference  string `json:"reference,omitempty"` // "" for the repository as a whole
	Error      string `json:"error"`
}

// tally counts.
type tally struct {
	began                                   time.Time
	bytes, manifests, blobs, mounted, there atomic.Int64

	mu     sync.Mutex
	now    Progress
	result Report
	shares map[*share]bool
	would  map[digest.Digest]bool
	notes  map[string]bool
	failed []Failure
	repos  map[string]bool
}

func newTally() *tally {
	return &tally{began: time.Now(), shares: map[*share]bool{}, would: map[digest.Digest]bool{}, notes: map[string]bool{}, repos: map[string]bool{}}
}

// share is an image on its way.
type share struct {
	there      bool // nothing had to be copied
	done, size atomic.Int64
}

func (s *share) expect(n int64) { s.size.Add(n) }
func (s *share) came(n int64)   { s.done.Add(n) }

// part is how much of it is done.
func (s *share) part() float64 {
	size := s.size.Load()
	if size <= 0 {
		return 0
	}
	return min(1, float64(s.done.Load())/float64(size))
}

func (t *tally) add(images int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Images += images
}

func (t *tally) listed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Listed = true
}

func (t *tally) begin(repo, _ string) *share {
	s := &share{}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shares[s], t.repos[repo] = true, true
	return s
}

func (t *tally) end(s *share, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.shares, s)
	t.now.Done++
	switch {
	case err != nil:
	case s.there:
		t.result.There++
	default:
		t.result.Copied++
	}
}

// made notes a repository that may have no images.
func (t *tally) made(repo string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.repos[repo] = true
}

// fail notes what could not be copied, unless all was called off.
func (t *tally) fail(ctx context.Context, repo, ref string, err error) {
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Failed++
	t.failed = append(t.failed, Failure{repo, ref, err.Error()})
}

// maxNotes bounds what is said of what was left out.
const maxNotes = 1000

func (t *tally) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.notes) < maxNotes {
		t.notes[fmt.Sprintf(format, args...)] = true
	}
}

// wouldCopy counts a blob that a run in earnest would copy, once.
func (t *tally) wouldCopy(d digest.Digest, size int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.would[d] {
		t.would[d] = true
		t.bytes.Add(size)
		t.blobs.Add(1)
	}
}

func (t *tally) report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	r.Repositories, r.Images = len(t.repos), t.now.Images
	r.Manifests, r.Blobs, r.Mounted, r.Present = t.manifests.Load(), t.blobs.Load(), t.mounted.Load(), t.there.Load()
	r.Bytes, r.Seconds = t.bytes.Load(), time.Since(t.began).Seconds()
	for n := range t.notes {
		r.Notes = append(r.Notes, n)
	}
	slices.Sort(r.Notes)
	r.Failed = slices.Clone(t.failed)
	slices.SortFunc(r.Failed, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Reference, b.Reference))
	})
	return r
}

const often = 200 * time.Millisecond

// window is how many looks the rate is of.
const window = 25

// watch tells how far it is until stop is called, and once then.
func (t *tally) watch(tell func(Progress)) (stop func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		var before []int64
		for {
			select {
			case <-done:
				tell(t.progress(before))
				return
			case <-tick.C:
				before = append(before[max(0, len(before)-window+1):], t.bytes.Load())
				tell(t.progress(before))
			}
		}
	})
	return func() { close(done); watching.Wait() }
}

func (t *tally) progress(before []int64) Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.now
	p.Bytes = t.bytes.Load()
	under := 0.0
	for s := range t.shares {
		under += s.part()
	}
	if len(before) > 1 {
		p.Rate = float64(before[len(before)-1]-before[0]) / (float64(len(before)-1) * often.Seconds())
	}
	if p.Images > 0 {
		p.Share = min(1, (float64(p.Done)+under)/float64(p.Images))
	}
	if p.Listed && p.Share > 0 {
		p.Left = time.Duration(float64(time.Since(t.began)) * (1 - p.Share) / p.Share).Round(time.Second)
	}
	return p
}
