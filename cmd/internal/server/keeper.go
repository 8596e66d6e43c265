package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/certs"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage/clock"
)

// Keeper is an opened store with its access keys: all that commands need of a
// server that does not run. It is an admin.Keeper.
type Keeper struct {
	config   *config.Config
	store    *store
	clock    *clock.Clock
	accounts *accounts.Store
	ports    []config.Port // that a server of it has or would have

	opening sync.Mutex
	domain  *registry.Service // once a command has asked for it
}

// OpenKeeper opens the store of a server that does not run. The error is
// datadir.ErrAbsent where there is none, a *datadir.InUseError while a server
// runs after all.
func OpenKeeper(ctx context.Context, c *config.Config) (*Keeper, error) {
	if c.InMemory() {
		return nil, fmt.Errorf("%w: a server that keeps nothing leaves nothing", datadir.ErrAbsent)
	}
	dir, err := datadir.OpenExisting(c.Data)
	if err != nil {
		return nil, err
	}
	s, err := openFolder(dir, opening{rebuild: config.RebuildOff}, seams{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return newKeeper(ctx, c, s, seams{})
}

// newKeeper takes a store over.
func newKeeper(ctx context.Context, c *config.Config, s *store, in seams) (*Keeper, error) {
	now, err := clock.Open(ctx, clock.Options{Index: s.index, Log: s.log, Wall: in.clock.Wall, Elapsed: in.clock.Elapsed})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	o := accounts.Options{Now: now.Now, Index: s.index, SealingKey: s.key.Derive("access keys"), Partition: endpoint.Partition(c.Region), Dev: c.Dev}
	if !c.Root.IsZero() {
		o.Static = []accounts.Static{c.Root}
	}
	store, err := accounts.Open(ctx, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open identities: %w", err), s.close())
	}
	declared, err := config.LoadIdentities(c.Identities)
	if err == nil {
		err = store.Declare(declared)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &Keeper{config: c, store: s, clock: now, accounts: store, ports: c.Ports()}, nil
}

// Close lets go of the store.
func (k *Keeper) Close() error { return k.store.close() }

// Environment implements admin.Keeper.
func (k *Keeper) Environment(ctx context.Context) (admin.Environment, error) {
	key, err := k.clientKey(ctx)
	home := homePort(k.ports)
	return admin.Environment{Endpoint: url(home), Region: k.config.Region, Key: key, CA: k.authority(home)}, err
}

// authority is the file of the server's own authority, "" if clients of a port
// need none.
func (k *Keeper) authority(p config.Port) string {
	if !p.TLS || k.config.TLS.Auto != "local" || k.store.dir == nil {
		return ""
	}
	return filepath.Join(k.store.dir.TLS(), certs.AuthorityFile)
}

// clientKey is the key that clients on this machine are given: one that is
// known anyway, or one of their own.
func (k *Keeper) clientKey(ctx context.Context) (accounts.Key, error) {
	switch {
	case k.config.Dev:
		return k.accounts.Key(ctx, devKeyID(k.config.Account))
	case !k.config.Root.IsZero():
		return k.accounts.Key(ctx, k.config.Root.ID)
	}
	key, _, err := k.accounts.Ensure(ctx, k.config.Account, "berth env")
	return key, err
}

// devKeyID is a development server's key of an account.
func devKeyID(account string) string {
	switch account {
	case "000000000000":
		return "test"
	case "123456789012":
		return "testing"
	}
	return account
}

// localHost is the host and port by which clients on this machine reach a
// listening address. It is localhost where that leads there: Docker takes it
// for a registry without TLS.
func localHost(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	ip, err := netip.ParseAddr(host)
	if host == "" || err == nil && (ip.IsUnspecified() || ip == netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}
