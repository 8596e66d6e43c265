package server

import (
	"context"
	"fmt"
	"iter"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
	"github.com/seed-78150930/berth/registry/replicate"
)

// replicas are the workers that bring images to other registries: one for those of this
// server, and one for each of another, so that none of them holds up the others.
type replicas struct {
	local  *replicate.Worker
	remote map[registry.ID]*replicate.Worker
}

// all are the workers, with what they are called in the log.
func (r replicas) all() iter.Seq2[string, *replicate.Worker] {
	return func(yield func(string, *replicate.Worker) bool) {
		if !yield("here", r.local) {
			return
		}
		for to, w := range r.remote {
			if !yield("to "+placeName(to), w) {
				return
			}
		}
	}
}

// of is the worker of a destination.
func (r replicas) of(to registry.ID) *replicate.Worker {
	if w, ok := r.remote[to]; ok {
		return w
	}
	return r.local
}

// Hurry implements admin.Replicator.
func (r replicas) Hurry(ctx context.Context, to registry.ID) error { return r.of(to).Now(ctx) }

// Trouble implements admin.Replicator. What is in the way of one destination on this
// server may be shown of another.
func (r replicas) Trouble(to registry.ID) replicate.Trouble { return r.of(to).Trouble() }

// replicationFigures are what the workers have done and have to do, by destination.
type replicationFigures struct {
	done    map[string]replicate.Figures
	waiting map[string]float64
}

func (s *Server) replicationFigures(ctx context.Context) (f replicationFigures, err error) {
	f = replicationFigures{map[string]replicate.Figures{}, map[string]float64{}}
	queues, err := s.registry.ReplicaQueues(ctx)
	for _, q := range queues {
		f.waiting[placeName(q.To)] = float64(q.Waiting)
	}
	for _, w := range s.replicas.all() {
		for to, of := range w.Figures() {
			f.done[placeName(to)] = of
		}
	}
	return f, err
}

// by is one figure of each destination.
func (f replicationFigures) by(figure func(replicate.Figures) int64) map[string]float64 {
	all := map[string]float64{}
	for to, of := range f.done {
		all[to] = float64(figure(of))
	}
	return all
}

// replicationTeller tells of them.
func (s *Server) replicationTeller() prometheus.Collector {
	sum := func(name, help string, figure func(replicate.Figures) int64) fact[replicationFigures] {
		return labelledCounter(name, help, "destination", func(f replicationFigures) map[string]float64 { return f.by(figure) })
	}
	return told(s, s.replicationFigures,
		labelled("berth_replication_waiting", "Images, tags and deletions that wait to be brought to a destination, counted up to 10000, by destination.", "destination",
			func(f replicationFigures) map[string]float64 { return f.waiting }),
		sum("berth_replication_done_total", "Those that were brought, by destination.", func(f replicate.Figures) int64 { return f.Done }),
		sum("berth_replication_failed_total", "Those that another server refused, or that failed time and again, by destination.", func(f replicate.Figures) int64 { return f.Failed }),
		sum("berth_replication_bytes_total", "Bytes of layers that were sent to other servers, by destination.", func(f replicate.Figures) int64 { return f.Bytes }),
	)
}

func placeName(id registry.ID) string { return id.Account + "/" + id.Region }

// openReplicas makes the workers, as the configuration says.
func (s *Server) openReplicas() (err error) {
	c := s.options.Config
	s.replicas.remote = map[registry.ID]*replicate.Worker{}
	here := func(to registry.ID) bool { return s.replicas.remote[to] == nil }
	if s.replicas.local, err = replicate.New(replicate.Options{Now: s.keeper.clock.Now, Registry: s.registry, Log: s.log, Takes: here}); err != nil {
		return err
	}
	client, err := remote.New(remote.Options{Allow: c.Egress.Allow, PlainHTTP: c.Egress.PlainHTTP, Redirects: remote.MostRedirects})
	if err != nil {
		return fmt.Errorf("egress: %w", err)
	}
	for i, d := range c.Replication.Destinations {
		if !d.Remote() {
			continue
		}
		to := destinationID(d)
		if s.replicas.remote[to], err = s.openReplicaWorker(client, to, d); err != nil {
			return fmt.Errorf("replication.destinations[%d]: %w", i, err)
		}
	}
	return nil
}

// openReplicaWorker makes the worker of a destination on another server.
func (s *Server) openReplicaWorker(client *http.Client, to registry.ID, d config.ReplicationDestination) (*replicate.Worker, error) {
	o := replicate.RemoteOptions{Source: s.registry, To: to, Prefix: d.Prefix, Bandwidth: int64(d.Bandwidth)}
	at := peer.Options{URL: replicaURL(d), Client: client, Realms: d.Realms, Log: s.log}
	var err error
	if d.File+d.Env+d.Helper != "" {
		at.Credentials, err = credentialsFrom(config.MirrorCredential{File: d.File, Env: d.Env, Helper: d.Helper}, at.URL)
	}
	if err == nil && d.ECR.Region != "" {
		o.ECR, err = peer.NewECRAPI(peer.ECR{Client: client, Region: d.ECR.Region, Endpoint: d.ECR.Endpoint, Key: at.Credentials})
		if err == nil {
			at.Credentials = o.ECR.Credentials()
		}
	}
	if err != nil {
		return nil, err
	}
	if o.Peer, err = peer.New(at); err != nil {
		return nil, err
	}
	away, err := replicate.NewRemote(o)
	if err != nil {
		return nil, err
	}
	return replicate.New(replicate.Options{
		Now: s.keeper.clock.Now, Registry: s.registry, Log: s.log, Remote: away,
		Windows: windows(d), Takes: func(id registry.ID) bool { return id == to },
	})
}

// replicaURL is where images are sent: at ECR, unless it is told, to the registry of the
// account (ECR user guide, "Registry authentication").
func replicaURL(d config.ReplicationDestination) string {
	switch {
	case d.URL != "":
		return d.URL
	case d.ECR.Endpoint != "":
		return d.ECR.Endpoint
	}
	return "https://" + d.Account + ".dkr.ecr." + d.ECR.Region + "." + endpoint.Suffix(d.ECR.Region)
}

func windows(d config.ReplicationDestination) (list []replicate.Window) {
	for _, text := range d.Windows {
		w, err := replicate.ParseWindow(text)
		if err == nil { // as the configuration was checked
			list = append(list, w)
		}
	}
	return list
}

func destinationID(d config.ReplicationDestination) registry.ID {
	return registry.ID{Account: d.Account, Region: d.Region}
}

// destinations are what the registry is to know of them.
func destinations(c *config.Config) (list []registry.Destination) {
	for _, d := range c.Replication.Destinations {
		list = append(list, registry.Destination{
			To: destinationID(d), Remote: d.Remote(), Tags: d.Tags, Deletes: d.Deletes, Backfill: d.Backfill,
		})
	}
	return list
}
