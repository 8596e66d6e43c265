package registry

import (
	"context"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// replicationRow is how far an image has come on its way to one destination. It
// goes with the image.
type replicationRow struct {
	Waiting []string `json:",omitempty"` // numbers of its replica rows, ascending
	// Failed are the tags that have not come there, one of them "" if the image
	// alone has not; Code and Reason say why the last one has not.
	Failed    []Tag  `json:",omitempty"`
	Code      string `json:",omitempty"`
	Reason    string `json:",omitempty"`
	UpdatedAt time.Time
}

// replicaRow is one push, or restoration, that is to be brought to a destination.
type replicaRow struct {
	Repository string // its name
	Digest     digest.Digest
	Tag        Tag       `json:",omitzero"`
	At         time.Time // of the push
	// Again says that it has waited for the images that it is a list of.
	Again bool `json:",omitempty"`
	// Deleted says that the tag, or the image if there is none, was deleted, and WithImage
	// that the tag was with its image, of which the next word is.
	Deleted, WithImage bool `json:",omitempty"`
	// Server is where the tag came where it is, if that is another one.
	Server string `json:",omitempty"`
}

// replicaSequence numbers the rows of replicas.
const replicaSequence = "replica"

// ReplicationState says how far an image has come on its way to a destination.
type ReplicationState string

// The states (model: ReplicationStatus).
const (
	ReplicationInProgress ReplicationState = "IN_PROGRESS"
	ReplicationComplete   ReplicationState = "COMPLETE"
	ReplicationFailure    ReplicationState = "FAILED"
)

// ReplicationStatus is how far an image has come on its way to a registry.
type ReplicationStatus struct {
	To        ID
	State     ReplicationState
	UpdatedAt time.Time
	// FailureCode is one of the Failed constants, and FailureReason a sentence;
	// both are "" unless it failed.
	FailureCode, FailureReason string
}

func (row replicationRow) public(to ID) ReplicationStatus {
	status := ReplicationStatus{To: to, State: ReplicationComplete, UpdatedAt: row.UpdatedAt}
	switch {
	case len(row.Waiting) > 0:
		status.State = ReplicationInProgress
	case len(row.Failed) > 0:
		status.State, status.FailureCode, status.FailureReason = ReplicationFailure, row.Code, row.Reason
	}
	return status
}

// ReplicationStatuses says of each registry that an image went or is to go to how
// far it has come, in order of account and region; there are none for an image that
// no rule matched when it was pushed. One that has come under some of its tags has
// failed. A registry that no rule names any more is told of as long as the image is
// there, since the copy in it may be too.
// Refusals: RepositoryNotFound, ImageNotFound, TagMismatch.
func (s *Service) ReplicationStatuses(ctx context.Context, name Name, ref Ref) (list []ReplicationStatus, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, img stored) error {
		list = nil
		for f, err := range replications.Scan(r, table.Select{Prefix: repo.key(img.digest.String())}) {
			if err != nil {
				return err
			}
			list = append(list, f.Row.public(ID{f.Key[4], f.Key[5]}))
		}
		return nil
	})
	return list, err
}

// Replica is an image, and maybe a tag that it got, on the way from a repository to
// the one of the same name in another registry.
type Replica struct {
	Source       Name
	RepositoryID string
	Digest       digest.Digest
	Tag          Tag // zero for none
	To           ID
	// PushedAt is when the tag, or the image if there is none, came where it is. Of two
	// moves of one tag on one server the later one has the later time.
	PushedAt time.Time
	// Deleted says that it is no image that is brought but the word that the tag, or the
	// image with all its tags if there is none, was deleted then.
	Deleted bool
	// WithImage says of a tag that was Deleted that it was with its image, which is told by
	// a word of its own. PushedAt is when it came to that, then. Only who looks at times
	// has any use for it.
	WithImage bool
	// Server is where it came where it is, "" for this one.
	Server string
	Number string // ascending in its lane, no two alike
	again  bool
}

func (r Replica) key() []string { return r.Lane().key(r.Number) }

// statusKey is the key of the status of the replica's image.
func (r Replica) statusKey() []string {
	return []string{r.Source.id.Account, r.Source.id.Region, r.RepositoryID, r.Digest.String(), r.To.Account, r.To.Region}
}

func (row replicaRow) public(key []string) Replica {
	return Replica{
		Source: Name{ID{key[2], key[3]}, row.Repository}, RepositoryID: key[4], To: ID{key[0], key[1]},
		Digest: row.Digest, Tag: row.Tag, PushedAt: row.At, Deleted: row.Deleted, WithImage: row.WithImage, Server: row.Server, Number: key[5], again: row.Again,
	}
}

// replicate notes that an image under these tags (a zero Tag: under none) is to be
// brought where the registry's rules say, and with them the tags that have failed to
// come there before. It is part of the transaction that puts the image there, so
// none is lost, and one that comes by replication is never brought any further.
func (s *Service) replicate(tx storage.Tx, repo repository, d digest.Digest, named []Tag) error {
	rules, err := replicationOf(tx, repo.name.id)
	if err != nil {
		return err
	}
	to := rules.destinations(repo.name)
	if err := s.stampMoves(tx, repo, d, named, slices.ContainsFunc(to, s.isRemote)); err != nil {
		return err
	}
	for _, id := range to {
		if err := s.replicateTo(tx, repo, d, named, id); err != nil {
			return err
		}
	}
	return nil
}

// replicateTo is replicate for one destination.
func (s *Service) replicateTo(tx storage.Tx, repo repository, d digest.Digest, named []Tag, to ID) error {
	r := Replica{Source: repo.name, RepositoryID: repo.row.ID, Digest: d, To: to}
	failed, err := r.failedBefore(tx)
	if err != nil {
		return err
	}
	named, err = s.special(to).selected(tx, r, named)
	if err != nil {
		return err
	}
	failed = slices.DeleteFunc(failed, func(t Tag) bool { return slices.Contains(named, t) })
	for _, r.Tag = range append(failed, named...) {
		if err := s.planMoved(tx, repo, r); err != nil {
			return err
		}
	}
	if len(named) == 0 {
		return nil
	}
	return s.replicateReferrers(tx, repo, r)
}

// planMoved plans a replica with the time at which its tag came where it is.
func (s *Service) planMoved(tx storage.Tx, repo repository, r Replica) error {
	if r.PushedAt = s.now().UTC(); s.isRemote(r.To) {
		at, err := repo.movedAt(tx, r.Tag, r.Digest)
		if err != nil {
			return err
		}
		r.PushedAt = at.At
	}
	return s.planReplica(tx, r)
}

// failedBefore takes from the status of the replica's image the tags that have
// failed, and returns those that still name it.
func (r Replica) failedBefore(tx storage.Tx) (list []Tag, err error) {
	status, err := replications.Get(tx, r.statusKey()...)
	if err != nil || len(status.Failed) == 0 {
		return nil, ignoreNotFound(err)
	}
	for _, tag := range status.Failed {
		row, err := tags.Get(tx, r.Source.id.Account, r.Source.id.Region, r.RepositoryID, tag.s)
		if ignoreNotFound(err) != nil {
			return nil, err
		}
		if tag.IsZero() || row.Digest == r.Digest {
			list = append(list, tag)
		}
	}
	status.Failed, status.Code, status.Reason = nil, "", ""
	return list, replications.Put(tx, status, r.statusKey()...)
}

// planReplica puts a replica at the end of its lane.
func (s *Service) planReplica(tx storage.Tx, r Replica) error {
	n, err := nextNumber(tx, replicaSequence)
	if err != nil {
		return err
	}
	r.Number = sequenceKey(n)
	row := replicaRow{Repository: r.Source.path, Digest: r.Digest, Tag: r.Tag, At: r.PushedAt, Again: r.again, Deleted: r.Deleted, WithImage: r.WithImage, Server: r.Server}
	if err := replicas.Put(tx, row, r.key()...); err != nil || r.Deleted {
		return err
	}
	status, err := replications.Get(tx, r.statusKey()...)
	if ignoreNotFound(err) != nil {
		return err
	}
	status.Waiting, status.UpdatedAt = append(status.Waiting, r.Number), s.now().UTC()
	return replications.Put(tx, status, r.statusKey()...)
}

// settleReplica takes a replica out of its lane, since it has come to its
// destination or, where failure is not nil, never will.
func (s *Service) settleReplica(tx storage.Tx, r Replica, failure *replicationFailure) error {
	return s.takeOut(tx, r, func(status *replicationRow) {
		// The image alone has come with any tag.
		status.Failed = slices.DeleteFunc(status.Failed, func(t Tag) bool { return t == r.Tag || t.IsZero() && failure == nil })
		switch {
		case failure != nil:
			status.Failed, status.Code, status.Reason = append(status.Failed, r.Tag), failure.code, failure.reason
		case len(status.Failed) == 0:
			status.Code, status.Reason = "", ""
		}
	})
}

// takeOut takes a replica out of its lane and changes the status of its image.
func (s *Service) takeOut(tx storage.Tx, r Replica, change func(*replicationRow)) error {
	if err := replicas.Delete(tx, r.key()...); err != nil || r.Deleted {
		return err
	}
	status, err := replications.Get(tx, r.statusKey()...)
	if err != nil {
		return err
	}
	status.Waiting = slices.DeleteFunc(status.Waiting, func(n string) bool { return n == r.Number })
	status.UpdatedAt = s.now().UTC()
	change(&status)
	return replications.Put(tx, status, r.statusKey()...)
}

// forgetReplications removes what is known of an image's ways, and what is left to
// do on them: its bytes go. repo is the key of the repository.
func forgetReplications(tx storage.Tx, repo []string, d digest.Digest) error {
	for f, err := range replications.Scan(tx, table.Select{Prefix: append(slices.Clone(repo), d.String())}) {
		if err != nil {
			return err
		}
		if err := deleteReplication(tx, f); err != nil {
			return err
		}
	}
	return nil
}

// deleteReplication removes a status with the replicas that wait.
func deleteReplication(tx storage.Tx, f table.Found[replicationRow]) error {
	lane := Lane{ID{f.Key[4], f.Key[5]}, ID{f.Key[0], f.Key[1]}, f.Key[2]}
	for _, number := range f.Row.Waiting {
		if err := replicas.Delete(tx, lane.key(number)...); err != nil {
			return err
		}
	}
	return replications.Delete(tx, f.Key...)
}

// nextNumber counts a sequence up.
func nextNumber(tx storage.Tx, name string) (uint64, error) {
	row, err := sequences.Get(tx, name)
	if ignoreNotFound(err) != nil {
		return 0, err
	}
	row.Last++
	return row.Last, sequences.Put(tx, row, name)
}
