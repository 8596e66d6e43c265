package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
)

// outcome is what became of a decision: it was done, nothing was left to be done
// to, or it was not done, for a reason.
type outcome struct {
	done         bool
	code, reason string
}

// FactsChanged is the failure code of an image that is not any more what it was
// when the policy decided. It is looked at again in the next run.
const FactsChanged = "ImageChanged"

var changed = outcome{code: FactsChanged, reason: "The image has changed since the policy was evaluated"}

// carryOut does what was decided of an image, if the facts are still those that
// the decision stands on.
func (s *Service) carryOut(ctx context.Context, tx storage.Tx, repo repository, d decisionRow) (outcome, error) {
	if d.Kept != "" {
		return outcome{code: string(d.Kept), reason: keptReason(d.Kept)}, nil
	}
	repo, err := find(tx, repo.name) // as the image before left it
	if err != nil {
		return outcome{}, err
	}
	img, err := repo.image(tx, Ref{Digest: d.Digest})
	if CodeOf(err) == ImageNotFound {
		return outcome{}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	named, err := repo.tagNames(tx, img)
	if err != nil {
		return outcome{}, err
	}
	if went, err := repo.subjectWent(tx, d); err != nil || !went {
		return changed, err
	}
	if !d.Subject.IsZero() && d.Action == lifecycle.Transition && img.row.status() == Archived {
		return outcome{done: true}, nil // it went with its subject
	}
	if !d.standsOn(img, named) {
		return changed, nil
	}
	if d.Action == lifecycle.Expire {
		_, err = s.remove(ctx, tx, repo, img, removal{cause: TrashedByLifecycle, reason: d.why()})
	} else {
		err = s.archive(ctx, tx, &repo, &img)
	}
	switch CodeOf(err) {
	case Protected: // it was not when the policy was evaluated
		return outcome{code: string(lifecycle.Protected), reason: keptReason(lifecycle.Protected)}, nil
	case ImageReferenced, StorageClassUnchangeable: // an index came that names it
		return outcome{code: string(lifecycle.ReferencedByIndex), reason: keptReason(lifecycle.ReferencedByIndex)}, nil
	}
	return outcome{done: err == nil}, err
}

// subjectWent says whether the subject went whose referrer is to follow it. It is
// true of a decision on an image that follows none.
func (r repository) subjectWent(rd storage.Reader, d decisionRow) (bool, error) {
	if d.Subject.IsZero() {
		return true, nil
	}
	row, err := images.Get(rd, r.key(d.Subject.String())...)
	if errors.Is(err, storage.ErrNotFound) {
		return d.Action == lifecycle.Expire, nil
	}
	return d.Action == lifecycle.Transition && row.status() == Archived, err
}

// why is the reason of a decision as the trash shows it.
func (d decisionRow) why() string {
	if d.Rule == 0 {
		return d.Reason
	}
	return fmt.Sprintf("rule %d: %s", d.Rule, d.Reason)
}

func keptReason(k lifecycle.Kept) string {
	switch k {
	case lifecycle.ReferencedByIndex:
		return "Requested image referenced by manifest list"
	case lifecycle.Protected:
		return "The server's configuration protects the image from deletion"
	}
	return "A keep rule of the policy has the image stay"
}
