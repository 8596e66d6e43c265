// Package admin is the owner-only socket by which commands reach a running
// server. Both ends are here: [Handler] answers on it, [Client] asks.
//
// Whoever can open the socket may do everything: it lies in a folder that only
// the owner of the server can enter.
package admin

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Keeper is who keeps identities and images: a running server, asked over the
// socket, or the store itself, opened by a command while no server runs.
type Keeper interface {
	Copied
	// Call answers a question about identities as JSON: see [Call].
	Call(ctx context.Context, name string, question []byte) (answer []byte, err error)
	// Environment is what a client on this machine needs to use the server.
	Environment(ctx context.Context) (Environment, error)
	// TestLifecycle says what a lifecycle policy would do. It changes nothing.
	TestLifecycle(ctx context.Context, q LifecycleQuestion) (LifecycleTrial, error)
}

// Server is a running server.
type Server interface {
	Keeper
	Watcher
	Status(ctx context.Context) (Status, error)
	// Reload reads the configuration again. A bad one changes nothing, is the
	// error, and is shown by Status from then on.
	Reload(ctx context.Context) (Reloaded, error)
}

// Environment is what a client needs to use a server: where it is and a key.
type Environment struct {
	Endpoint string // such as "http://localhost:5000"
	Region   string
	Key      accounts.Key
	// CA is the path of the certificate that vouches for the server's own; ""
	// where there is no TLS or the system's authorities vouch for it.
	CA string
}

// Status says what a server is and how it is. Its JSON form is what `status
// --json` prints.
type Status struct {
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Address string    `json:"address"` // host and port that it listens on
	URL     string    `json:"url"`     // to reach it by from this machine
	// Listeners are all addresses, that one first.
	Listeners []Listener `json:"listeners"`
	// Metrics is where metrics are told, "" if they are not.
	Metrics string `json:"metrics,omitempty"`
	Data    string `json:"data"`
	Account string `json:"account"`
	Region  string `json:"region"`
	// RepositoryURI is the style of repositoryUri that is in force, and External
	// the address that the server is known by.
	RepositoryURI string `json:"repositoryUri"`
	External      string `json:"external,omitempty"`
	Dev           bool   `json:"dev"`
	Ready         bool   `json:"ready"`
	Fault         string `json:"fault,omitempty"` // why it is not ready
	Config        Config `json:"config"`
	// Refused are the reasons for which no writes are taken, none if they are.
	Refused []Refused `json:"refused,omitempty"`
	Disk    *Disk     `json:"disk,omitempty"` // nil in memory
	// Clock says why nothing is removed by its age for now, "" if the clock is steady.
	Clock string `json:"clock,omitempty"`
	Index *Index `json:"index,omitempty"` // nil in memory
	// Jobs are those that ever ran over the store.
	Jobs []Job `json:"jobs,omitempty"`
}

// Job is periodic work and how its last run went.
type Job struct {
	Name    string    `json:"name"`
	Running bool      `json:"running"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`  // before Started while it runs, and of a run that was broken off
	Error   string    `json:"error,omitempty"` // of the last run that ended
}

// Listener is an address that a server listens on.
type Listener struct {
	Address string `json:"address"`
	URL     string `json:"url"`
	Compat  string `json:"compat"` // "oci" or "ecr"
}

// Config says which configuration is in force.
type Config struct {
	File   string    `json:"file,omitempty"`
	Loaded time.Time `json:"loaded"` // when the one in force was read
	// Error is what was wrong with the last one read; then an older one is in
	// force.
	Error string `json:"error,omitempty"`
	// Waiting are settings that were changed and take a new start.
	Waiting []string `json:"waiting,omitempty"`
}

// Reloaded says what became of a changed configuration.
type Reloaded struct {
	Changed []string `json:"changed,omitempty"` // settings now in force
	Waiting []string `json:"waiting,omitempty"` // settings that take a new start
}

// ErrNotRunning says that no server answers at a place.
var ErrNotRunning = errors.New("no server is running")
