package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

func newServe() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the server until SIGTERM or SIGINT, which lets requests under way end; a
second one ends at once. SIGHUP reads the configuration again. SIGUSR1 has it take no
writes and, the next time, take them again: see berth readonly.

Each flag --a-b is also the variable BERTH_A_B and the key a-b of the
configuration file (a.b where settings form a group), in that order of
precedence. BERTH_ROOT_ACCESS_KEY_ID and BERTH_ROOT_SECRET_ACCESS_KEY give the
root key, for as long as they are set.`,
		Args: withUsage(cobra.NoArgs),
	}
	src := addSettings(c)
	c.RunE = func(c *cobra.Command, _ []string) error { return serve(c, src) }
	return c
}

func serve(c *cobra.Command, src config.Sources) error {
	cfg, err := config.Load(src)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(c.Context())
	defer stop()
	var running atomic.Pointer[server.Server]
	defer onSignals(stop, func() {
		if s := running.Load(); s != nil {
			_, _ = s.Reload(ctx) // which logs what is wrong, and shows it in its status
		}
	}, func() {
		if s := running.Load(); s != nil {
			s.ToggleReadOnly()
		}
	})()
	run := func() error {
		s, err := server.New(ctx, server.Options{
			Config: cfg, Reload: func() (*config.Config, error) { return config.Load(src) },
			Version: thisVersion(), Program: thisProgram(), Out: c.OutOrStdout(), Log: c.ErrOrStderr(),
		})
		if err != nil {
			return err
		}
		running.Store(s)
		return s.Run(ctx)
	}
	err = run()
	var bad *server.BadIndexError
	if errors.As(err, &bad) && cfg.Rebuild == config.RebuildAuto && ctx.Err() == nil {
		return run() // which makes a new one first, or fails as any start would
	}
	return err
}

// thisProgram is what runs this program in a shell: its name if that is found,
// else its path.
func thisProgram() string {
	const name = "berth"
	self, err := os.Executable()
	if err != nil {
		return name
	}
	found, err := exec.LookPath(name)
	if err != nil || !sameFile(self, found) {
		return self
	}
	return name
}

func sameFile(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// onSignals stops by the first signal that asks for it, and ends the process by
// the second. The function that it returns ends the watch.
func onSignals(stop, reload, toggle func()) func() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	go func() {
		asked := false
		for sig := range signals {
			switch {
			case sig == syscall.SIGHUP:
				reload()
			case sig == syscall.SIGUSR1:
				toggle()
			case asked:
				os.Exit(exitFailed)
			default:
				asked = true
				stop()
			}
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}
