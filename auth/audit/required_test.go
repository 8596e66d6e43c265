package audit_test

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/storage"
)

func required(o *audit.Options) { o.Required = true }

// refused says why a call would be refused. It is none that is recorded then.
func (l *ledger) refused() (err error) {
	l.call("PUT", func(c *audit.Call, w http.ResponseWriter, _ *http.Request) {
		c.Event = "PutImage"
		err = c.Refused()
		w.WriteHeader(http.StatusCreated)
	})
	return err
}

func TestRequiredTrailRefusesCallsWithoutRoom(t *testing.T) {
	l := open(t, required)
	l.must(l.Ready())
	l.disk.RefuseRoom = syscall.ENOSPC
	taken := 0
	for ; l.Ready() == nil && taken < 100_000; taken++ {
		l.pull()
	}
	err := l.refused()
	if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, storage.ErrFull) || taken < 1000 {
		t.Errorf("after %d records: %v", taken, err)
	}
	l.disk.RefuseRoom = nil
	l.must(l.refused())
	details := l.last()["serviceEventDetails"]
	if diff := cmp.Diff(map[string]any{"recordsLost": 0.0, "callsRefused": 1.0}, details); diff != "" {
		t.Errorf("what was refused (-want +got):\n%s", diff)
	}
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}

func TestCallsUnderWayHaveTheirRoom(t *testing.T) {
	l := open(t, required)
	l.must(l.Ready())
	l.disk.RefuseRoom = syscall.EDQUOT
	var ends []func()
	for {
		c, w, _ := l.Begin(newRecorder(), newRequest(t), audit.OCI)
		if c.Refused() != nil {
			c.End()
			break
		}
		c.Event, c.Principal, c.Parameters = "PutImage", root, long()
		ends = append(ends, func() { w.WriteHeader(http.StatusCreated); c.Answered(); c.End() })
	}
	// A disk that gives no room any more takes what was given.
	for _, end := range ends {
		end()
	}
	l.Step()
	l.disk.RefuseRoom = nil
	if got := len(l.records()); got < len(ends) || len(ends) < 100 {
		t.Errorf("%d records of %d calls", got, len(ends))
	}
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}

func TestRequiredTrailThatFailsToWriteRecovers(t *testing.T) {
	l := open(t, required)
	l.disk.Refuse, l.disk.Torn = syscall.EIO, 100
	l.pull()
	l.Step()
	err := l.refused()
	if !errors.Is(err, audit.ErrUnavailable) || errors.Is(err, storage.ErrFull) {
		t.Errorf("while writing fails: %v", err)
	}
	l.disk.Refuse = nil
	l.must(l.refused())
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}

func TestRequiredTrailRotatesIntoRoomAlone(t *testing.T) {
	l := open(t, required, func(o *audit.Options) { o.MaxSize = 2000 })
	l.must(l.Ready())
	l.disk.RefuseRoom = syscall.ENOSPC
	for range 10 {
		l.pull()
		l.Step()
	}
	if got := l.files(); len(got) != 2 {
		t.Errorf("rotated without room: %v", got)
	}
	l.disk.RefuseRoom = nil
	l.now = l.now.Add(time.Minute)
	l.Step()
	if got := l.files(); len(got) != 3 {
		t.Errorf("not rotated with room: %v", got)
	}
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}

func TestOpenOnAFullDiskRefusesUntilThereIsRoom(t *testing.T) {
	l := open(t)
	l.must(l.Close())
	l.options.Required = true
	l.disk.Refuse = syscall.ENOSPC
	l.reopen()
	if err := l.Ready(); !errors.Is(err, storage.ErrFull) {
		t.Errorf("Ready: %v", err)
	}
	l.disk.Refuse = nil
	l.must(l.Ready())
	l.must(l.Close())
	if got := l.verify(); got != nil {
		t.Errorf("breaks: %v", got)
	}
}
