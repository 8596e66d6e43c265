package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/replicate"
)

// The calls about images on their way to other registries.
var (
	ListReplication  = Call[ReplicationQuestion, ReplicationPage]{"list-replication"}
	StartReplication = Call[ReplicationStart, ReplicationStarted]{"start-replication"}
)

// Replicator is who brings images to other registries.
type Replicator interface {
	// Hurry has what waits for a destination brought at once.
	Hurry(ctx context.Context, to registry.ID) error
	// Trouble says what keeps images from a destination.
	Trouble(to registry.ID) replicate.Trouble
}

// ReplicationQuestion asks how far images have come: one of them, as REPOSITORY:TAG or
// REPOSITORY@DIGEST, all of a repository, or with "" those of the registry that have not
// come. After is where the list goes on, "" for its beginning.
type ReplicationQuestion struct {
	InRegistry
	What  string `json:"what,omitempty"`
	After string `json:"after,omitempty"`
}

func (q ReplicationQuestion) subject() string { return q.What }

// ReplicationPage is a page of images on their way. Its first one has the destinations.
type ReplicationPage struct {
	Destinations []ReplicationQueue `json:"destinations"`
	Images       []ReplicatedImage  `json:"images"`
	Next         string             `json:"next,omitempty"` // "" for the last page
}

// ReplicationQueue is what waits for a destination.
type ReplicationQueue struct {
	Account string `json:"registryId"`
	Region  string `json:"region"`
	Remote  bool   `json:"remote"`  // it is of another server
	Waiting int    `json:"waiting"` // counted up to registry.MostCounted
	// LastError is why nothing, or something, is not brought there for now; "" if all is
	// well or no server runs.
	LastError string    `json:"lastError,omitempty"`
	NextTry   time.Time `json:"nextTry,omitzero"`
	Opens     time.Time `json:"opens,omitzero"` // when its next window is, unless one is open
}

// ReplicatedImage is how far an image has come on its way to a destination.
type ReplicatedImage struct {
	Repository    string    `json:"repository"`
	Digest        string    `json:"imageDigest"`
	Tags          []string  `json:"imageTags"`
	Account       string    `json:"registryId"`
	Region        string    `json:"region"`
	Status        string    `json:"status"`
	FailureCode   string    `json:"failureCode,omitempty"`
	FailureReason string    `json:"failureReason,omitempty"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// ReplicationStart has images brought now that have not come: of all repositories, or of
// one; to all destinations, or to one, which is ACCOUNT/REGION.
type ReplicationStart struct {
	InRegistry
	Repository string `json:"repository,omitempty"`
	To         string `json:"to,omitempty"`
}

func (q ReplicationStart) subject() string { return q.Repository }

// ReplicationStarted says how many images and tags were planned that were not waiting.
type ReplicationStarted struct {
	Planned      int                `json:"planned"`
	Destinations []ReplicationQueue `json:"destinations"`
}

func (c *Clerk) answerReplication(all answers) {
	answered(all, ListReplication, c.listReplication)
	answered(all, StartReplication, c.startReplication)
}

// replicationPage is how many images, and how many repositories, a page looks at.
const replicationPage = 500

func (c *Clerk) listReplication(ctx context.Context, q ReplicationQuestion) (page ReplicationPage, err error) {
	id, err := c.registryID(q.InRegistry)
	if err != nil {
		return page, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return page, err
	}
	if page.Destinations, err = c.replicationQueues(ctx, r, nil); err != nil {
		return page, err
	}
	var list []registry.ReplicatedImage
	if q.What == "" {
		list, page.Next, err = unfinished(ctx, r, id, q.After)
	} else {
		list, page.Next, err = replicated(ctx, r, id, q)
	}
	page.Images = each(list, replicatedImage)
	return page, err
}

// unfinished are images of a registry that have not come everywhere, behind a place in
// the list of repositories.
func unfinished(ctx context.Context, r *registry.Service, id registry.ID, after string) (list []registry.ReplicatedImage, next string, err error) {
	repos, more, err := r.Repositories(ctx, id, after, replicationPage, registry.Sight{})
	if err != nil {
		return nil, "", err
	}
	if more {
		next = repos[len(repos)-1].Name.String()
	}
	for _, repo := range repos {
		for place := ""; ; {
			var page []registry.ReplicatedImage
			if page, place, err = r.ReplicatedImages(ctx, repo.Name, true, place, replicationPage); err != nil {
				return nil, "", err
			}
			if list = append(list, page...); place == "" {
				break
			}
		}
	}
	return list, next, nil
}

// replicated are those of a repository, or of an image of it.
func replicated(ctx context.Context, r *registry.Service, id registry.ID, q ReplicationQuestion) (list []registry.ReplicatedImage, next string, err error) {
	name, ref, err := parseImage(id, q.What)
	if err != nil {
		return nil, "", err
	}
	if ref == (registry.Ref{}) {
		return r.ReplicatedImages(ctx, name, false, q.After, replicationPage)
	}
	img, err := r.DescribeImage(ctx, name, ref)
	if err != nil {
		return nil, "", err
	}
	states, err := r.ReplicationStatuses(ctx, name, registry.Ref{Digest: img.Digest})
	for _, state := range states {
		list = append(list, registry.ReplicatedImage{Name: name, Digest: img.Digest, Tags: img.Tags, ReplicationStatus: state})
	}
	return list, "", err
}

func replicatedImage(img registry.ReplicatedImage) ReplicatedImage {
	return ReplicatedImage{
		Repository: img.Name.String(), Digest: img.Digest.String(), Tags: each(img.Tags, registry.Tag.String),
		Account: img.To.Account, Region: img.To.Region, Status: string(img.State), FailureCode: img.FailureCode,
		FailureReason: img.FailureReason, UpdatedAt: img.UpdatedAt,
	}
}

// replicationQueues are those of some destinations, nil for all.
func (c *Clerk) replicationQueues(ctx context.Context, r *registry.Service, some []registry.ID) ([]ReplicationQueue, error) {
	list, err := r.ReplicaQueues(ctx)
	if err != nil {
		return nil, err
	}
	if some != nil {
		list = slices.DeleteFunc(list, func(q registry.ReplicaQueue) bool { return !slices.Contains(some, q.To) })
	}
	return each(list, func(q registry.ReplicaQueue) ReplicationQueue {
		a := ReplicationQueue{Account: q.To.Account, Region: q.To.Region, Remote: q.Remote, Waiting: q.Waiting}
		if c.Replicator != nil {
			t := c.Replicator.Trouble(q.To)
			a.LastError, a.NextTry, a.Opens = t.Why, t.Next, t.Reopens
		}
		return a
	}), nil
}

func (c *Clerk) startReplication(ctx context.Context, q ReplicationStart) (done ReplicationStarted, err error) {
	id, err := c.registryID(q.InRegistry)
	if err != nil {
		return done, err
	}
	r, err := c.Registry(ctx)
	if err != nil {
		return done, err
	}
	to, err := startedFor(ctx, r, id, q.To)
	if err != nil {
		return done, err
	}
	for _, one := range to {
		n, err := r.PlanReplicas(ctx, id, q.Repository, one)
		if done.Planned += n; err != nil {
			return done, err
		}
		if c.Replicator == nil {
			continue // the server that comes begins with what waits
		}
		if err := c.Replicator.Hurry(ctx, one); err != nil {
			return done, err
		}
	}
	done.Destinations, err = c.replicationQueues(ctx, r, to)
	return done, err
}

// startedFor are the destinations that the rules of a registry name, or the one that is
// asked for.
func startedFor(ctx context.Context, r *registry.Service, from registry.ID, asked string) ([]registry.ID, error) {
	all, err := r.ReplicationSources(ctx)
	if err != nil {
		return nil, err
	}
	if len(all[from]) == 0 {
		return nil, fmt.Errorf("no replication rule of %s/%s names a destination", from.Account, from.Region)
	}
	if asked == "" {
		return all[from], nil
	}
	account, region, _ := strings.Cut(asked, "/")
	to := registry.ID{Account: account, Region: region}
	if !slices.Contains(all[from], to) {
		return nil, fmt.Errorf("no replication rule of %s/%s names %q, which should be ACCOUNT/REGION", from.Account, from.Region, asked)
	}
	return []registry.ID{to}, nil
}
