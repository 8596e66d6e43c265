package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// backfillRow is how far it was looked for what was there before a rule: in one
// registry, for one destination.
type backfillRow struct {
	// Of says what the rules and the destination take. Where that is another thing now
	// than it was, it is begun anew.
	Of string
	// Repository and Digest are where it goes on.
	Repository, Digest string `json:",omitempty"`
	Done               bool   `json:",omitempty"`
}

// backfillPage is how many images are looked at in one transaction.
const backfillPage = 100

// Backfill plans what was there before a rule named a destination, for destinations that
// are to get that: once for each change of what goes there. A page at a time is planned,
// in a transaction that also notes how far it came, so it goes on where it was after a
// restart. What came by replication is left out.
func (s *Service) Backfill(ctx context.Context) error {
	for _, d := range s.live.Load().Destinations {
		if !d.Backfill {
			continue
		}
		sources, err := s.sourcesOf(ctx, d.To)
		if err != nil {
			return err
		}
		for _, from := range sources {
			if err := s.backfill(ctx, d, from); err != nil {
				return fmt.Errorf("backfill %s in %s from %s in %s: %w", d.To.Account, d.To.Region, from.Account, from.Region, err)
			}
		}
	}
	return nil
}

// sourcesOf are the registries with rules that name a destination.
func (s *Service) sourcesOf(ctx context.Context, to ID) (list []ID, err error) {
	all, err := s.ReplicationSources(ctx)
	for from, destinations := range all {
		if slices.Contains(destinations, to) {
			list = append(list, from)
		}
	}
	return list, err
}

// to are the rules that name a destination.
func (c Replication) to(id ID) (rules []ReplicationRule) {
	for _, r := range c.Rules {
		if slices.Contains(r.Destinations, id) {
			rules = append(rules, r)
		}
	}
	return rules
}

// taken says in words what goes to a destination by these rules.
func (d Destination) taken(rules []ReplicationRule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "%q", r.Prefixes)
	}
	fmt.Fprintf(&b, " %q", d.Tags)
	return b.String()
}

func (s *Service) backfill(ctx context.Context, d Destination, from ID) error {
	for done := false; !done; {
		err := s.update(ctx, func(tx storage.Tx) (err error) {
			done, err = s.backfillPage(tx, d, from)
			return err
		})
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) backfillPage(tx storage.Tx, d Destination, from ID) (done bool, err error) {
	rules, err := replicationOf(tx, from)
	if err != nil {
		return false, err
	}
	key := []string{d.To.Account, d.To.Region, from.Account, from.Region}
	row, err := backfills.Get(tx, key...)
	if ignoreNotFound(err) != nil {
		return false, err
	}
	of := d.taken(rules.to(d.To))
	if row.Of == of && row.Done {
		return true, nil
	}
	if row.Of != of {
		row = backfillRow{Of: of}
	}
	w := filling{to: d, from: from, rules: rules, place: place{row.Repository, row.Digest}, left: backfillPage}
	if err := s.fill(tx, &w); err != nil {
		return false, err
	}
	row.Repository, row.Digest, row.Done = w.place.repository, w.place.digest, w.left > 0
	return row.Done, backfills.Put(tx, row, key...)
}

// passed stands at the end of a name in a place that is behind all of the repository's
// images. No name has it.
const passed = ":"

// place is behind which image a walk through a registry goes on.
type place struct{ repository, digest string }

// filling is a page of a walk through a registry that plans images for a destination.
type filling struct {
	to      Destination
	from    ID
	rules   Replication
	only    string // name of the one repository that is looked at; "" for all
	missing bool   // only what is not known to have come there
	place   place
	left    int // images that may still be looked at
	planned int
}

// fill looks at images until none are left or enough were looked at.
func (s *Service) fill(tx storage.Tx, w *filling) error {
	for w.left > 0 {
		repo, ok, err := w.repository(tx)
		if err != nil || !ok {
			return err
		}
		if !slices.Contains(w.rules.destinations(repo.name), w.to.To) || w.only != "" && w.only != repo.name.path {
			w.place = place{repository: repo.name.path + passed}
			continue
		}
		if err := s.fillRepository(tx, w, repo); err != nil {
			return err
		}
	}
	return nil
}

// repository is the one where the walk is. Its place is in the middle of one that it
// names, or behind it.
func (w *filling) repository(rd storage.Reader) (repo repository, ok bool, err error) {
	name, behind := strings.CutSuffix(w.place.repository, passed)
	if !behind && name != "" {
		row, err := repositories.Get(rd, w.from.Account, w.from.Region, name)
		if err == nil {
			return repository{Name{w.from, name}, row}, true, nil
		}
		if ignoreNotFound(err) != nil {
			return repo, false, err
		}
	}
	sel := table.Select{Prefix: []string{w.from.Account, w.from.Region}, Limit: 1}
	if name != "" {
		sel.After = []string{name}
	}
	for f, err := range repositories.Scan(rd, sel) {
		if err != nil {
			return repo, false, err
		}
		w.place = place{repository: f.Key[2]}
		return repository{Name{w.from, f.Key[2]}, f.Row}, true, nil
	}
	return repo, false, nil
}

func (s *Service) fillRepository(tx storage.Tx, w *filling, repo repository) error {
	sel := table.Select{Prefix: repo.key(), Limit: w.left}
	if w.place.digest != "" {
		sel.After = []string{w.place.digest}
	}
	var list []table.Found[imageRow]
	for f, err := range images.Scan(tx, sel) {
		if err != nil {
			return err
		}
		list = append(list, f)
	}
	for _, f := range list {
		d, err := digest.Parse(f.Key[3])
		if err != nil {
			return fmt.Errorf("key of image: %w", err)
		}
		if err := s.fillImage(tx, w, repo, stored{d, f.Row}); err != nil {
			return err
		}
		w.place.digest = f.Key[3]
	}
	if w.left -= len(list); w.left > 0 {
		w.place = place{repository: repo.name.path + passed}
	}
	return nil
}

// fillImage plans an image with the tags that are this server's own.
func (s *Service) fillImage(tx storage.Tx, w *filling, repo repository, img stored) error {
	if img.row.status() != Active {
		return nil
	}
	r := Replica{Source: repo.name, RepositoryID: repo.row.ID, Digest: img.digest, To: w.to.To}
	own, unsent, err := s.ownTags(tx, repo, img)
	if err != nil || len(own) == 0 {
		return err
	}
	status, err := replications.Get(tx, r.statusKey()...)
	if ignoreNotFound(err) != nil {
		return err
	}
	if w.missing && err == nil && (len(status.Waiting) > 0 || len(status.Failed) == 0 && !(unsent && w.to.Remote)) {
		return nil
	}
	if len(status.Waiting) > 0 { // each of its tags once is enough
		if own, err = s.notWaiting(tx, r, status, own); err != nil {
			return err
		}
	}
	if own, err = w.to.selected(tx, r, own); err != nil || len(own) == 0 {
		return err
	}
	if w.to.Remote {
		if err := s.stampOld(tx, repo, img, own); err != nil {
			return err
		}
	}
	w.planned += len(own)
	return s.replicateTo(tx, repo, img.digest, own, w.to.To)
}

// ownTags are the tags of an image that did not come by replication, a zero one if it has
// none and did not itself; unsent says that one was never planned for another server.
func (s *Service) ownTags(tx storage.Tx, repo repository, img stored) (own []Tag, unsent bool, err error) {
	server, err := ownServer(tx)
	if err != nil {
		return nil, false, err
	}
	named, err := repo.tagsOf(tx, img.digest, "", 0)
	if err != nil {
		return nil, false, err
	}
	if len(named) == 0 && !img.row.Replica {
		return []Tag{{}}, false, nil
	}
	for _, tag := range named {
		row, err := stamps.Get(tx, repo.key(tag.s)...)
		if ignoreNotFound(err) != nil {
			return nil, false, err
		}
		if err == nil && row.Server != server || err != nil && img.row.Replica {
			continue
		}
		unsent = unsent || err != nil
		own = append(own, tag)
	}
	return own, unsent, nil
}

// notWaiting are those of the tags that do not wait to be brought already.
func (s *Service) notWaiting(tx storage.Tx, r Replica, status replicationRow, named []Tag) ([]Tag, error) {
	for _, r.Number = range status.Waiting {
		row, err := replicas.Get(tx, r.key()...)
		if errors.Is(err, storage.ErrNotFound) { // its repository was away
			continue
		}
		if err != nil {
			return nil, err
		}
		named = slices.DeleteFunc(named, func(t Tag) bool { return t == row.Tag })
	}
	return named, nil
}

// stampOld notes of what was never sent to another server that it is now, with the time
// that is known of it.
func (s *Service) stampOld(tx storage.Tx, repo repository, img stored, named []Tag) error {
	for _, tag := range append([]Tag{{}}, named...) {
		at, err := repo.movedAt(tx, tag, img.digest)
		if err != nil {
			return err
		}
		if err := repo.note(tx, cmp.Or(tag.s, img.digest.String()), at); err != nil {
			return err
		}
	}
	return nil
}

// PlanReplicas plans what is in the repositories of a registry and is not known to have
// come to a destination that the rules name, a page at a time: all repositories, or one.
// What has failed is tried again with it. Refusals: RepositoryNotFound.
func (s *Service) PlanReplicas(ctx context.Context, from ID, only string, to ID) (planned int, err error) {
	if only != "" {
		name, err := ParseName(from, only)
		if err != nil {
			return 0, err
		}
		if _, err := s.Repository(ctx, name); err != nil {
			return 0, err
		}
	}
	at := place{repository: only}
	for done := false; !done; {
		var w filling
		err := s.update(ctx, func(tx storage.Tx) error {
			rules, err := replicationOf(tx, from)
			if err != nil {
				return err
			}
			w = filling{to: s.special(to), from: from, rules: rules, only: only, missing: true, place: at, left: backfillPage}
			return s.fill(tx, &w)
		})
		if err = cmp.Or(err, ctx.Err()); err != nil {
			return planned, err
		}
		at, done, planned = w.place, w.left > 0, planned+w.planned
		if only != "" && strings.HasSuffix(at.repository, passed) {
			return planned, nil
		}
	}
	return planned, nil
}

// ReplicationSources are the registries whose rules name any destination, with those
// destinations.
func (s *Service) ReplicationSources(ctx context.Context) (all map[ID][]ID, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		all = map[ID][]ID{}
		for f, err := range documents.Scan(r, table.Select{}) {
			if err != nil {
				return err
			}
			if f.Key[2] != replicationKind || f.Row.Text == "" {
				continue
			}
			from := ID{f.Key[0], f.Key[1]}
			rules, err := replicationOf(r, from)
			if err != nil {
				return err
			}
			for _, rule := range rules.Rules {
				for _, to := range rule.Destinations {
					if !slices.Contains(all[from], to) {
						all[from] = append(all[from], to)
					}
				}
			}
		}
		return nil
	})
	return all, err
}

// BackfillDue says whether there is anything to plan for Backfill.
func (s *Service) BackfillDue(ctx context.Context) (due bool, err error) {
	for _, d := range s.live.Load().Destinations {
		if !d.Backfill {
			continue
		}
		sources, err := s.sourcesOf(ctx, d.To)
		if err != nil {
			return false, err
		}
		err = s.view(ctx, func(r storage.Reader) error {
			due = false
			for _, from := range sources {
				rules, err := replicationOf(r, from)
				if err != nil {
					return err
				}
				row, err := backfills.Get(r, d.To.Account, d.To.Region, from.Account, from.Region)
				if ignoreNotFound(err) != nil {
					return err
				}
				due = due || !row.Done || row.Of != d.taken(rules.to(d.To))
			}
			return nil
		})
		if err != nil || due {
			return due, err
		}
	}
	return false, nil
}
