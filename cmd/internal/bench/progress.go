package bench

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress is how far a run is.
type Progress struct {
	Scenario   string
	Index, Of  int // of the scenario, from 0, and how many there are
	Measuring  bool
	Done       float64 // share of the scenario, from 0 to 1
	Operations int64
	Errors     int64
	Rate       float64 // operations a second so far
}

// tell says how it goes.
func (s *session) tell(p Progress) {
	if s.options.Watch != nil {
		s.options.Watch(p)
	}
}

// often is how often it is said.
const often = 200 * time.Millisecond

// watch says how a scenario goes until stop is called.
func (s *session) watch(r *run, p Progress) (stop func()) {
	if s.options.Watch == nil {
		return func() {}
	}
	p.Measuring = true
	began := time.Now()
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.tell(r.progress(p, time.Since(began)))
			}
		}
	})
	return func() { close(done); watching.Wait() }
}

// progress is how far a run is after some time.
func (r *run) progress(p Progress, after time.Duration) Progress {
	p.Operations, p.Errors = r.done.Load(), r.failed.Load()
	p.Rate = float64(p.Operations) / after.Seconds()
	if r.count > 0 {
		p.Done = float64(p.Operations+p.Errors) / float64(r.count)
	} else {
		p.Done = after.Seconds() / r.duration.Seconds()
	}
	p.Done = min(p.Done, 1)
	return p
}

// Bar draws progress on one line of a terminal. It is for one goroutine.
type Bar struct {
	w    io.Writer
	last int // length of what is drawn
}

// NewBar returns a bar that is drawn on w.
func NewBar(w io.Writer) *Bar { return &Bar{w: w} }

// barLength is that of the bar itself.
const barLength = 24

// Draw draws how far a run is, in the place of what was drawn before.
func (b *Bar) Draw(p Progress) {
	full := int(p.Done * barLength)
	line := fmt.Sprintf("%2d/%d %-15s [%s%s]", min(p.Index+1, p.Of), p.Of, p.Scenario, strings.Repeat("=", full), strings.Repeat(" ", barLength-full))
	if p.Measuring {
		line += fmt.Sprintf(" %.0f/s", p.Rate)
	}
	if p.Errors > 0 {
		line += fmt.Sprintf(" %d errors", p.Errors)
	}
	b.put(line)
}

// Clear takes away what is drawn.
func (b *Bar) Clear() { b.put("") }

func (b *Bar) put(line string) {
	_, _ = fmt.Fprintf(b.w, "\r%s%s\r%[1]s", line, strings.Repeat(" ", max(b.last-len(line), 0))) // a bar that is not seen changes nothing
	b.last = len(line)
}
