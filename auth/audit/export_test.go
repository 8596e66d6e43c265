package audit

import "os"

// Disk is a disk that tests fill.
type Disk struct {
	// Refuse, if it is not nil, is what allocating and writing end with; of what is
	// written the first Torn bytes come through.
	Refuse error
	// RefuseRoom refuses allocation alone.
	RefuseRoom error
	Torn       int
}

func (d *Disk) allocate(f *os.File, off, n int64) error {
	if d.Refuse != nil {
		return d.Refuse
	}
	if d.RefuseRoom != nil {
		return d.RefuseRoom
	}
	return machine{}.allocate(f, off, n)
}

func (d *Disk) writeAt(f *os.File, p []byte, off int64) (int, error) {
	if d.Refuse == nil {
		return f.WriteAt(p, off)
	}
	n, err := f.WriteAt(p[:min(d.Torn, len(p))], off)
	d.Torn = 0
	if err != nil {
		return n, err
	}
	return n, d.Refuse
}

// OpenOn is Open on a disk of the test's. Its worker is stopped: Step does what it
// does once a second.
func OpenOn(o Options, d *Disk) (*Trail, error) {
	t, err := open(o, d)
	if err == nil {
		close(t.stop)
		t.done.Wait()
		t.stop = make(chan struct{})
	}
	return t, err
}

// Step does what the worker does once a second.
func (t *Trail) Step() { t.step() }

// Abandon leaves the files as a killed process does.
func (t *Trail) Abandon() {
	t.file.close()
	t.head.close()
}

// The bounds that tests go to.
const (
	LongestLine = longestLine
	MostPending = mostPending
)
