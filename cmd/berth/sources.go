package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

// addSettings gives a command the flags of the settings with these keys, of all
// settings if none is named. The sources hold what was given when it runs.
func addSettings(c *cobra.Command, keys ...string) config.Sources {
	src := config.Sources{Flags: map[string]string{}, Environ: os.Environ()}
	for _, s := range config.Settings() {
		if len(keys) > 0 && !slices.Contains(keys, s.Key) || s.Flag() == "" {
			continue
		}
		flag := c.Flags().VarPF(settingFlag{s, src.Flags}, s.Flag(), "", s.Help)
		if s.Type == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	c.Flags().SortFlags = false
	return src
}

// addPlace gives a command the flags by which it finds a server.
func addPlace(c *cobra.Command) config.Sources { return addSettings(c, "config", "data", "listen") }

// settingFlag notes what is given; package config says whether it is right.
type settingFlag struct {
	setting config.Setting
	given   map[string]string
}

var _ pflag.Value = settingFlag{}

func (f settingFlag) String() string { return f.setting.Default }

func (f settingFlag) Type() string { return f.setting.Type }

func (f settingFlag) Set(text string) error {
	f.given[f.setting.Key] = text
	return nil
}

// findServer returns a client of the server that the sources mean, which may
// not run.
func findServer(src config.Sources) (*admin.Client, error) {
	at, err := config.Locate(src)
	if err != nil {
		return nil, err
	}
	if at.Data == config.Memory {
		return admin.NewClient(admin.InMemory(at.Listen)), nil
	}
	return admin.NewClient(admin.InFolder(at.Data)), nil
}

// Between a server's taking its data folder and its opening the admin socket,
// and while another command has the store, there is nobody to ask.
const (
	patience = 10 * time.Second
	pause    = 20 * time.Millisecond
)

// withKeeper calls fn with who keeps keys and images: the server, or the store
// itself where none runs.
func withKeeper(ctx context.Context, src config.Sources, fn func(k admin.Keeper, running bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, err := findServer(src)
	if err != nil {
		return err
	}
	for {
		if _, err := client.Status(ctx); err == nil {
			return fn(client, true)
		} else if !errors.Is(err, admin.ErrNotRunning) {
			return err
		}
		err := withStore(ctx, src, func(k admin.Keeper) error { return fn(k, false) })
		var inUse *datadir.InUseError
		if !errors.As(err, &inUse) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

func withStore(ctx context.Context, src config.Sources, fn func(admin.Keeper) error) (err error) {
	c, err := config.Load(src)
	if err != nil {
		return err
	}
	k, err := server.OpenKeeper(ctx, c)
	if errors.Is(err, datadir.ErrAbsent) {
		return fmt.Errorf("%w, and %w (--data names the folder)", admin.ErrNotRunning, err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return fn(k)
}
