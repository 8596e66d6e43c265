package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// DenialDetail is the detail of AccessDenied.
type DenialDetail struct {
	Action   string // such as "ecr:PutImage"
	Resource string
	Reason   string
}

// Reads do not write: pulls, and what was denied, gather in memory and are
// written in batches, before their time if so many wait. What comes when maxWaiting
// wait, because writing is slower than that, is counted and forgotten.
const manyWaiting, maxWaiting = 10_000, 100_000

// seen is what was read and not written yet. The zero value is ready.
type seen struct {
	mu     sync.Mutex
	pulls  map[pull]time.Time // the last one of each
	events []noted            // only with Options.ReadEvents
	lost   int
}

// pull is who pulled what.
type pull struct {
	name   Name
	id     string // of the repository
	digest digest.Digest
	actor  string
}

// noted is an event to be written.
type noted struct {
	ctx  context.Context // says who
	kind EventKind
	id   ID
	row  eventRow
}

// notePull notes that an image was pulled now.
func (s *Service) notePull(ctx context.Context, repo repository, d digest.Digest) {
	p := pull{repo.name, repo.row.ID, d, auth.PrincipalOf(ctx).ARN}
	now := s.now().UTC()
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if s.seen.pulls == nil {
		s.seen.pulls = map[pull]time.Time{}
	}
	if _, there := s.seen.pulls[p]; !there && len(s.seen.pulls) >= maxWaiting {
		s.seen.lost++
		return
	}
	s.seen.pulls[p] = now
	s.wakePulls(len(s.seen.pulls))
}

// wakePulls has written what waits if it is many.
func (s *Service) wakePulls(waiting int) {
	if waiting != manyWaiting {
		return
	}
	select {
	case s.manySeen <- struct{}{}:
	default:
	}
}

// notePullEvent notes the event of a pull, by the tag if it is not zero.
func (s *Service) notePullEvent(ctx context.Context, repo repository, img Image, tag Tag) {
	s.noteEvent(noted{ctx, ImagePulled, repo.name.id, eventRow{
		At: s.now().UTC(), Repository: repo.name.path, RepositoryID: repo.row.ID, Digest: img.Digest, MediaType: img.MediaType, Tag: tag.s,
	}})
}

// noteEvent notes an event if the settings ask for it.
func (s *Service) noteEvent(n noted) {
	if !s.live.Load().ReadEvents {
		return
	}
	n.ctx = auth.WithPrincipal(context.Background(), auth.PrincipalOf(n.ctx)) // not the request's own
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if len(s.seen.events) >= maxWaiting {
		s.seen.lost++
		return
	}
	s.seen.events = append(s.seen.events, n)
	s.wakePulls(len(s.seen.events))
}

// NoteDenied notes that somebody was denied something in a registry, which is an
// event where Options.ReadEvents says so.
func (s *Service) NoteDenied(ctx context.Context, id ID, denied *auth.Denied) {
	text := detail(DenialDetail{denied.Check.Action, denied.Check.Resource, strings.TrimPrefix(denied.Reason, "because ")})
	s.noteEvent(noted{ctx, AccessDenied, id, eventRow{At: s.now().UTC(), Detail: text}})
}

// FlushPulls writes what was noted. What cannot be written is noted again.
func (s *Service) FlushPulls(ctx context.Context) error {
	s.seen.mu.Lock()
	pulls, list, lost := s.seen.pulls, s.seen.events, s.seen.lost
	s.seen.pulls, s.seen.events, s.seen.lost = nil, nil, 0
	s.seen.mu.Unlock()
	if lost > 0 {
		s.log.Warn("more pulls and denials at once than are noted", "forgotten", lost)
	}
	for _, keys := range slices.Collect(slices.Chunk(slices.Collect(maps.Keys(pulls)), batch)) {
		if err := s.update(ctx, func(tx storage.Tx) error { return s.writePulls(tx, keys, pulls) }); err != nil {
			s.noteAgain(pulls, list)
			return err
		}
		for _, p := range keys {
			delete(pulls, p)
		}
	}
	for len(list) > 0 {
		n := min(len(list), batch)
		if err := s.update(ctx, func(tx storage.Tx) error { return s.writeNoted(tx, list[:n]) }); err != nil {
			s.noteAgain(pulls, list)
			return err
		}
		list = list[n:]
	}
	return nil
}

// writePulls sets the times of pulls. Those of excluded principals do not count.
func (s *Service) writePulls(tx storage.Tx, list []pull, at map[pull]time.Time) error {
	out := map[ID]excluded{}
	for _, p := range list {
		id := p.name.id
		if out[id] == nil {
			var err error
			if out[id], err = readExcluded(tx, id); err != nil {
				return err
			}
		}
		if out[id].has(p.actor) {
			continue
		}
		if err := s.writePull(tx, p, at[p]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) writePull(tx storage.Tx, p pull, at time.Time) error {
	key := []string{p.name.id.Account, p.name.id.Region, p.id, p.digest.String()}
	row, err := images.Get(tx, key...)
	// An image that was pushed since is another one.
	if err != nil || !at.After(row.PulledAt) || at.Before(row.PushedAt) {
		return ignoreNotFound(err)
	}
	// The rows of a repository that was deleted meanwhile do no harm.
	row.PulledAt = at
	return images.Put(tx, row, key...)
}

func (s *Service) writeNoted(tx storage.Tx, list []noted) error {
	for _, n := range list {
		if err := s.recordRegistry(n.ctx, tx, n.kind, n.id, n.row); err != nil {
			return err
		}
	}
	return nil
}

// noteAgain puts back what could not be written, before what has come since.
func (s *Service) noteAgain(pulls map[pull]time.Time, list []noted) {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	maps.Copy(pulls, s.seen.pulls) // which are later
	s.seen.pulls = pulls
	s.seen.events = append(list, s.seen.events...)
	s.seen.events = s.seen.events[:min(len(s.seen.events), maxWaiting)]
}

// runPulls writes them until ctx ends.
func (s *Service) runPulls(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.live.Load().PullTimeFlush):
		case <-s.manySeen:
		}
		s.try(ctx, "write the times of pulls", s.FlushPulls)
	}
}
