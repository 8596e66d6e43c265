//go:build failpoints

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Enabled says whether this program can be killed at a point.
const Enabled = true

// Variable is the environment variable that has the process kill itself: at the
// n-th time that it is at a point, with "n point".
const Variable = "BERTH_FAILPOINT"

var watcher atomic.Pointer[func(Point)]

// Watch has fn called at each point in place of what [Variable] says. Nil ends it.
func Watch(fn func(Point)) {
	if fn == nil {
		watcher.Store(nil)
		return
	}
	watcher.Store(&fn)
}

// Hit says that the process is at a point.
func Hit(p Point) {
	if fn := watcher.Load(); fn != nil {
		(*fn)(p)
		return
	}
	if armed().at(p) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it comes
	}
}

// deed is what Variable asks for.
type deed struct {
	point Point
	left  atomic.Int64
}

func (d *deed) at(p Point) bool { return d.point == p && d.left.Add(-1) == 0 }

var armed = sync.OnceValue(func() *deed {
	d := &deed{}
	text := os.Getenv(Variable)
	if text == "" {
		return d
	}
	count, point, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || n < 1 || !known(Point(point)) {
		panic(fmt.Sprintf("%s=%q: want a count and a point", Variable, text))
	}
	d.point = Point(point)
	d.left.Store(n)
	return d
})

func known(p Point) bool {
	for _, q := range All() {
		if p == q {
			return true
		}
	}
	return false
}
