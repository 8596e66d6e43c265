package life

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-78150930/berth/storage/failpoint"
)

// KillOptions say how a program is killed.
type KillOptions struct {
	Seed    uint64
	Dir     string // for its data, on any file system: kill -9 loses nothing that was written
	Program string // berth, built with the points to die at
	Cycles  int
	// First is the number of the point at which the first process dies; each next one
	// dies at the next.
	First int
}

// stays is how many processes a data folder serves until there is a new one.
const stays = 6

// Kill has the real program die by kill -9, at each point in turn and between them at
// random times, and looks after each death for what it had acknowledged.
func Kill(o KillOptions) (Report, error) {
	total := NewReport()
	for n := 0; n < o.Cycles; n += stays {
		r, err := killed(o, n, min(stays, o.Cycles-n))
		total.Add(r)
		if err != nil || len(total.Losses) > 0 {
			return total, err
		}
	}
	return total, nil
}

// killed is the history of one data folder.
func killed(o KillOptions, first, cycles int) (Report, error) {
	seed := o.Seed + uint64(first)
	u := newUniverse(seed)
	h := &history{
		Options: Options{Seed: seed}, Report: NewReport(), u: u, ledger: newLedger(u),
		random: rand.New(rand.NewPCG(seed, 0)), root: filepath.Join(o.Dir, fmt.Sprint(first)),
	}
	h.Histories, h.loose = 1, true // layers of deleted images are in the trash
	defer os.RemoveAll(h.root)
	for n := range cycles {
		if err := h.process(o, first+n); err != nil || len(h.Losses) > 0 {
			return h.Report, err
		}
	}
	// What the last death left is looked at too.
	if err := h.after(o); err != nil {
		return h.Report, err
	}
	h.hold()
	return h.Report, nil
}

// process is the life of one process. Points of the first start are died at in a new
// folder, those of the journal's snapshots in one whose journal is gone.
func (h *history) process(o KillOptions, n int) error {
	points := failpoint.All()
	at := points[(o.First+n)%len(points)]
	if strings.HasPrefix(string(at), "journal: ") {
		if err := os.RemoveAll(filepath.Join(h.root, "journal")); err != nil {
			return err
		}
	}
	data := h.root
	if compacts(at) {
		if err := h.hollow(o, data); err != nil || len(h.Losses) > 0 {
			return err
		}
		return h.dies(o, data, at, 1)
	}
	if atMaking(at) {
		data = h.root + "-new" // dies at its making, and then serves
		defer os.RemoveAll(data)
		if err := h.dies(o, data, at, 1); err != nil || len(h.Losses) > 0 {
			return err
		}
		return h.startsAgain(o, data)
	}
	if at != failpoint.BlobCut {
		return h.dies(o, data, at, times(h.random, at))
	}
	// An upload is cut to where it stood if a process died while it went on.
	for range 6 {
		err := errors.Join(h.dies(o, data, failpoint.UploadAppended, times(h.random, at)), h.dies(o, data, at, 1))
		if err != nil || len(h.Losses) > 0 || h.Hit[at] > 0 {
			return err
		}
	}
	return nil
}

// times is how often a process passes a point before it dies there; some it passes
// once.
func times(random *rand.Rand, at failpoint.Point) int {
	if strings.HasPrefix(string(at), "fsblob: folders") || strings.HasPrefix(string(at), "journal: ") {
		return 1
	}
	return 1 + random.IntN(3)
}

// startsAgain starts a process on what a death at the making of a folder left.
func (h *history) startsAgain(o KillOptions, data string) error {
	p, err := start(o.Program, data, "")
	if err != nil {
		return err
	}
	defer p.kill()
	if err := p.ready(); err != nil {
		h.lose("the server does not start on what a death at its first start left: %v: %s", err, p.said.Bytes())
	}
	return nil
}

// dies has a process die at a point, or at a random time if it does not come there.
func (h *history) dies(o KillOptions, data string, at failpoint.Point, times int) error {
	p, err := start(o.Program, data, fmt.Sprintf("%d %s", times, at))
	if err != nil {
		return err
	}
	defer p.kill()
	h.gone = p.ended
	if err := p.ready(); err != nil && !p.byItself() {
		h.lose("the server does not start: %v: %s", err, p.said.Bytes())
	}
	if err == nil && data == h.root && !p.ended() {
		h.serve(p, at)
	}
	how := "kill -9 at a random time"
	if p.byItself() {
		how = "kill -9 at a point"
		h.Hit[at]++
	}
	p.kill()
	h.endLife()
	h.Cycles++
	h.Deaths[how]++
	return nil
}

// serve has clients at a process until it dies, or for some time.
func (h *history) serve(p *process, at failpoint.Point) {
	w, err := p.world()
	if err != nil {
		if !p.ended() {
			h.lose("the server has no password: %v", err)
		}
		return
	}
	if h.look(w, 0); p.ended() || len(h.Losses) > 0 {
		return
	}
	if at == failpoint.TrashPurged || at == failpoint.DroppedFound {
		h.deletes(w)
	}
	h.clients(w, 0, &fate{death: death{fails: "nothing"}})
}

// deletes has a repository deleted and then let go of for good, which clients seldom do.
func (h *history) deletes(w *world) {
	c := h.client(w, 0)
	c.failing = true
	repo := call{key: repositories[0], tag: none}
	c.ask(repo, create)
	c.push(repo.key, repo)
	defer c.beginDrop(repo.key)()
	c.ask(repo, drop)
	c.sweep()
}

// clean has a process collect and empty its trash, as people do it by hand.
func (p *process) clean() {
	for _, command := range [][]string{{"trash", "empty", "--everywhere"}, {"gc", "run"}} {
		_ = exec.Command(p.cmd.Path, append(command, "--data", p.data)...).Run() // which may end with the server
	}
}

// after looks at what the last death left.
func (h *history) after(o KillOptions) error {
	p, err := start(o.Program, h.root, "")
	if err != nil {
		return err
	}
	defer p.kill()
	h.gone = p.ended
	if err := p.ready(); err != nil {
		h.lose("the server does not start: %v: %s", err, p.said.Bytes())
		return nil
	}
	w, err := p.world()
	if err != nil {
		return err
	}
	h.look(w, 0)
	return nil
}

// process is a berth that runs.
type process struct {
	cmd     *exec.Cmd
	address string
	data    string
	said    bytes.Buffer // to be read when it has ended
	done    chan struct{}
	broken  atomic.Bool // a connection broke: it has died, or is about to
}

// start starts a server on a free port.
func start(program, data, point string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{address: l.Addr().String(), data: data, done: make(chan struct{})}
	if err := l.Close(); err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, "serve", "--listen", p.address, "--data", data, "--gc-grace", "0s")
	p.cmd.Env = []string{
		"BERTH_ROOT_ACCESS_KEY_ID=" + key.ID, "BERTH_ROOT_SECRET_ACCESS_KEY=" + key.Secret,
		"BERTH_ACCOUNT=" + account, "BERTH_REGION=" + region, "HOME=" + data, variable + "=" + point,
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // what it was is in ProcessState
		close(p.done)
	}()
	return p, nil
}

// variable is failpoint.Variable, which only programs with points have.
const variable = "BERTH_FAILPOINT"

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return p.broken.Load()
	}
}

// kill ends the process, if it has not ended, and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// byItself says whether the process has killed itself. One that broke a connection is
// waited for.
func (p *process) byItself() bool {
	if p.broken.Load() {
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
		}
	}
	select {
	case <-p.done:
		status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
	default:
		return false
	}
}

// ready waits until the server is.
func (p *process) ready() error {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.After(30 * time.Second)
	for {
		resp, err := http.Get("http://" + p.address + "/readyz")
		if err == nil {
			if err := resp.Body.Close(); err != nil {
				return err
			}
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-p.done:
			return fmt.Errorf("it ended: %v", p.cmd.ProcessState)
		case <-late:
			return errors.New("it is not ready")
		}
	}
}

// world is the process as clients see it.
func (p *process) world() (*world, error) {
	w := &world{oci: p, api: p, clean: p.clean}
	var out struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	if said := w.call("GetAuthorizationToken", members{}, &out); said != "" || len(out.AuthorizationData) != 1 {
		return nil, fmt.Errorf("GetAuthorizationToken: %s", said)
	}
	text, err := base64.StdEncoding.DecodeString(out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		return nil, err
	}
	_, w.password, _ = strings.Cut(string(text), ":")
	return w, nil
}

// ServeHTTP passes a request on to the process.
func (p *process) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", p.address
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		p.broken.Store(true)
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.broken.Store(true)
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	for name, values := range resp.Header {
		rw.Header()[name] = values
	}
	rw.WriteHeader(resp.StatusCode)
	_, _ = rw.Write(body) // to memory
}
