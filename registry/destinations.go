package registry

import (
	"regexp"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/pattern"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// Destination is what there is to know of a registry that replication rules name,
// beyond what ECR's own configuration can say. One that there is nothing to know of is a
// registry of this server that gets all that is pushed.
type Destination struct {
	To ID
	// Remote says that it is of another server: a worker takes what goes there from
	// OutgoingImage, and says what came of it with SettleReplica or FailReplica. Its
	// region need not be one that exists here.
	Remote bool
	// Tags are patterns of the tags that go there; none means that all do. With them an
	// image without a tag goes only where it refers to one that goes, or a list that goes
	// names it.
	Tags []string
	// Deletes says that what is deleted here is deleted there too.
	Deletes bool
	// Backfill says that what was here before a rule named the destination goes there too.
	Backfill bool
}

// special is what there is to know of a destination.
func (s *Service) special(to ID) Destination {
	for _, d := range s.live.Load().Destinations {
		if d.To == to {
			return d
		}
	}
	return Destination{To: to}
}

func (s *Service) isRemote(to ID) bool { return s.special(to).Remote }

// takes says whether a tag goes there by its own name.
func (d Destination) takes(tag Tag) bool {
	return len(d.Tags) == 0 || !tag.IsZero() && slices.ContainsFunc(d.Tags, func(p string) bool { return pattern.Match(p, tag.s) })
}

// selected are those of the tags of a replica's image that go there, a zero one among
// them if the image goes without any.
func (d Destination) selected(rd storage.Reader, r Replica, named []Tag) (list []Tag, err error) {
	for _, tag := range named {
		goes := d.takes(tag)
		if !goes {
			if goes, err = r.follows(rd, tag); err != nil {
				return nil, err
			}
		}
		if goes {
			list = append(list, tag)
		}
	}
	return list, nil
}

// (distribution-spec 1.1, "Referrers Tag Schema"; cosign adds an ending to it)
var referrerTag = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64,128})(\..*)?$`)

// follows says whether an image, or one that has such a tag, is about another one that
// goes to the same destination.
func (r Replica) follows(rd storage.Reader, tag Tag) (bool, error) {
	about := digest.Digest{}
	if m := referrerTag.FindStringSubmatch(tag.s); m != nil {
		about, _ = digest.Parse(m[1] + ":" + m[2]) // what is none is about nothing
	}
	if tag.IsZero() {
		img, err := images.Get(rd, r.Source.id.Account, r.Source.id.Region, r.RepositoryID, r.Digest.String())
		if err != nil {
			return false, ignoreNotFound(err)
		}
		about = img.Subject
	}
	if about.IsZero() {
		return false, nil
	}
	r.Digest = about
	return replications.Has(rd, r.statusKey()...)
}

// replicateReferrers plans what refers to an image that goes to a destination of which
// only some tags go, and has not been planned: it has no tag of its own.
func (s *Service) replicateReferrers(tx storage.Tx, repo repository, r Replica) error {
	if len(s.special(r.To).Tags) == 0 {
		return nil
	}
	list, err := lastParts(referrers.Scan(tx, table.Select{Prefix: repo.key(r.Digest.String())}))
	if err != nil {
		return err
	}
	for _, referrer := range list {
		r.Digest, r.Tag = referrer, Tag{}
		known, err := replications.Has(tx, r.statusKey()...)
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if err := s.planMoved(tx, repo, r); err != nil {
			return err
		}
		if err := s.replicateReferrers(tx, repo, r); err != nil {
			return err
		}
	}
	return nil
}

// replicateRemoval plans the word that tags of an image were deleted, or the image
// itself, where that is wanted, and leaves tombstones for the time when older pushes of
// them may come from there. It is part of the transaction that deletes them.
func (s *Service) replicateRemoval(tx storage.Tx, repo repository, img stored, named []Tag, whole bool) error {
	rules, err := replicationOf(tx, repo.name.id)
	if err != nil {
		return err
	}
	to := slices.DeleteFunc(rules.destinations(repo.name), func(id ID) bool { return !s.special(id).Deletes })
	if len(to) == 0 {
		return nil
	}
	at, err := s.buryMoved(tx, repo, img.digest, named, whole)
	if err != nil {
		return err
	}
	for _, id := range to {
		if err := s.planWords(tx, repo, img.digest, named, whole, at, id); err != nil {
			return err
		}
	}
	return nil
}

// planWords plans the words of a deletion for one destination. With an image goes what is
// known of its tags: that they came to it may not have been told yet, and never will be.
func (s *Service) planWords(tx storage.Tx, repo repository, d digest.Digest, named []Tag, whole bool, at Origin, to ID) error {
	r := Replica{Source: repo.name, RepositoryID: repo.row.ID, Digest: d, To: to, PushedAt: at.At, Deleted: true}
	if whole {
		if err := s.planLost(tx, repo, r, named); err != nil {
			return err
		}
		return s.planReplica(tx, r)
	}
	named, err := s.special(to).selected(tx, r, named)
	if err != nil {
		return err
	}
	for _, r.Tag = range named {
		if err := s.planReplica(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// planLost plans the words that tags went with their image.
func (s *Service) planLost(tx storage.Tx, repo repository, r Replica, named []Tag) error {
	r.Deleted, r.WithImage = true, true
	for _, r.Tag = range named {
		moved, err := repo.movedAt(tx, r.Tag, r.Digest)
		if err != nil {
			return err
		}
		r.PushedAt, r.Server = moved.At, moved.Server
		if err := s.planReplica(tx, r); err != nil {
			return err
		}
	}
	return nil
}

// untold are the other servers that an image is still to be sent to.
func (s *Service) untold(rd storage.Reader, repo repository, d digest.Digest) (list []ID, err error) {
	for f, err := range replications.Scan(rd, table.Select{Prefix: repo.key(d.String())}) {
		if err != nil {
			return nil, err
		}
		if to := (ID{f.Key[4], f.Key[5]}); len(f.Row.Waiting) > 0 && s.isRemote(to) {
			list = append(list, to)
		}
	}
	return list, nil
}
