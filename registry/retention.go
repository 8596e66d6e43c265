package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

const (
	// runBatch is how many images a run works on in a transaction, and records in
	// an event (ECR reference, policies.md section 4).
	runBatch = 10
	// keptPause is how often images are recorded that a rule would take and that
	// must stay: as often as ECR looks at them, be the runs ever so frequent.
	keptPause = 24 * time.Hour
)

// errStale says that a plan is not in force any more: the policy was replaced or
// deleted, or the repository, or another process has made a plan.
var errStale = errors.New("the lifecycle policy is another one by now")

// RunLifecycle does what the lifecycle policies say of all repositories that are
// due: Options.LifecycleInterval after the last run, or after the policy was put.
// A run that was broken off goes on where it was. What fails in one repository
// keeps no other from its run; it comes back in the error.
func (s *Service) RunLifecycle(ctx context.Context) error {
	ctx = auth.WithPrincipal(ctx, auth.Principal{}) // the server itself
	failed := []error{s.FlushPulls(ctx), s.clearPlans(ctx)}
	var after []string
	for more := true; more && ctx.Err() == nil; {
		page, err := s.lifecyclesDue(ctx, after, batch)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, f := range page {
			if err := s.runLifecycle(ctx, f); err != nil {
				failed = append(failed, fmt.Errorf("lifecycle policy of %s: %w", f.Row.Repository, err))
			}
			after = f.Key
		}
		more = len(page) == batch
	}
	return errors.Join(append(failed, ctx.Err())...)
}

// LifecycleDue says whether RunLifecycle has anything to do.
func (s *Service) LifecycleDue(ctx context.Context) (bool, error) {
	page, err := s.lifecyclesDue(ctx, nil, 1)
	if err != nil || len(page) > 0 {
		return len(page) > 0, err
	}
	return s.plansLeft(ctx)
}

// plansLeft says whether there are plans to be cleared away.
func (s *Service) plansLeft(ctx context.Context) (left bool, err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		n, err := countRows(oldPlans.Scan(r, table.Select{Limit: 1}))
		left = n > 0
		return err
	})
	return left, err
}

// lifecyclesDue lists policies that are to be run, those after a key.
func (s *Service) lifecyclesDue(ctx context.Context, after []string, limit int) ([]table.Found[dueRow], error) {
	return s.due(ctx, lifecyclesDue, s.now().Add(-s.live.Load().LifecycleInterval), after, limit)
}

// due lists what a table has up to a time, which its keys begin with, after a key.
func (s *Service) due(ctx context.Context, t table.Table[dueRow], until time.Time, after []string, limit int) (page []table.Found[dueRow], err error) {
	err = s.view(ctx, func(r storage.Reader) error {
		page = nil
		for f, err := range t.Scan(r, table.Select{After: after, Limit: limit}) {
			if err != nil {
				return err
			}
			at, err := strconv.ParseInt(f.Key[0], 16, 64)
			if err != nil {
				return fmt.Errorf("key of what is due: %w", err)
			}
			if at > until.UnixNano() {
				return nil
			}
			page = append(page, f)
		}
		return nil
	})
	return page, err
}

// lifecycleRun is one run of a policy.
type lifecycleRun struct {
	s      *Service
	repo   repository
	row    lifecycleRow // as the run found it
	policy *lifecycle.Policy
	plan   planRow
}

// runLifecycle runs the policy of one repository.
func (s *Service) runLifecycle(ctx context.Context, due table.Found[dueRow]) error {
	run := &lifecycleRun{s: s}
	err := s.view(ctx, func(r storage.Reader) (err error) {
		run.repo, err = find(r, Name{ID{due.Key[1], due.Key[2]}, due.Row.Repository})
		if err == nil && run.repo.row.ID != due.Key[3] {
			err = repositoryNotFound(run.repo.name)
		}
		if err == nil {
			run.row, err = run.repo.lifecycle(r)
		}
		return err
	})
	if err == nil {
		err = run.do(ctx)
	}
	switch CodeOf(err) {
	case RepositoryNotFound, LifecyclePolicyNotFound: // gone, with all that was to be done
		return nil
	}
	if errors.Is(err, errStale) {
		return nil
	}
	return err
}

func (r *lifecycleRun) do(ctx context.Context) (err error) {
	if r.policy, err = r.s.parseLifecycle(r.row.Text); err != nil {
		r.s.log.Warn("a lifecycle policy that was taken once is not run", "repository", r.repo.name.String(), "reason", err)
		return r.update(ctx, func(tx storage.Tx, row *lifecycleRow) error { return r.reschedule(tx, row) })
	}
	if r.row.Plan != nil && r.row.Plan.Ready {
		r.plan = *r.row.Plan
	} else if err := r.decide(ctx); err != nil {
		return err
	}
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.update(ctx, func(tx storage.Tx, row *lifecycleRow) (err error) {
			more, err = r.step(ctx, tx, row)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// update changes rows as long as the policy is the one that the run is of.
func (r *lifecycleRun) update(ctx context.Context, fn func(storage.Tx, *lifecycleRow) error) error {
	return r.s.update(ctx, func(tx storage.Tx) error {
		row, err := r.current(tx)
		if err != nil {
			return err
		}
		return fn(tx, &row)
	})
}

// current reads the policy, and the repository again, which others change. The
// error is errStale if they are not those of the run.
func (r *lifecycleRun) current(tx storage.Tx) (lifecycleRow, error) {
	repo, err := find(tx, r.repo.name)
	if err != nil {
		return lifecycleRow{}, err
	}
	row, err := repo.lifecycle(tx)
	if err == nil && (repo.row.ID != r.repo.row.ID || row.Version != r.row.Version || !row.Since.Equal(r.row.Since)) {
		err = errStale
	}
	if plan := row.planID(); err == nil && plan != r.row.planID() && plan != r.plan.ID { // another process is at it
		err = errStale
	}
	r.repo = repo
	return row, err
}

// planID is the id of the plan of the run under way, "" if none is.
func (row lifecycleRow) planID() string {
	if row.Plan == nil {
		return ""
	}
	return row.Plan.ID
}

// reschedule ends a run, or passes it over, and sets the next one.
func (r *lifecycleRun) reschedule(tx storage.Tx, row *lifecycleRow) error {
	if err := r.repo.unschedule(tx, *row); err != nil {
		return err
	}
	return r.repo.schedule(tx, row, r.s.now())
}

// decide decides what is to be done and writes that down.
func (r *lifecycleRun) decide(ctx context.Context) error {
	now := r.s.now().UTC()
	list, err := r.s.decide(ctx, r.repo, r.policy, now)
	if err != nil {
		return err
	}
	r.plan = planRow{ID: newID(), At: now, Kept: now.Sub(r.row.KeptAt) >= keptPause}
	if !r.plan.Kept {
		list = slices.DeleteFunc(list, func(d decisionRow) bool { return d.Kept != "" })
	}
	return r.s.writePlan(ctx, r.repo, r.plan.ID, list, func(tx storage.Tx, last bool) error {
		row, err := r.current(tx)
		if err != nil {
			return err
		}
		return r.keepPlan(tx, row, last)
	})
}

// keepPlan notes the plan of the run with its policy. One that was not written
// to its end before goes.
func (r *lifecycleRun) keepPlan(tx storage.Tx, row lifecycleRow, ready bool) error {
	if row.Plan != nil && row.Plan.ID != r.plan.ID {
		if err := r.repo.discard(tx, row.Plan.ID); err != nil {
			return err
		}
	}
	r.plan.Ready = ready
	plan := r.plan
	row.Plan = &plan
	return lifecycles.Put(tx, row, r.repo.key()...)
}

// step carries out the next decisions of the plan, or ends the run if there are
// none left.
func (r *lifecycleRun) step(ctx context.Context, tx storage.Tx, row *lifecycleRow) (more bool, err error) {
	var todo []table.Found[decisionRow]
	for f, err := range decisions.Scan(tx, table.Select{Prefix: r.repo.key(r.plan.ID), Limit: runBatch}) {
		if err != nil {
			return false, err
		}
		todo = append(todo, f)
	}
	if len(todo) == 0 {
		row.EvaluatedAt = r.s.now().UTC()
		if r.plan.Kept {
			row.KeptAt = row.EvaluatedAt
		}
		row.Plan = nil // its rows are gone
		return false, r.reschedule(tx, row)
	}
	record := lifecycleRecord(r.repo.name, r.policy, *row)
	for _, f := range todo {
		done, err := r.s.carryOut(ctx, tx, r.repo, f.Row)
		if err != nil {
			return false, err
		}
		record.add(f.Row, done)
		if err := decisions.Delete(tx, f.Key...); err != nil {
			return false, err
		}
	}
	return true, r.s.recordLifecycle(ctx, tx, LifecycleRun, r.repo, record)
}
