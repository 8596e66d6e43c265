package clock_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/clock"
	"github.com/seed-78150930/berth/storage/memory"
)

// machine has a clock that can be set, and time that passes.
type machine struct {
	t      *testing.T
	index  storage.Index
	wall   time.Time
	passed time.Duration
	log    bytes.Buffer
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, index: memory.NewIndex(), wall: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), passed: time.Hour}
}

func (m *machine) open() *clock.Clock {
	m.t.Helper()
	c, err := clock.Open(m.t.Context(), clock.Options{
		Index: m.index, Wall: func() time.Time { return m.wall }, Elapsed: func() time.Duration { return m.passed },
		Log: slog.New(slog.NewTextHandler(&m.log, nil)),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

// pass lets time go by, while which the clock is looked at as Run does.
func (m *machine) pass(c *clock.Clock, d time.Duration) {
	for ; d > 0; d -= 10 * time.Second {
		m.wall, m.passed = m.wall.Add(10*time.Second), m.passed+10*time.Second
		_ = c.Held()
	}
}

func (m *machine) keep(c *clock.Clock) {
	m.t.Helper()
	if err := c.Keep(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) wantHeld(c *clock.Clock, when string, want bool) {
	m.t.Helper()
	if err := c.Held(); errors.Is(err, clock.ErrHeld) != want {
		m.t.Errorf("%s: held %v, want %v", when, err, want)
	}
}

const day = 24 * time.Hour

// A steady clock is told as it is.
func TestSteady(t *testing.T) {
	m := newMachine(t)
	c := m.open()
	m.pass(c, time.Hour)
	if got := c.Now(); !got.Equal(m.wall) {
		t.Errorf("Now %v, want %v", got, m.wall)
	}
	m.wantHeld(c, "at rest", false)
	if m.log.Len() > 0 {
		t.Error(m.log.String())
	}
}

// What has ended stays ended when the clock is set back, also over a restart, and the
// time goes on until the clock has caught up.
func TestBackwards(t *testing.T) {
	for _, restart := range []bool{false, true} {
		m := newMachine(t)
		c := m.open()
		m.pass(c, time.Hour)
		before := c.Now()
		m.keep(c)
		m.wall = m.wall.Add(-day)
		if restart {
			c = m.open()
		}
		for range 3 {
			got := c.Now()
			if got.Before(before) {
				t.Fatalf("restart %v: Now %v, after %v", restart, got, before)
			}
			before = got
			m.pass(c, 10*time.Second)
		}
		m.wantHeld(c, "behind", true)
		m.pass(c, 2*day)
		if got := c.Now(); !got.Equal(m.wall) {
			t.Errorf("restart %v: two days later Now is %v, the clock %v", restart, got, m.wall)
		}
		m.pass(c, time.Hour)
		m.wantHeld(c, "caught up", false)
	}
}

// A clock that leaps ahead has nothing removed until it was steady for an hour, and one
// that is put right after a wrong start is believed.
func TestForwards(t *testing.T) {
	m := newMachine(t)
	c := m.open()
	m.wall = m.wall.Add(day)
	m.wantHeld(c, "after the leap", true)
	if err := c.Held(); !strings.Contains(err.Error(), "24h0m0s") {
		t.Errorf("it does not say by how much: %v", err)
	}
	m.pass(c, 59*time.Minute)
	m.wantHeld(c, "nearly an hour later", true)
	m.pass(c, 2*time.Minute)
	m.wantHeld(c, "an hour later", false)
	if got := c.Now(); !got.Equal(m.wall) {
		t.Errorf("Now %v, want the clock's %v", got, m.wall)
	}
	if n := strings.Count(m.log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log, want one:\n%s", n, &m.log)
	}
}

// A clock that was wrong at the start catches up.
func TestWrongAtTheStart(t *testing.T) {
	m := newMachine(t)
	c := m.open()
	m.keep(c)
	right := m.wall
	m.wall = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	c = m.open()
	m.wantHeld(c, "in 1970", true)
	if got := c.Now(); got.Before(right) {
		t.Errorf("Now %v, before %v", got, right)
	}
	m.wall = right.Add(time.Minute)
	m.wantHeld(c, "put right", true)
	if got := c.Now(); !got.Equal(m.wall) {
		t.Errorf("Now %v, want %v", got, m.wall)
	}
	m.pass(c, 61*time.Minute)
	m.wantHeld(c, "an hour later", false)
}

// A start long after the last, or far ahead of it, cannot be told from a clock that is
// ahead; a short stop can.
func TestStarts(t *testing.T) {
	for after, want := range map[time.Duration]bool{time.Minute: false, 59 * time.Minute: false, day: true} {
		m := newMachine(t)
		m.keep(m.open())
		m.wall, m.passed = m.wall.Add(after), 0
		m.wantHeld(m.open(), "a start after "+after.String(), want)
	}
}
