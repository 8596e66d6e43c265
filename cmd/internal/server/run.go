package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// lastGrace is for requests whose connections were cut to notice that.
const lastGrace = 5 * time.Second

// uploadWindow is how many bytes of a request by HTTP/2 may be on their way: over a line of
// 80 ms there and back 64 MiB came at 36 MB/s with it, and at 12 with Go's own of 1 MiB. So
// much is held of a client for whom the disk is too slow.
const uploadWindow = 4 << 20

// errStopping is the cause of the end of a request that is cut off.
var errStopping = errors.New("the server stops")

// Run serves until ctx ends, a listener fails, or the index is found bad, which is a
// *BadIndexError; where the setting is that a start makes such a one anew, another New does. Then it lets requests under
// way go on for the time that is set, cuts off the rest, keeps how far uploads
// came, and closes everything. It returns nil after a stop that was asked for.
func (s *Server) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	requests, cutRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cutRequests(nil)
	var workers sync.WaitGroup
	failed := make(chan error, 13+len(s.ports))
	start := func(what string, run func() error) {
		workers.Go(func() {
			if err := run(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
		})
	}
	public, private, watched := s.publicServers(requests, s.connections), s.adminServer(), s.metricsServer()
	start("work in the background", func() error { return s.registry.Run(work) })
	start("keep the time", func() error { return s.keeper.clock.Run(work) })
	start("look at the index", func() error { return s.awaitSound(work) })
	start("watch the disk", func() error { return s.runDisk(work) })
	for what, worker := range s.replicas.all() {
		start("replicate images "+what, func() error { return worker.Run(work) })
	}
	start("sign images", func() error { return s.signer.Run(work) })
	start("scan images", func() error { return s.scans.Run(work) })
	start("look for new records of vulnerabilities", func() error { return s.followRecords(work) })
	start("bring images from upstreams", func() error { return s.mirror.Run(work) })
	start("note the use of keys", func() error { return s.noteUses(work) })
	start("tell of events", func() error { return s.events.Run(work) })
	start("run periodic work", func() error { return s.jobs.Run(work) })
	for i, p := range s.ports {
		l := p.accept(s.connections, s.tls, tlsLimits{s.options.Config.Timeouts.Header, s.log})
		start("answer clients at "+p.Listen, func() error { return public[i].Serve(l) })
	}
	start("answer commands", func() error { return private.Serve(s.admin) })
	if s.scrapes != nil {
		start("tell metrics", func() error { return watched.Serve(s.scrapes) })
	}
	s.greet()

	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping", "patience", s.config.Load().ShutdownTimeout)
	case err = <-failed:
	}
	err = errors.Join(err, s.drain(ctx, public, func() { cutRequests(errStopping) }), private.Close(), watched.Close())
	stopWork()
	workers.Wait()
	err = errors.Join(err, s.registry.Close(context.WithoutCancel(ctx)), s.audit.Close(), s.scanned.Close(), s.keeper.Close())
	s.log.Info("stopped")
	return err
}

// publicServers are what clients reach, one for each port. Requests end with
// ctx.
func (s *Server) publicServers(ctx context.Context, open *connections) []*http.Server {
	c := s.options.Config
	servers := make([]*http.Server, len(s.ports))
	for i, p := range s.ports {
		servers[i] = &http.Server{
			Handler:           s.handler(p),
			ReadHeaderTimeout: c.Timeouts.Header,
			IdleTimeout:       c.Timeouts.Idle,
			MaxHeaderBytes:    int(c.Limits.Head),
			HTTP2:             &http.HTTP2Config{MaxReceiveBufferPerStream: uploadWindow, MaxReceiveBufferPerConnection: 2 * uploadWindow},
			ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ConnState:         open.state,
			ConnContext:       open.context,
		}
	}
	return servers
}

func (s *Server) adminServer() *http.Server {
	return &http.Server{Handler: s.recording(admin.Handler(s)), ReadHeaderTimeout: s.options.Config.Timeouts.Header}
}

// drain lets requests end, and ends those that do not by cut.
func (s *Server) drain(ctx context.Context, public []*http.Server, cut func()) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.Load().ShutdownTimeout)
	defer cancel()
	err := onAll(public, func(h *http.Server) error { return h.Shutdown(ctx) })
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("requests under way are cut off")
		cut()
		err = onAll(public, (*http.Server).Close)
	}
	closed := make(chan struct{})
	go func() { s.gate.Lock(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(lastGrace):
		s.log.Warn("requests go on that should have ended")
	}
	return err
}

// onAll does something to all servers at once.
func onAll(servers []*http.Server, do func(*http.Server) error) error {
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, h := range servers {
		all.Go(func() { errs[i] = do(h) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// awaitSound fails if the index is bad, which may show after it was opened.
func (s *Server) awaitSound(ctx context.Context) error {
	store := s.keeper.store
	err := store.kept.sound(ctx, store.dir)
	if ctx.Err() != nil {
		return nil
	}
	var bad *BadIndexError
	if !errors.As(err, &bad) {
		return err
	}
	return cmp.Or(refuse(store.dir, s.options.Config.Rebuild, bad), err)
}
