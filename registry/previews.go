package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// PreviewState says how far a preview is.
type PreviewState string

// The states (model: LifecyclePolicyPreviewStatus).
const (
	PreviewInProgress PreviewState = "IN_PROGRESS"
	PreviewComplete   PreviewState = "COMPLETE"
	PreviewExpired    PreviewState = "EXPIRED" // its results are gone
	PreviewFailed     PreviewState = "FAILED"  // the text is none any more that the server takes
)

// previewLife is how long results are kept. ECR's time is not known.
const previewLife = 24 * time.Hour

// LifecyclePreview is what a lifecycle policy would do to a repository's images.
type LifecyclePreview struct {
	Text  string // as it was sent
	State PreviewState
	// Expiring and Archiving are how many images would go, of all results; 0
	// unless State is PreviewComplete.
	Expiring, Archiving int
	// Results are a page of the images that something would be done to, by rule
	// and from the oldest on, what follows its subject behind them.
	Results []PreviewResult
}

// PreviewResult is what would be done to an image, and the image as it was.
type PreviewResult struct {
	Digest   digest.Digest
	Tags     []string
	PushedAt time.Time
	Archived bool
	Action   lifecycle.Action
	Rule     int // priority, 0 where an image follows a subject that went earlier
	Reason   string
}

// PreviewFilter chooses results. The zero value takes all.
type PreviewFilter struct {
	Tags TagFilter
	// Images, if not nil, are those whose results are asked for, by the digests
	// and tags that they had.
	Images []Ref
}

func (f PreviewFilter) takes(d decisionRow) bool { return f.Tags.takes(imageRow{Tags: len(d.Tags)}) }

// StartLifecyclePreview has a preview made of a text or, where that is "", of the
// repository's own lifecycle policy, in place of an earlier one. It is made in the
// background, by RunPreviews. Refusals: RepositoryNotFound,
// LifecyclePolicyNotFound, LifecyclePolicyInvalid, LifecyclePreviewInProgress.
func (s *Service) StartLifecyclePreview(ctx context.Context, name Name, text string) (p LifecyclePreview, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		row := previewRow{ID: newID(), Text: text, State: PreviewInProgress, StartedAt: s.now().UTC()}
		if text == "" {
			own, err := repo.lifecycle(tx)
			if err != nil {
				return err
			}
			row.Text, row.PolicyID, row.Version = own.Text, own.PolicyID, own.Version
		}
		if _, err := s.parseLifecycle(row.Text); err != nil {
			return err
		}
		if err := repo.replacePreview(tx); err != nil {
			return err
		}
		p = LifecyclePreview{Text: row.Text, State: row.State}
		return repo.putPreview(tx, row, row.StartedAt)
	})
	if err == nil {
		s.wakePreviews()
	}
	return p, err
}

// replacePreview takes an earlier preview away, unless it is under way.
func (r repository) replacePreview(tx storage.Tx) error {
	old, err := previews.Get(tx, r.key()...)
	if err != nil {
		return ignoreNotFound(err)
	}
	if old.State == PreviewInProgress {
		e := refuse(LifecyclePreviewInProgress, "a preview of lifecycle policies of %q is under way", r.name)
		e.Name = r.name
		return e
	}
	return r.endPreview(tx, old)
}

// endPreview has a preview's results cleared away, and nothing more is due to it.
func (r repository) endPreview(tx storage.Tx, row previewRow) error {
	if err := previewsDue.Delete(tx, r.dueKey(row.Due)...); err != nil {
		return err
	}
	return r.discard(tx, row.ID)
}

// putPreview keeps a preview to which something is due at a time.
func (r repository) putPreview(tx storage.Tx, row previewRow, due time.Time) error {
	row.Due = due
	if err := previewsDue.Put(tx, dueRow{r.name.path}, r.dueKey(due)...); err != nil {
		return err
	}
	return previews.Put(tx, row, r.key()...)
}

// wakePreviews says that there is a preview to be made.
func (s *Service) wakePreviews() {
	select {
	case s.previewsWanted <- struct{}{}:
	default:
	}
}

// PreviewsWanted has a value when a preview may have been started in this process.
func (s *Service) PreviewsWanted() <-chan struct{} { return s.previewsWanted }

// LifecyclePreview is the last preview of a repository. Results are those after
// the given place ("" for the first page), at most limit; next is the place where
// the next page begins, "" if there is none. Pages may be short. Where images are
// named there is one page, whatever the limit. Refusals: RepositoryNotFound,
// LifecyclePreviewNotFound, PageInvalid.
func (s *Service) LifecyclePreview(ctx context.Context, name Name, filter PreviewFilter, after string, limit int) (p LifecyclePreview, next string, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		repo, err := find(r, name)
		if err != nil {
			return err
		}
		row, err := previews.Get(r, repo.key()...)
		if errors.Is(err, storage.ErrNotFound) {
			e := refuse(LifecyclePreviewNotFound, "no preview of lifecycle policies of %q was started", name)
			e.Name = name
			return e
		}
		if err != nil {
			return err
		}
		p, next = LifecyclePreview{Text: row.Text, State: row.stateAt(s.now())}, ""
		if p.State != PreviewComplete {
			return nil
		}
		p.Expiring, p.Archiving = row.Expiring, row.Archiving
		if filter.Images != nil {
			return repo.namedResults(r, row.ID, filter, &p)
		}
		next, err = repo.results(r, row.ID, filter, after, limit, &p)
		return err
	})
	return p, next, err
}

// stateAt is the state at a time: what has expired has, be it cleared or not.
func (row previewRow) stateAt(now time.Time) PreviewState {
	if row.State == PreviewComplete && !now.Before(row.Due) {
		return PreviewExpired
	}
	return row.State
}

// results adds a page of a preview's results.
func (r repository) results(rd storage.Reader, plan string, filter PreviewFilter, after string, limit int, p *LifecyclePreview) (next string, err error) {
	of, number, _ := strings.Cut(after, " ")
	if after != "" && of != plan { // a newer preview has other results
		return "", refuse(PageInvalid, "%.150q is no place in this preview", after)
	}
	sel := table.Select{Prefix: r.key(plan)}
	if number != "" {
		sel.After = []string{number}
	}
	last, left := "", limit*rowsForEach+rowsAtLeast
	for f, err := range decisions.Scan(rd, sel) {
		if err != nil {
			return "", err
		}
		if len(p.Results) == limit || left == 0 {
			return plan + " " + last, nil
		}
		if filter.takes(f.Row) {
			p.Results = append(p.Results, f.Row.result())
		}
		last, left = f.Key[4], left-1
	}
	return "", nil
}

// namedResults adds the results of images that are asked for, in order of the
// plan, each once.
func (r repository) namedResults(rd storage.Reader, plan string, filter PreviewFilter, p *LifecyclePreview) error {
	var numbers []string
	for _, ref := range filter.Images {
		number, err := r.numberOf(rd, plan, ref)
		if err != nil {
			return err
		}
		if number != "" {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		d, err := decisions.Get(rd, r.key(plan, number)...)
		if err != nil {
			return fmt.Errorf("result %s of preview %s: %w", number, plan, err)
		}
		if filter.takes(d) {
			p.Results = append(p.Results, d.result())
		}
	}
	return nil
}

// numberOf is the number of the result on an image, "" if there is none or tag
// and digest were of different ones.
func (r repository) numberOf(rd storage.Reader, plan string, ref Ref) (number string, err error) {
	for _, word := range []string{ref.Tag.s, ref.Digest.String()} {
		if word == "" {
			continue
		}
		row, err := decided.Get(rd, r.key(plan, word)...)
		if errors.Is(err, storage.ErrNotFound) || err == nil && number != "" && number != row.Number {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		number = row.Number
	}
	return number, nil
}

func (d decisionRow) result() PreviewResult {
	return PreviewResult{
		Digest: d.Digest, Tags: d.Tags, PushedAt: d.PushedAt, Archived: d.Archived, Action: d.Action, Rule: d.Rule, Reason: d.Reason,
	}
}
