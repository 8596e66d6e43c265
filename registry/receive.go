package registry

import (
	"context"
	"fmt"

	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
)

// ReplicationDetail is the detail of ImageReplicated and ReplicationFailed.
type ReplicationDetail struct {
	SourceAccount      string `json:"source-account"`
	SourceRegion       string `json:"source-region"`
	DestinationAccount string `json:"destination-account"`
	DestinationRegion  string `json:"destination-region"`
	Result             string `json:"result"` // SUCCESS or FAILED
	// FailureCode and FailureReason are as in ReplicationStatus.
	FailureCode   string `json:"failure-code,omitempty"`
	FailureReason string `json:"failure-reason,omitempty"`
}

func (r Replica) detail(result string) ReplicationDetail {
	return ReplicationDetail{
		SourceAccount: r.Source.id.Account, SourceRegion: r.Source.id.Region,
		DestinationAccount: r.To.Account, DestinationRegion: r.To.Region, Result: result,
	}
}

// ReceiveReplica brings a replica to its destination, whole or not at all, and
// takes it out of its lane. The repository is made there if it is missing, and gets
// the layers that it does not hold (as rows: bytes are shared), the image, and the
// tag, unless that is immutable and names another image; an archived image is
// active again. A list whose images are missing goes behind them to the end of the
// lane. What is refused for good is noted as such, and is no error here. A fault is
// returned, and then nothing has changed. A replica that is not waiting any more is
// left alone.
func (s *Service) ReceiveReplica(ctx context.Context, r Replica) error {
	err := s.update(ctx, func(tx storage.Tx) error { return s.receive(ctx, tx, r) })
	if failure := failureOf(err); failure != nil {
		return s.FailReplica(ctx, r, failure.code, failure.reason)
	}
	return err
}

// FailReplica gives a replica up, with one of the Failed codes and a sentence. One
// that is not waiting any more is left alone.
func (s *Service) FailReplica(ctx context.Context, r Replica, code, reason string) error {
	d := r.detail("FAILED")
	d.FailureCode, d.FailureReason = code, reason
	return s.endReplica(ctx, r, &replicationFailure{code, reason}, ReplicationFailed, d)
}

// SettleReplica says that a replica has come to its destination, which is of another
// server. One that is not waiting any more is left alone.
func (s *Service) SettleReplica(ctx context.Context, r Replica) error {
	return s.endReplica(ctx, r, nil, ImageReplicated, r.detail("SUCCESS"))
}

// endReplica takes a replica out of its lane, and tells of that at the source.
func (s *Service) endReplica(ctx context.Context, r Replica, failure *replicationFailure, kind EventKind, d ReplicationDetail) error {
	return s.update(ctx, func(tx storage.Tx) error {
		from, img, ok, err := r.source(tx)
		if err != nil || !ok {
			return err
		}
		if err := s.settleReplica(tx, r, failure); err != nil {
			return err
		}
		if r.Deleted && failure == nil {
			return nil
		}
		e := eventRow{Digest: r.Digest, MediaType: img.row.MediaType, Tag: r.Tag.s, Detail: detail(d)}
		return s.record(ctx, tx, kind, from, e)
	})
}

// source finds the image that a replica is of; ok is false if that is gone or the
// replica is not waiting any more, and then nothing is left of it.
func (r Replica) source(tx storage.Tx) (repo repository, img stored, ok bool, err error) {
	waiting, err := replicas.Has(tx, r.key()...)
	if err != nil || !waiting {
		return repo, img, false, err
	}
	repo, err = find(tx, r.Source)
	if r.Deleted && (err == nil || CodeOf(err) == RepositoryNotFound) {
		return repository{r.Source, repositoryRow{ID: r.RepositoryID}}, stored{digest: r.Digest}, true, nil
	}
	if err == nil && repo.row.ID == r.RepositoryID {
		img, err = repo.image(tx, Ref{Digest: r.Digest})
		return repo, img, err == nil, err
	}
	if err != nil && CodeOf(err) != RepositoryNotFound {
		return repo, img, false, err
	}
	return repo, img, false, replicas.Delete(tx, r.key()...)
}

// receiveRemoval deletes at a destination what was deleted at the source: a tag if it
// still names the same image, or the image. What is not there is deleted.
func (s *Service) receiveRemoval(ctx context.Context, tx storage.Tx, r Replica) error {
	repo, err := find(tx, Name{r.To, r.Source.path})
	if r.WithImage || CodeOf(err) == RepositoryNotFound {
		return s.settleReplica(tx, r, nil)
	}
	if err != nil {
		return err
	}
	if err := s.checkReplica(tx, r.Source.id, repo.name, false); err != nil {
		return err
	}
	img, err := repo.image(tx, Ref{r.Tag, r.Digest})
	switch CodeOf(err) {
	case ImageNotFound, TagMismatch:
		return s.settleReplica(tx, r, nil)
	}
	if err != nil {
		return err
	}
	if r.Tag.IsZero() {
		_, err = s.remove(ctx, tx, repo, img, removal{cause: TrashedByRequest, replica: true})
	} else if err = s.checkUnprotected(repo, img, []Tag{r.Tag}); err == nil {
		err = s.untag(ctx, tx, repo, r.Tag, &img)
	}
	if err != nil {
		return err
	}
	return s.settleReplica(tx, r, nil)
}

// copying is a replica inside its transaction.
type copying struct {
	Replica
	from, to repository
	img      stored
	body     []byte
	manifest manifest.Manifest
}

func (s *Service) receive(ctx context.Context, tx storage.Tx, r Replica) error {
	from, img, ok, err := r.source(tx)
	if err != nil || !ok {
		return err
	}
	if r.Deleted {
		return s.receiveRemoval(ctx, tx, r)
	}
	c := copying{Replica: r, from: from, img: img}
	if c.body, err = from.manifest(tx, img); err != nil {
		return err
	}
	if c.manifest, err = manifest.Reread(img.row.MediaType, c.body); err != nil {
		return fmt.Errorf("manifest %s of %s was taken once: %w", img.digest, from.name, err)
	}
	if c.to, err = s.destination(ctx, tx, r); err != nil {
		return err
	}
	behind, err := s.childrenFirst(tx, c)
	if err != nil || behind {
		return err
	}
	if err := s.copyImage(ctx, tx, c); err != nil {
		return err
	}
	return s.settleReplica(tx, r, nil)
}

// destination is the repository that a replica goes to, made if it is missing.
func (s *Service) destination(ctx context.Context, tx storage.Tx, r Replica) (repository, error) {
	name := Name{r.To, r.Source.path}
	repo, err := find(tx, name)
	absent := CodeOf(err) == RepositoryNotFound
	if err != nil && !absent {
		return repository{}, err
	}
	if err := s.checkReplica(tx, r.Source.id, name, absent); err != nil || !absent {
		return repo, err
	}
	return s.createFor(ctx, tx, name, ForReplication)
}

// childrenFirst puts a list to the end of its lane, behind those of its images that
// are missing at the destination, and says whether it did. They were there before
// replication was, or have been deleted there, or are lists that wait for theirs. A
// list fails if an image is missing that it has waited for. What the source does
// not have either is not waited for.
func (s *Service) childrenFirst(tx storage.Tx, c copying) (behind bool, err error) {
	absent, err := c.missingChildren(tx)
	if err != nil || len(absent) == 0 {
		return false, err
	}
	if err := s.takeOut(tx, c.Replica, func(*replicationRow) {}); err != nil {
		return false, err
	}
	waits := false
	for _, child := range absent {
		waiting, err := s.awaitChild(tx, child, c.again)
		if err != nil {
			return false, err
		}
		waits = waits || waiting
	}
	if !waits {
		return false, &replicationFailure{FailedByChild, fmt.Sprintf("Images that the list names have not come to the destination: %s is one", absent[0].Digest)}
	}
	list := c.Replica
	list.again = true
	return true, s.planReplica(tx, list)
}

// awaitChild says whether an image of a list is on its way, and sends it unless it
// was sent before.
func (s *Service) awaitChild(tx storage.Tx, child Replica, sent bool) (waiting bool, err error) {
	status, err := replications.Get(tx, child.statusKey()...)
	switch {
	case ignoreNotFound(err) != nil:
		return false, err
	case len(status.Waiting) > 0:
		return true, nil
	case sent:
		return false, nil
	}
	return true, s.planReplica(tx, child)
}

// missingChildren are the images of a list that the destination does not have and
// the source does, as replicas without a tag.
func (c copying) missingChildren(tx storage.Tx) (absent []Replica, err error) {
	for _, m := range c.manifest.Manifests {
		there, err := images.Has(tx, c.to.key(m.Digest.String())...)
		if err != nil {
			return nil, err
		}
		here, err := images.Has(tx, c.from.key(m.Digest.String())...)
		if err != nil {
			return nil, err
		}
		if here && !there {
			child := c.Replica
			child.Digest, child.Tag, child.again = m.Digest, Tag{}, false
			absent = append(absent, child)
		}
	}
	return absent, nil
}

// copyImage gives the destination the image and the tag, and tells of it unless
// nothing is new.
func (s *Service) copyImage(ctx context.Context, tx storage.Tx, c copying) error {
	if err := s.shareLayers(tx, c); err != nil {
		return err
	}
	p := pushing{repo: c.to, manifest: c.manifest, digest: c.Digest, Push: Push{Body: c.body}, sparse: true}
	img, there, err := s.storeImage(tx, &p)
	if err != nil {
		return err
	}
	back, err := s.unarchive(ctx, tx, &p.repo, &img, there, s.activate) // and goes no further
	if err != nil {
		return err
	}
	tag := c.Tag
	tagged, err := s.setTag(tx, p.repo, tag, &img, s.mostTags())
	if CodeOf(err) == TagImmutable {
		tag, err = Tag{}, nil
	}
	if err != nil || there && !back && !tagged {
		return err
	}
	img.row.Replica = img.row.Replica || !there
	if err := images.Put(tx, img.row, c.to.key(c.Digest.String())...); err != nil {
		return err
	}
	if err := s.scanArrived(tx, p.repo, img); err != nil {
		return err
	}
	e := eventRow{Digest: c.Digest, MediaType: img.row.MediaType, Tag: tag.s, Detail: detail(c.detail("SUCCESS"))}
	return s.record(ctx, tx, ImageReplicated, c.to, e)
}

// shareLayers lets the destination hold what the image refers to. What the
// source does not hold is foreign or optional.
func (s *Service) shareLayers(tx storage.Tx, c copying) error {
	for _, b := range blobsOf(c.manifest) {
		there, err := held.Has(tx, c.to.key(b.Digest.String())...)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		here, err := held.Has(tx, c.from.key(b.Digest.String())...)
		if err != nil {
			return err
		}
		if !here {
			continue
		}
		content, err := contents.Get(tx, b.Digest.String())
		if err != nil {
			return fmt.Errorf("content of %s: %w", b.Digest, err)
		}
		if _, err := s.admit(tx, c.to, b.Digest, content); err != nil {
			return err
		}
	}
	return nil
}
