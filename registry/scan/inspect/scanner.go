package inspect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// Options are what a Scanner is made of.
type Options struct {
	// Executable is the program that is started, by default the one that runs, and
	// Arguments what it is given, by default "scan-child". It must call Child.
	Executable string
	Arguments  []string
	// Database opens the vulnerability database for one scan, which closes it. Its error
	// is that of the scan; one that wraps a *scan.Problem is of kind scan.NoDatabase.
	Database func() (*os.File, error)
	// Spool is the folder of the files that a scan keeps, which never have a name there
	// for longer than it takes to make them; "" is the system's own.
	Spool string
	// Limits and Timeout have defaults.
	Limits  Limits
	Timeout time.Duration
	// Log takes what children said before they died; nil means nobody.
	Log *slog.Logger
}

// Scanner is a scan.Scanner that looks at each image in a process of its own.
type Scanner struct{ o Options }

var _ scan.Scanner = (*Scanner)(nil)

// New makes a Scanner. Nothing is started before it is asked for a scan.
func New(o Options) (*Scanner, error) {
	if o.Database == nil {
		return nil, errors.New("inspect: no database is given")
	}
	if o.Executable == "" {
		path, err := self()
		if err != nil {
			return nil, fmt.Errorf("inspect: find this program: %w", err)
		}
		o.Executable = path
	}
	if o.Arguments == nil {
		o.Arguments = []string{"scan-child"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Limits, o.Timeout = o.Limits.orDefaults(), cmp.Or(o.Timeout, defaultTimeout)
	return &Scanner{o}, nil
}

// Scan looks at one image. See scan.Scanner.
func (s *Scanner) Scan(ctx context.Context, img scan.Image) (scan.Report, error) {
	t := task{SystemOnly: img.SystemOnly, Known: img.Known, Limits: s.o.Limits}
	if t.Known == nil {
		t.Layers = slices.Clone(img.Layers)
		slices.Reverse(t.Layers)
	}
	for _, l := range t.Layers {
		if l.Foreign {
			return scan.Report{}, scan.NewProblem(scan.NotHere, "Layer %s is not in this registry: it would have to be fetched elsewhere", l.Digest)
		}
	}
	if err := t.check(); err != nil {
		return scan.Report{}, err
	}
	database, err := s.o.Database()
	if err != nil {
		return scan.Report{}, fmt.Errorf("open the vulnerability database: %w", err)
	}
	defer func() { _ = database.Close() }() // it was read alone
	spool, err := s.unlinked()
	if err != nil {
		return scan.Report{}, err
	}
	defer func() { _ = spool.Close() }() // what it holds is of no use
	inner, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	r := &run{task: t, open: img.Open, log: s.o.Log, stop: cancel}
	r.cmd = exec.CommandContext(inner, s.o.Executable, s.o.Arguments...)
	r.cmd.Args[0] = "berth" // by which the program knows that it is no helper of docker's
	r.cmd.Env, r.cmd.Dir, r.cmd.ExtraFiles = []string{}, "/", []*os.File{spool, database}
	r.cmd.WaitDelay = 5 * time.Second
	detach(r.cmd)
	report, err := r.do(inner)
	if ctx.Err() != nil {
		return scan.Report{}, ctx.Err()
	}
	if errors.Is(inner.Err(), context.DeadlineExceeded) && err != nil {
		return scan.Report{}, over("The scan takes too long", keyTimeout, s.o.Timeout)
	}
	return report, err
}

// unlinked makes the spool file, which has no name when this returns.
func (s *Scanner) unlinked() (*os.File, error) {
	f, err := os.CreateTemp(s.o.Spool, "scan-")
	if err != nil {
		return nil, fmt.Errorf("make the spool file of a scan: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil && runtime.GOOS != "windows" { // where what is open cannot be removed
		return nil, errors.Join(fmt.Errorf("make the spool file of a scan: %w", err), f.Close())
	}
	return f, nil
}

// run is one child.
type run struct {
	task task
	open func(context.Context, scan.Layer) (io.ReadCloser, error)
	cmd  *exec.Cmd
	log  *slog.Logger
	stop func() // ends the child
}

// do starts the child, feeds it and takes its answer. When it returns the child has ended.
func (r *run) do(ctx context.Context) (scan.Report, error) {
	in, err := r.cmd.StdinPipe()
	if err != nil {
		return scan.Report{}, fmt.Errorf("start the scanner: %w", err)
	}
	out := &capped{most: r.task.Limits.Answer, stop: r.stop}
	said := &head{most: 4 << 10}
	r.cmd.Stdout, r.cmd.Stderr = out, said
	ended := make(chan error, 1)
	started := make(chan error)
	go func() {
		// The child is killed when the thread ends that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			ended <- r.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return scan.Report{}, fmt.Errorf("start the scanner: %w", errors.Join(err, in.Close()))
	}
	fed := r.feed(ctx, in)
	if fed != nil {
		r.stop() // it would wait for the rest
	}
	waited := <-ended
	switch {
	case out.over:
		return scan.Report{}, over("What the scan has to say is too long", keyAnswer, size(r.task.Limits.Answer))
	case fed != nil:
		return scan.Report{}, fed
	}
	a, err := readAnswer(out.kept)
	if waited != nil || err != nil {
		return scan.Report{}, r.died(ctx, waited, err, string(said.kept))
	}
	switch {
	case a.Problem != nil:
		return scan.Report{}, a.Problem
	case a.Fault != "":
		return scan.Report{}, fmt.Errorf("scan: %.300s", a.Fault)
	}
	return *a.Report, nil
}

// feed sends the task. That the child does not take it is no error: its answer says why.
func (r *run) feed(ctx context.Context, in io.WriteCloser) (err error) {
	w := &pipe{w: in}
	defer func() {
		_ = in.Close()
		if w.broken {
			err = nil
		}
	}()
	if err := writeHeader(w, r.task); err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	for _, l := range r.task.Layers {
		if err := r.feedLayer(ctx, w, l, buf); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) feedLayer(ctx context.Context, w io.Writer, l scan.Layer, buf []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	layer, err := r.open(ctx, l)
	if err != nil {
		return fmt.Errorf("open layer %s: %w", l.Digest, err)
	}
	defer func() { _ = layer.Close() }() // all that is wanted of it was read
	if err := writeLength(w, l.Size); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{io.LimitReader(layer, l.Size)}, buf)
	if err != nil {
		return fmt.Errorf("read layer %s: %w", l.Digest, err)
	}
	if n < l.Size {
		return damaged(l.Digest, fmt.Sprintf("it ends after %d of %d bytes", n, l.Size))
	}
	if n, err := io.ReadFull(layer, buf[:1]); n > 0 {
		return damaged(l.Digest, fmt.Sprintf("it has more than its %d bytes", l.Size))
	} else if err != io.EOF {
		return fmt.Errorf("read layer %s: %w", l.Digest, err)
	}
	return nil
}

// readAnswer reads what a child wrote, and believes nothing that it cannot have meant.
func readAnswer(b []byte) (a answer, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("its answer: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return a, errors.New("its answer: something is behind it")
	}
	given := 0
	for _, is := range []bool{a.Report != nil, a.Problem != nil, a.Fault != ""} {
		if is {
			given++
		}
	}
	switch {
	case given != 1:
		return a, errors.New("its answer is not one of a report, a problem and a fault")
	case a.Problem != nil && (a.Problem.Kind == "" || a.Problem.Text == ""):
		return a, errors.New("its answer is a problem that says nothing")
	case a.Report != nil && len(a.Report.Problems) == 0 && a.Report.Inventory.System.Ecosystem == "":
		return a, errors.New("its answer is a report of nothing, without a problem")
	}
	return a, nil
}

// died says how a child ended that gave no answer.
func (r *run) died(ctx context.Context, waited, bad error, said string) error {
	said = strings.TrimSpace(said)
	if usedUp(r.cmd.ProcessState, r.task.Limits) || strings.HasPrefix(said, "SIGXCPU") {
		return over("The scan takes too much processor time", keyCPU, r.task.Limits.CPU)
	}
	if outOfMemory(said) {
		return over("The scan takes too much memory", keyMemory, size(r.task.Limits.Memory))
	}
	why := errors.Join(waited, bad)
	if waited != nil {
		why = waited
	}
	if ctx.Err() == nil { // or it was killed by us
		r.log.Warn("a scanner died", "error", why, "said", said)
	}
	first, _, _ := strings.Cut(said, "\n")
	return fmt.Errorf("%w: %w: %.300q", scan.ErrDied, why, first)
}

// outOfMemory says whether that is what Go's runtime says when it is given no more memory
// (runtime/malloc.go, mem_linux.go). Its collector does not look whether it was
// (mgcmark_greenteagc.go, spanQueue), and faults on its own stack, as nothing else here
// can: there is no C, and what the database has mapped faults elsewhere.
func outOfMemory(said string) bool {
	return strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory") ||
		strings.HasPrefix(said, "SIGSEGV") && strings.Contains(said, "\ngoroutine 0 ")
}

// pipe notes that who reads from it has gone.
type pipe struct {
	w      io.Writer
	broken bool
}

func (p *pipe) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil {
		p.broken = true
	}
	return n, err
}

// capped keeps what is written to it, to a bound, and has the writer stopped beyond it.
type capped struct {
	kept []byte
	most int64
	over bool
	stop func()
}

func (c *capped) Write(b []byte) (int, error) {
	if c.over = c.over || int64(len(c.kept)+len(b)) > c.most; c.over {
		c.stop()
		return len(b), nil
	}
	c.kept = append(c.kept, b...)
	return len(b), nil
}

// head keeps the beginning of what is written to it.
type head struct {
	kept []byte
	most int
}

func (h *head) Write(b []byte) (int, error) {
	h.kept = append(h.kept, b[:min(len(b), h.most-len(h.kept))]...)
	return len(b), nil
}
