package jobs

import (
	"errors"
	"time"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

var rows = table.New[row]("job", 1) // name

// row is what is kept of a job.
type row struct {
	Holder    string    `json:",omitempty"`
	Until     time.Time `json:",omitzero"`
	StartedAt time.Time `json:",omitzero"`
	EndedAt   time.Time `json:",omitzero"`
	Error     string    `json:",omitempty"`
}

// heldAt says whether somebody has the job at a time.
func (r row) heldAt(now time.Time) bool { return r.Holder != "" && r.Until.After(now) }

// unfinished says whether the last run did not come to its end.
func (r row) unfinished() bool { return r.EndedAt.Before(r.StartedAt) }

// wait is how long a job is not to be begun. A begin that lies in the future is
// that of a clock that was wrong.
func (r row) wait(now time.Time, every time.Duration, woken bool) time.Duration {
	switch {
	case r.heldAt(now):
		return r.Until.Sub(now)
	case woken, r.StartedAt.IsZero(), r.unfinished(), r.StartedAt.After(now):
		return 0
	}
	return max(0, r.StartedAt.Add(every).Sub(now))
}

func read(rd storage.Reader, name string) (row, error) {
	state, err := rows.Get(rd, name)
	if errors.Is(err, storage.ErrNotFound) {
		return row{}, nil
	}
	return state, err
}
