package replicate

import (
	"fmt"
	"time"
)

// Window is a time of each day, in UTC, at which images may be brought somewhere: from a
// minute on until another one, which may be on the next day.
type Window struct{ from, until time.Duration }

const day = 24 * time.Hour

// ParseWindow reads a window such as "22:00-06:00".
func ParseWindow(text string) (Window, error) {
	var h1, m1, h2, m2 int
	n, err := fmt.Sscanf(text, "%02d:%02d-%02d:%02d", &h1, &m1, &h2, &m2)
	canonical := fmt.Sprintf("%02d:%02d-%02d:%02d", h1, m1, h2, m2)
	w := Window{clock(h1, m1), clock(h2, m2)}
	if n != 4 || err != nil || text != canonical || min(h1, m1, h2, m2) < 0 || max(m1, m2) > 59 || w.from >= day || w.until > day || w.from == w.until {
		return Window{}, fmt.Errorf("%.40q is no window of a day, such as 22:00-06:00", text)
	}
	return w, nil
}

func clock(h, m int) time.Duration { return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute }

// opens is how long after a time the window is open: 0 if it is.
func (w Window) opens(now time.Time) time.Duration {
	now = now.UTC()
	at := now.Sub(now.Truncate(day)) // days of UTC are as long as each other in Go's time
	inside := w.from <= at && at < w.until
	if w.from > w.until {
		inside = at >= w.from || at < w.until
	}
	switch {
	case inside:
		return 0
	case at < w.from:
		return w.from - at
	}
	return day - at + w.from
}

// opening is when the first of some windows is open, now if there are none.
func opening(list []Window, now time.Time) time.Time {
	if len(list) == 0 {
		return now
	}
	first := day
	for _, w := range list {
		first = min(first, w.opens(now))
	}
	return now.Add(first)
}
