// Package server is the house: it opens the backends, builds the services over
// them, mounts the doors, starts the workers and stops all of it in order.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	neturl "net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-78150930/berth/auth/access"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/certs"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/events"
	"github.com/seed-78150930/berth/registry/jobs"
	"github.com/seed-78150930/berth/registry/mirror"
	"github.com/seed-78150930/berth/registry/scan/queue"
	"github.com/seed-78150930/berth/registry/sign"
	"github.com/seed-78150930/berth/storage/gate"
)

// Options are what a server is made of.
type Options struct {
	Config *config.Config
	// Reload reads the configuration again; nil means that it stays.
	Reload func() (*config.Config, error)
	// Version is that of the program, and Program what people type to run it.
	Version, Program string
	// Out takes what is said to people at the start. It alone is shown a
	// secret, once.
	Out io.Writer
	// Log takes the log.
	Log io.Writer

	seams seams
}

// Server is a whole server, from New until Run returns. It is an admin.Server
// and, for clients of its first port, an http.Handler.
type Server struct {
	options     Options
	log         *slog.Logger
	accesses    *accessLog
	level       *slog.LevelVar
	started     time.Time
	keeper      *Keeper
	registry    *registry.Service
	replicas    replicas
	scans       *queue.Worker
	newRecords  chan struct{} // has a value when there is another vulnerability database
	events      *events.Follower
	signer      *sign.Worker
	keyring     *sign.Keyring
	jobs        *jobs.Runner
	mirror      *mirror.Mirror
	scanned     *vulnerabilities
	healer      func(context.Context) error // nil if nothing heals by itself
	credentials *credentials.Verifier
	access      *access.Authorizer
	denials     *access.Denials
	audit       *audit.Trail // nil if nothing is recorded
	throttle    *throttle.Limiter
	guard       *throttle.Guard     // against guesses at secrets
	reads       *throttle.Addresses // without credentials
	ports       []*port             // one at least
	tls         *tls.Config         // nil without TLS
	local       *certs.Local        // the authority that made them, nil if there is none of ours
	admin       net.Listener
	scrapes     net.Listener // of metrics, nil if they are not told
	metrics     *metrics
	disk        *gate.Disk   // nil in memory
	connections *connections // of clients
	root        accounts.Key // made at this start, zero if there was one

	config    atomic.Pointer[config.Config] // in force
	gate      sync.RWMutex                  // held by requests under way; shut at the end
	reloading sync.Mutex
	shown     atomic.Pointer[admin.Config] // what status says of the configuration
}

// New opens all that a server needs and listens, but answers nobody yet. The
// caller must call Run.
func New(ctx context.Context, o Options) (*Server, error) {
	s := &Server{options: o, level: new(slog.LevelVar), started: time.Now()}
	s.log, s.accesses = newLog(o.Log, o.Config.LogFormat, s.level)
	store, err := openStore(o.Config, o.seams, s.log)
	var newer *datadir.FormatError
	if errors.As(err, &newer) {
		return nil, fmt.Errorf("this is Berth %s: %w", o.Version, err)
	}
	if err != nil {
		return nil, err
	}
	if s.keeper, err = newKeeper(ctx, o.Config, store, o.seams); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

// open builds everything over the store.
func (s *Server) open(ctx context.Context) (err error) {
	o := registryOptions(s.options.Config)
	o.Index, o.Blobs, o.Log = s.keeper.store.index, s.keeper.store.blobs, s.log
	o.Now, o.Held, o.Hash = s.keeper.clock.Now, s.keeper.clock.Held, s.options.seams.hash
	if s.registry, err = registry.New(ctx, o); err != nil {
		return err
	}
	if r := s.keeper.store.rebuilt; r != nil {
		// An event that cannot be written is in the log none the less.
		if err := s.registry.NoteIndexRebuilt(ctx, r.detail()); err != nil {
			s.log.Warn("no event tells that the index was rebuilt", "error", err)
		}
	}
	if err := s.openReplicas(); err != nil {
		return err
	}
	if err := s.openSigning(); err != nil {
		return err
	}
	if s.events, err = s.openEvents(ctx); err != nil {
		return err
	}
	if s.scanned, err = s.openVulnerabilities(); err != nil {
		return err
	}
	if err := s.openScanning(); err != nil {
		return err
	}
	if s.jobs, err = s.openJobs(); err != nil {
		return err
	}
	s.connections = newConnections(func() int { return s.config.Load().Limits.Connections }, openFiles())
	s.metrics = s.newMetrics()
	if err := s.openAccess(); err != nil {
		return err
	}
	if err := s.openMirror(); err != nil {
		return err
	}
	if s.audit, err = s.openAudit(); err != nil {
		return err
	}
	web, err := s.openWebIdentities()
	if err != nil {
		return err
	}
	s.throttle = throttle.New(nil, nil)
	s.guard = throttle.NewGuard(s.options.Config.Limits.LoginFailures, nil)
	s.reads = throttle.NewAddresses("anonymous read", s.options.Config.Limits.AnonymousReads, nil)
	s.credentials, err = credentials.New(credentials.Options{
		Now: s.keeper.clock.Now, Clients: time.Now,
		Accounts: s.keeper.accounts, TokenKeys: [][]byte{s.keeper.store.key.Derive("tokens")},
		SpoolDir: s.keeper.store.spool, Home: s.options.Config.Account, WebIdentities: web, Guard: s.guard, NoteDenial: s.noteDenial,
		HasRegion: func(region string) bool { return s.ports[0].doors.Load().names.HasRegion(region) },
	})
	if err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if s.tls, err = s.openTLS(); err != nil {
		return err
	}
	if err := s.take(s.options.Config); err != nil {
		return err
	}
	s.shown.Store(&admin.Config{File: s.options.Config.File, Loaded: s.started})
	// The root key comes last: a start that fails after it was made would
	// never show it.
	if s.root, _, err = s.keeper.accounts.EnsureRoot(ctx, s.options.Config.Account); err != nil {
		return err
	}
	s.watchDisk()
	s.obeyReadOnly(s.options.Config)
	return nil
}

// listen opens the ports and the admin socket.
func (s *Server) listen() (err error) {
	for i, c := range s.options.Config.Ports() {
		p, err := s.openPort(c)
		if p != nil {
			s.ports = append(s.ports, p)
		}
		if err != nil {
			return err
		}
		s.keeper.ports[i] = p.Port
	}
	if err := s.listenForMetrics(); err != nil {
		return err
	}
	s.admin, err = admin.Listen(s.place())
	return err
}

// place is where commands find the server.
func (s *Server) place() admin.Place {
	if s.keeper.store.dir == nil {
		return admin.InMemory(s.keeper.ports[0].Listen)
	}
	return admin.InFolder(s.keeper.store.dir.Path())
}

func isLoopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// withPort is the address that was asked for with the port that it got.
func withPort(listen string, got net.Addr) string {
	host, _, err := net.SplitHostPort(listen)
	_, port, err2 := net.SplitHostPort(got.String())
	if err != nil || err2 != nil {
		return got.String()
	}
	return net.JoinHostPort(host, port)
}

// take puts a configuration in force.
func (s *Server) take(c *config.Config) error {
	declared, err := config.LoadIdentities(c.Identities)
	if err != nil {
		return err
	}
	profiles, err := s.profiles(c)
	if err != nil {
		return err
	}
	next := make([]*doors, len(s.ports))
	for i, p := range s.ports {
		names, err := endpoint.New(c.Names(p.Listen))
		if err != nil {
			return err
		}
		if next[i], err = s.openDoors(p, names, c); err != nil {
			return err
		}
	}
	for i, p := range s.ports {
		p.doors.Store(next[i])
	}
	if s.local != nil {
		s.local.SetNames(names(c))
	}
	rates, err := throttle.Parse(c.RateLimits)
	if err != nil {
		return err
	}
	if err := s.keeper.accounts.Declare(declared); err != nil {
		return fmt.Errorf("%s: %w", c.Identities, err)
	}
	s.throttle.Configure(rates)
	s.guard.Configure(c.Limits.LoginFailures)
	s.reads.Configure(c.Limits.AnonymousReads)
	s.credentials.SetForms(credentials.Forms{Keys: c.Login.Keys, People: c.Login.People, Robots: c.Login.Robots})
	warnReadable(s.log, c)
	s.config.Store(c)
	s.scanned.Wake()
	s.keyring.Use(profiles)
	s.registry.Configure(registryOptions(c))
	return s.level.UnmarshalText([]byte(c.LogLevel))
}

// names are those that a configuration says the server is known by.
func names(c *config.Config) []string {
	all := slices.Clone(c.Hosts)
	if u, err := neturl.Parse(c.External); err == nil && u.Host != "" {
		all = append(all, u.Host)
	}
	return all
}

func registryOptions(c *config.Config) registry.Options {
	return registry.Options{
		CreateOnPush: registry.CreationMode(c.CreationMode()), SparseIndexes: c.SparseIndexes == "accept",
		UploadExpiry: c.UploadExpiry, GCGrace: c.GCGrace, GCRate: c.GCRate, EventRetention: c.EventRetention, ReadEvents: c.Events.Reads,
		RestoreTime: c.RestoreTime, PullTimeFlush: c.PullTimeFlush, RescanWindow: c.Scanning.RescanWindow,
		ScrubInterval: c.ScrubInterval, ScrubRate: int64(c.ScrubRate),
		Verify: registry.VerifyMode(c.Verify), LifecycleInterval: c.LifecycleInterval, LifecycleExtensions: c.LifecycleExtensions,
		TrashWindow: c.TrashWindow, Protected: protections(c.Protected),
		Limits: limits(c.Limits), Regions: c.Regions, Revalidate: c.Mirror.Revalidate, Upstreams: upstreamHosts(c), Destinations: destinations(c),
		SigningProfiles: signingProfiles(c),
	}
}

func protections(list []config.Protection) (all []registry.Protection) {
	for _, p := range list {
		all = append(all, registry.Protection{Account: p.Account, Region: p.Region, Repositories: p.Repositories, Tags: p.Tags})
	}
	return all
}

func limits(l config.Limits) registry.Limits {
	return registry.Limits{
		Manifest: int64(l.Manifest), Layer: int64(l.Layer), Layers: l.Layers,
		Parts: l.Parts, SmallestPart: int64(l.SmallestPart), LargestPart: int64(l.LargestPart),
		Tags: l.Tags, Images: l.Images, Repositories: l.Repositories, ResourceTags: l.ResourceTags,
		RepositoryBytes: int64(l.RepositoryBytes), RegistryBytes: int64(l.RegistryBytes), RegistryImages: l.RegistryImages,
		Uploads: l.Uploads, RepositoryUploads: l.RepositoryUploads,
		LifecycleText: l.LifecycleText, LifecycleRules: l.LifecycleRules, PullThroughRules: l.PullThroughRules,
		Templates: l.Templates, PullTimeExclusions: l.PullTimeExclusions,
		ReplicationRules: l.ReplicationRules, ReplicationFilters: l.ReplicationFilters, ReplicationDestinations: l.ReplicationDestinations,
		SigningRules: l.SigningRules, SigningFilters: l.SigningFilters,
	}
}

// abandon closes what New has opened.
func (s *Server) abandon() error {
	var errs []error
	if s.mirror != nil {
		s.mirror.Close()
	}
	for _, p := range s.ports {
		errs = append(errs, p.listener.Close())
	}
	for _, l := range []net.Listener{s.admin, s.scrapes} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(append(errs, s.audit.Close(), s.scanned.Close(), s.keeper.Close())...)
}
