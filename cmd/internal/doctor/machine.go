package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
)

// Machine is what checks see of the machine that they are made on.
type Machine struct {
	OS    string // as runtime.GOOS
	Home  string // the user's own folder; "" for none
	Files fs.FS  // every file, by its path without the first slash
	Env   func(name string) string
	// Look finds a program as a shell does.
	Look func(program string) (path string, err error)
	// Run runs a program and returns what it prints, errors too.
	Run  func(ctx context.Context, path string, args ...string) (string, error)
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolve asks DNS and the hosts file, as most programs in Go and static
	// ones do; the system's own resolver may know more.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Addrs are the machine's own addresses, beside loopback.
	Addrs []netip.Addr
	Roots *x509.CertPool // nil means the system's
	Now   func() time.Time
	// Volume says of the file system that a folder is on.
	Volume func(dir string) (Volume, error)
	// MaxOpenFiles is how many files a process of this user may have open.
	MaxOpenFiles func() (uint64, error)
	// Append makes a file without a name in a folder, appends to it and syncs
	// it, time and again until the context is done or it was done n times, and
	// returns how long each took.
	Append func(ctx context.Context, dir string, n int) ([]time.Duration, error)
	// Locks tries whether a file in a folder can be locked against others; the error
	// is a *datadir.NoLocksError if not.
	Locks func(dir string) error
}

// Volume is what a file system says of itself.
type Volume struct {
	Free, Size       uint64 // bytes; Free is what this user may fill
	FreeFiles, Files uint64 // inodes; both 0 where they are not counted
	Magic            int64  // Linux's number of the kind of file system; 0 if unknown
}

// ThisMachine is the real one.
func ThisMachine() Machine {
	home, err := os.UserHomeDir()
	if err != nil {
		home = ""
	}
	return Machine{
		OS: runtime.GOOS, Home: home, Files: os.DirFS("/"), Env: os.Getenv, Look: exec.LookPath, Run: run,
		Dial: new(net.Dialer).DialContext, Resolve: resolve, Addrs: ownAddrs(), Now: time.Now,
		Volume: volume, MaxOpenFiles: maxOpenFiles, Append: appendAndSync, Locks: datadir.TryLocks,
	}
}

// toolTime is more than any program takes to say its version, and any daemon to
// be asked by one.
const toolTime = 5 * time.Second

// impatient is the machine on which no program and no resolver is waited for
// long: what one of them keeps back is not to keep back the rest.
func (m Machine) impatient() Machine {
	run, resolve := m.Run, m.Resolve
	m.Run = func(ctx context.Context, path string, args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, toolTime)
		defer cancel()
		return run(ctx, path, args...)
	}
	m.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		ctx, cancel := context.WithTimeout(ctx, probeTime)
		defer cancel()
		return resolve(ctx, host)
	}
	return m
}

// run gives a program no input, and does not wait for what it leaves running.
func run(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = grace / 2
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	r := net.Resolver{PreferGo: true}
	list, err := r.LookupNetIP(ctx, "ip", host)
	for i := range list {
		list[i] = list[i].Unmap()
	}
	return list, err
}

func ownAddrs() []netip.Addr {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil // loopback is known without
	}
	var own []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			own = append(own, p.Addr().Unmap())
		}
	}
	return own
}

func maxOpenFiles() (uint64, error) {
	var r syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r)
	return uint64(r.Max), err // the soft limit is raised to it when a program in Go starts
}

// chunk is about what a commit of the index or the end of a small layer adds.
const chunk = 4096

// appendAndSync takes the file's name away at once, so that nothing stays
// whatever becomes of this process.
func appendAndSync(ctx context.Context, dir string, n int) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, "doctor-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	data := make([]byte, chunk)
	for range n {
		if ctx.Err() != nil {
			break
		}
		start := time.Now()
		if _, err := f.Write(data); err != nil {
			return took, err
		}
		if err := f.Sync(); err != nil {
			return took, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// read is the text of a file, "" if it cannot be read.
func (m Machine) read(path string) string {
	text, err := fs.ReadFile(m.Files, inFS(path))
	if err != nil {
		return ""
	}
	return string(text)
}

func (m Machine) exists(path string) bool {
	_, err := fs.Stat(m.Files, inFS(path))
	return err == nil
}

// inFS is a path as Machine.Files has it. Variables may name a relative one.
func inFS(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if p := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(path)), "/"); p != "" {
		return p
	}
	return "."
}

// isOwn says whether an address is this machine's.
func (m Machine) isOwn(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	for _, own := range m.Addrs {
		if own == a {
			return true
		}
	}
	return false
}
