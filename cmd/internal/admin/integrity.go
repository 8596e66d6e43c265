package admin

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// The calls about whether what is stored is what it should be.
var (
	ShowScrub = Call[None, ScrubState]{"show-scrub"}
	// RunScrub makes a whole pass and is answered at its end. It stops when who asks
	// goes away, and the server's own goes on from there.
	RunScrub = Call[ScrubRate, ScrubState]{"run-scrub"}
	// ShowFaults checks the whole store.
	ShowFaults = Call[FaultQuestion, Faults]{"show-faults"}
)

// ScrubRate says how fast to read.
type ScrubRate struct {
	Bytes int64 `json:"bytes"` // a second; 0 for as many as can be
}

// ScrubState is the last scrub, or the one under way, and all that is damaged.
type ScrubState struct {
	Started   time.Time `json:"started,omitzero"` // zero before the first
	Ended     time.Time `json:"ended,omitzero"`   // zero while it is not done
	Done      float64   `json:"done"`             // about how much of it, up to 1
	Layers    int64     `json:"layers"`
	Manifests int64     `json:"manifests"`
	Bytes     int64     `json:"bytes"`
	// Found are those that were damaged in it.
	Found int64 `json:"found"`
	// Damaged are those that are damaged now; there are more if More.
	Damaged []Damage `json:"damaged"`
	More    bool     `json:"more,omitempty"`
}

// Damage is a layer or a manifest that nobody gets.
type Damage struct {
	What       string    `json:"what"` // "layer" or "manifest"
	Digest     string    `json:"digest"`
	Account    string    `json:"account,omitempty"` // of a manifest, with region and repository
	Region     string    `json:"region,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Blob       string    `json:"blob,omitempty"` // of a layer: the name of its file
	Size       int64     `json:"size"`
	At         time.Time `json:"at"`
	Found      string    `json:"found"`
	Tried      string    `json:"tried,omitempty"` // why it could not be healed
}

// FaultQuestion says how closely to look.
type FaultQuestion struct {
	Quick bool `json:"quick"` // hashes nothing
}

// Faults are those that were found, at most the first thousand.
type Faults struct {
	Faults []Fault `json:"faults"`
	Total  int     `json:"total"`
	// Compared says that the index was held against its journal.
	Compared bool `json:"compared"`
}

// Fault is something in the store that does not agree with the rest.
type Fault struct {
	Kind string `json:"kind"`
	Row  string `json:"row"`
	Text string `json:"text"`
}

// mostFaults is how many are told, and how many damages.
const mostFaults = 1000

func (c *Clerk) answerIntegrity(all answers) {
	answered(all, ShowScrub, c.showScrub)
	answered(all, RunScrub, c.runScrub)
	answered(all, ShowFaults, c.showFaults)
}

func (c *Clerk) showScrub(ctx context.Context, _ None) (ScrubState, error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return ScrubState{}, err
	}
	run, err := r.LastScrub(ctx)
	if err != nil {
		return ScrubState{}, err
	}
	return c.scrubState(ctx, r, run)
}

func (c *Clerk) runScrub(ctx context.Context, q ScrubRate) (ScrubState, error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return ScrubState{}, err
	}
	run, err := r.Scrub(ctx, registry.Scrub{Rate: q.Bytes, Anew: true})
	if err != nil {
		return ScrubState{}, err
	}
	return c.scrubState(ctx, r, run)
}

func (c *Clerk) scrubState(ctx context.Context, r *registry.Service, run registry.ScrubRun) (ScrubState, error) {
	list, err := r.Damages(ctx, mostFaults+1)
	more := len(list) > mostFaults
	return ScrubState{
		Started: run.StartedAt, Ended: run.EndedAt, Done: run.Done, Layers: run.Layers, Manifests: run.Manifests, Bytes: run.Bytes, Found: run.Damaged,
		Damaged: each(list[:min(len(list), mostFaults)], damageOf), More: more,
	}, err
}

func damageOf(d registry.Damage) Damage {
	shown := Damage{What: "layer", Digest: d.Digest.String(), Blob: d.Blob, Size: d.Size, At: d.At, Found: d.Found, Tried: d.Tried}
	if !d.Repository.IsZero() {
		shown.What, shown.Repository = "manifest", d.Repository.String()
		shown.Account, shown.Region = d.Repository.ID().Account, d.Repository.ID().Region
	}
	return shown
}

func (c *Clerk) showFaults(ctx context.Context, q FaultQuestion) (Faults, error) {
	r, err := c.Registry(ctx)
	if err != nil {
		return Faults{}, err
	}
	found := Faults{Faults: []Fault{}}
	add := func(f registry.Fault) {
		if found.Total++; found.Total <= mostFaults {
			found.Faults = append(found.Faults, Fault{string(f.Kind), f.Row, f.Text})
		}
	}
	for f, err := range r.Check(ctx, registry.Check{Hash: !q.Quick}) {
		if err != nil {
			return Faults{}, err
		}
		add(f)
	}
	if c.Compare == nil {
		return found, nil
	}
	differ, err := c.Compare(ctx, mostFaults)
	found.Compared = err == nil
	for _, f := range differ {
		add(f)
	}
	return found, err
}
