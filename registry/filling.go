package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

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
