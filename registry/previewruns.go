package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// RunPreviews makes the previews that were started, those among them that were
// broken off, and clears away the results that have expired. What fails keeps no
// other preview; it comes back in the error, and is tried again with the next call.
func (s *Service) RunPreviews(ctx context.Context) error {
	ctx = auth.WithPrincipal(ctx, auth.Principal{}) // the server itself
	failed := []error{s.clearPlans(ctx)}
	var after []string
	for more := true; more && ctx.Err() == nil; {
		page, err := s.due(ctx, previewsDue, s.now(), after, batch)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, f := range page {
			if err := s.runPreview(ctx, f); err != nil {
				failed = append(failed, fmt.Errorf("lifecycle policy preview of %s: %w", f.Row.Repository, err))
			}
			after = f.Key
		}
		more = len(page) == batch
	}
	return errors.Join(append(failed, ctx.Err())...)
}

// PreviewsDue says whether RunPreviews has anything to do.
func (s *Service) PreviewsDue(ctx context.Context) (bool, error) {
	page, err := s.due(ctx, previewsDue, s.now(), nil, 1)
	if err != nil || len(page) > 0 {
		return len(page) > 0, err
	}
	return s.plansLeft(ctx)
}

// previewRun is the making of one preview.
type previewRun struct {
	s      *Service
	repo   repository
	row    previewRow
	policy *lifecycle.Policy
	// found is the plan that the preview had, plan the one made here.
	found, plan string
}

// runPreview does what is due to a preview.
func (s *Service) runPreview(ctx context.Context, due table.Found[dueRow]) error {
	run := &previewRun{s: s}
	err := s.view(ctx, func(r storage.Reader) (err error) {
		run.repo, err = find(r, Name{ID{due.Key[1], due.Key[2]}, due.Row.Repository})
		if err == nil && run.repo.row.ID != due.Key[3] {
			err = repositoryNotFound(run.repo.name)
		}
		if err == nil {
			run.row, err = previews.Get(r, run.repo.key()...)
			run.found = run.row.ID
		}
		return err
	})
	switch {
	case err != nil:
	case run.row.State == PreviewInProgress:
		err = run.do(ctx)
	default:
		err = run.end(ctx, PreviewExpired)
	}
	if CodeOf(err) == RepositoryNotFound || errors.Is(err, errStale) { // gone, with all that was to be done
		return nil
	}
	return err
}

func (r *previewRun) do(ctx context.Context) (err error) {
	if r.policy, err = r.s.parseLifecycle(r.row.Text); err != nil {
		r.s.log.Warn("a lifecycle policy that was taken once cannot be previewed", "repository", r.repo.name.String(), "reason", err)
		return r.end(ctx, PreviewFailed)
	}
	if !r.row.Written {
		if err := r.write(ctx); err != nil {
			return err
		}
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.update(ctx, func(tx storage.Tx) (err error) {
			more, err = r.step(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// update changes rows as long as the preview is the one that is being made.
func (r *previewRun) update(ctx context.Context, fn func(storage.Tx) error) error {
	return r.s.update(ctx, func(tx storage.Tx) error {
		if err := r.read(tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// read reads the preview again. The error is errStale if it is another one, or
// another process makes it.
func (r *previewRun) read(tx storage.Tx) error {
	if err := r.repo.checkThere(tx); err != nil {
		return err
	}
	row, err := previews.Get(tx, r.repo.key()...)
	if err == nil && (!row.StartedAt.Equal(r.row.StartedAt) || row.State != r.row.State || row.ID != r.found && row.ID != r.plan) {
		err = errStale
	}
	r.row = row
	return err
}

// end ends a preview without results.
func (r *previewRun) end(ctx context.Context, as PreviewState) error {
	return r.update(ctx, func(tx storage.Tx) error {
		if err := r.repo.endPreview(tx, r.row); err != nil {
			return err
		}
		row := r.row
		row.State = as
		return previews.Put(tx, row, r.repo.key()...)
	})
}

// write decides what would be done and writes that down. What was written before
// the making was broken off goes.
func (r *previewRun) write(ctx context.Context) error {
	list, err := r.s.decide(ctx, r.repo, r.policy, r.s.now().UTC())
	if err != nil {
		return err
	}
	var results []decisionRow
	expiring, archiving := 0, 0
	for _, d := range list {
		switch {
		case d.Kept != "": // images that must stay are not acted on
			continue
		case d.Action == lifecycle.Expire:
			expiring++
		default:
			archiving++
		}
		results = append(results, d)
	}
	r.plan = newID()
	return r.s.writePlan(ctx, r.repo, r.plan, results, func(tx storage.Tx, last bool) error {
		if err := r.read(tx); err != nil {
			return err
		}
		row := r.row
		if row.ID != r.plan {
			if err := r.repo.discard(tx, row.ID); err != nil {
				return err
			}
		}
		row.ID, row.Written, row.Expiring, row.Archiving = r.plan, last, expiring, archiving
		return previews.Put(tx, row, r.repo.key()...)
	})
}

// step records the next results and makes them found by digest and tag, or
// completes the preview if there are none left.
func (r *previewRun) step(ctx context.Context, tx storage.Tx) (more bool, err error) {
	sel := table.Select{Prefix: r.repo.key(r.row.ID), Limit: planBatch}
	if r.row.Recorded != "" {
		sel.After = []string{r.row.Recorded}
	}
	var page []table.Found[decisionRow]
	for f, err := range decisions.Scan(tx, sel) {
		if err != nil {
			return false, err
		}
		page = append(page, f)
	}
	if len(page) == 0 {
		return false, r.complete(tx)
	}
	for some := range slices.Chunk(page, runBatch) {
		if err := r.record(ctx, tx, some); err != nil {
			return false, err
		}
	}
	row := r.row
	row.Recorded = page[len(page)-1].Key[4]
	return true, previews.Put(tx, row, r.repo.key()...)
}

// record writes one event of some results.
func (r *previewRun) record(ctx context.Context, tx storage.Tx, some []table.Found[decisionRow]) error {
	record := lifecycleRecord(r.repo.name, r.policy, lifecycleRow{PolicyID: r.row.PolicyID, Version: r.row.Version})
	for _, f := range some {
		record.add(f.Row, outcome{done: true})
		for _, word := range append([]string{f.Row.Digest.String()}, f.Row.Tags...) {
			if err := decided.Put(tx, decidedRow{f.Key[4]}, f.Key[0], f.Key[1], f.Key[2], f.Key[3], word); err != nil {
				return err
			}
		}
	}
	return r.s.recordLifecycle(ctx, tx, LifecyclePreviewed, r.repo, record)
}

func (r *previewRun) complete(tx storage.Tx) error {
	if err := previewsDue.Delete(tx, r.repo.dueKey(r.row.Due)...); err != nil {
		return err
	}
	row := r.row
	row.State = PreviewComplete
	return r.repo.putPreview(tx, row, r.s.now().Add(previewLife).UTC())
}
