package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// The calls about the collection.
var (
	ShowGCPlan = Call[GCPlace, GCPlan]{"show-gc-plan"}
	ShowGC     = Call[None, GCState]{"show-gc"}
	// RunGC makes a whole pass and is answered at its end. It stops when who asks
	// goes away, and the next pass goes on from there.
	RunGC = Call[GCRate, GCRun]{"run-gc"}
)

// GCPlace is how far a plan was read; the zero value is its beginning.
type GCPlace struct {
	Stage string   `json:"stage,omitempty"`
	After []string `json:"after,omitempty"`
}

// GCPlan is a part of what a collection would take.
type GCPlan struct {
	Doomed []GCDoomed `json:"doomed"`
	Next   GCPlace    `json:"next"` // where the next part begins
	More   bool       `json:"more"` // false with the last part
}

// GCDoomed is something that a collection would take. Its JSON form is what
// `gc plan --json` prints.
type GCDoomed struct {
	Kind       string    `json:"kind"` // "layer", "trash", "upload", "condemned" or "orphan"
	Account    string    `json:"account,omitempty"`
	Region     string    `json:"region,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Digest     string    `json:"digest,omitempty"`
	ID         string    `json:"id,omitempty"` // of an upload or a blob
	Bytes      int64     `json:"bytes"`
	Holders    int       `json:"holders,omitempty"` // repositories that have the layer
	Since      time.Time `json:"since"`
	Why        string    `json:"why"`
}

// GCRate is how many rows and blobs a pass may look at in a second; zero means as many
// as it can.
type GCRate struct {
	Rate int `json:"rate,omitempty"`
}

// GCRun is what a pass did, or did so far. Its JSON form is what `gc run --json` prints.
type GCRun struct {
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"` // zero while it is under way
	Looked   int64     `json:"looked"`         // rows and blobs
	Layers   int64     `json:"layers"`         // that repositories let go of
	Contents int64     `json:"contents"`       // of layers that no repository has any more
	Uploads  int64     `json:"uploads"`        // that had expired
	Orphans  int64     `json:"orphans"`        // that no row owned
	Blobs    int64     `json:"blobs"`          // the last three together
	Bytes    int64     `json:"bytes"`          // of those
}

// GCState says how the collection does.
type GCState struct {
	Running *GCRun `json:"running,omitempty"`
	Last    *GCRun `json:"last,omitempty"`
	// Waiting is how many blobs wait for the deletion of their bytes; it is
	// counted up to registry.MostWaiting.
	Waiting int64 `json:"waiting"`
}

func (c *Clerk) answerGC(all answers) {
	answered(all, ShowGCPlan, c.showGCPlan)
	answered(all, ShowGC, c.showGC)
	answered(all, RunGC, c.runGC)
}

func (c *Clerk) showGCPlan(ctx context.Context, from GCPlace) (GCPlan, error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return GCPlan{}, err
	}
	list, next, more, err := r.PlanCollection(ctx, registry.PlanPlace(from))
	return GCPlan{Doomed: each(list, doomed), Next: GCPlace(next), More: more}, err
}

func doomed(d registry.Doomed) GCDoomed {
	g := GCDoomed{Kind: string(d.Kind), ID: d.ID, Bytes: d.Bytes, Holders: d.Holders, Since: d.Since, Why: d.Why}
	if !d.Digest.IsZero() {
		g.Digest = d.Digest.String()
	}
	if !d.Repository.IsZero() {
		id := d.Repository.ID()
		g.Account, g.Region, g.Repository = id.Account, id.Region, d.Repository.String()
	}
	return g
}

func (c *Clerk) showGC(ctx context.Context, _ None) (st GCState, err error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return st, err
	}
	f, err := r.CollectionFigures(ctx)
	st.Waiting = f.Waiting
	if f.Running != nil {
		st.Running = new(gcRun(*f.Running))
	}
	if f.Last != nil {
		st.Last = new(gcRun(*f.Last))
	}
	return st, err
}

func gcRun(c registry.Collected) GCRun {
	return GCRun{
		Started: c.StartedAt, Ended: c.EndedAt, Looked: c.Looked, Layers: c.Layers, Contents: c.Contents,
		Uploads: c.Uploads, Orphans: c.Orphans, Blobs: c.Blobs, Bytes: c.Bytes,
	}
}

func (c *Clerk) runGC(ctx context.Context, q GCRate) (GCRun, error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return GCRun{}, err
	}
	done, err := r.CollectNow(ctx, q.Rate)
	return gcRun(done), err
}
