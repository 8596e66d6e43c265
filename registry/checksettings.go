package registry

import (
	"slices"

	"github.com/seed-78150930/berth/storage/table"
)

// configurations: what registries have set passes its checks, and rules stand
// under their prefixes.
func (a *audit) configurations() {
	for f := range rowsOf(a, documents) {
		id, row := ID{f.Key[0], f.Key[1]}, "document "+join(f.Key)
		if c, err := scanningOf(a.r, id); err != nil || checkScanning(c) != nil {
			a.fault(FaultSetting, row, "scanning configuration %+v: %v, %v", c, err, checkScanning(c))
		}
		if c, err := signingOf(a.r, id); CodeOf(err) != SigningNotFound && (err != nil || c.check(id.Region, a.s.Limits()) != nil) {
			a.fault(FaultSetting, row, "signing configuration %+v: %v", c, err)
		}
	}
	for f := range rowsOf(a, pullThroughRules) {
		rule, id := f.Row.public(), ID{f.Key[0], f.Key[1]}
		if err := rule.settle(id, []string{rule.UpstreamHost}); err != nil || rule.Upstream != f.Row.Upstream || join(id.pullThroughKey(rule.Prefix)) != join(f.Key) {
			a.fault(FaultSetting, "pullthrough "+join(f.Key), "rule %+v: %v", f.Row, err)
		}
	}
}

// policies: each is kept as it is shown and keeps to the registry's scope. What was
// deleted has left its version alone.
func (a *audit) policies() {
	for f := range rowsOf(a, documents) {
		id, row := ID{f.Key[0], f.Key[1]}, "document "+join(f.Key)
		if f.Row.Version < 1 {
			a.fault(FaultSetting, row, "it has version %d", f.Row.Version)
		}
		if f.Key[2] == registryPolicyKind && f.Row.Text != "" {
			if p, err := registryPolicy(a.r, id); err != nil || p.Text() != f.Row.Text {
				a.fault(FaultSetting, row, "registry policy %s: %v", f.Row.Text, err)
			}
		}
		if err := a.inScope(id); err != nil {
			a.fault(FaultSetting, row, "the registry's policy and its scope: %v", err)
		}
	}
	for f := range rowsOf(a, repositoryDocuments) {
		p, err := parseRepositoryPolicy(ID{f.Key[0], f.Key[1]}, f.Row.Text)
		if f.Row.Version < 1 || f.Row.Text != "" && (err != nil || p.Text() != f.Row.Text) {
			a.fault(FaultSetting, "repodocument "+join(f.Key), "%+v: %v", f.Row, err)
		}
	}
}

// inScope says what is wrong between a registry's policy and its scope.
func (a *audit) inScope(id ID) error {
	scope, err := settingOf(a.r, id, RegistryPolicyScope)
	if err != nil {
		return err
	}
	return checkScope(a.r, id, RegistryPolicyScope, scope)
}

// lifecycles: what is due to a policy is one row, at the time that it says.
func (a *audit) lifecycles() {
	for f := range rowsOf(a, lifecycles) {
		row := "lifecycle " + join(f.Key)
		a.ofKnownRepository(FaultLifecycle, row, f.Key)
		if f.Row.Text == "" {
			continue
		}
		if !a.isTrashed(f.Key) && !has(a, lifecyclesDue, dueKey(f.Row.Since, f.Key)...) {
			a.fault(FaultLifecycle, row, "the policy is not due")
		}
		if _, err := a.s.parseLifecycle(f.Row.Text); err != nil && a.s.live.Load().LifecycleExtensions {
			a.fault(FaultLifecycle, row, "%v", err)
		}
	}
	for f := range rowsOf(a, lifecyclesDue) {
		policy, ok := get(a, lifecycles, f.Key[1:]...)
		ok = ok && policy.Text != "" && !a.isTrashed(f.Key[1:]) && slices.Equal(dueKey(policy.Since, f.Key[1:]), f.Key)
		a.due("lifecycledue "+join(f.Key), f, ok)
	}
}

// previews: likewise, unless nothing is due to them any more.
func (a *audit) previews() {
	for f := range rowsOf(a, previews) {
		a.ofKnownRepository(FaultLifecycle, "preview "+join(f.Key), f.Key)
		if f.Row.isDue() && !a.isTrashed(f.Key) && !has(a, previewsDue, dueKey(f.Row.Due, f.Key)...) {
			a.fault(FaultLifecycle, "preview "+join(f.Key), "it is not due")
		}
	}
	for f := range rowsOf(a, previewsDue) {
		preview, ok := get(a, previews, f.Key[1:]...)
		ok = ok && preview.isDue() && !a.isTrashed(f.Key[1:]) && slices.Equal(dueKey(preview.Due, f.Key[1:]), f.Key)
		a.due("previewdue "+join(f.Key), f, ok)
	}
}

// isDue says whether something is still to be done to a preview.
func (row previewRow) isDue() bool {
	return row.State == PreviewInProgress || row.State == PreviewComplete
}

// due: what is to be done is wanted, and of the repository that it names.
func (a *audit) due(row string, f table.Found[dueRow], wanted bool) {
	if !wanted {
		a.fault(FaultLifecycle, row, "nothing is due then")
	}
	if a.nameDiffers(f.Key[1:], f.Row.Repository) {
		a.fault(FaultLifecycle, row, "it is of %q and should be of %q", f.Row.Repository, a.alive[join(f.Key[1:])])
	}
}

// plans: decisions are of a run or a preview, or about to be cleared away.
func (a *audit) plans() {
	for f := range rowsOf(a, oldPlans) {
		a.ofKnownRepository(FaultLifecycle, "oldplan "+join(f.Key), f.Key)
	}
	plan, needed := "", false // one plan's decisions come together
	ofPlan := func(row string, key []string) {
		a.ofKnownRepository(FaultLifecycle, row, key)
		if join(key[:4]) != plan {
			plan, needed = join(key[:4]), a.isNeeded(key[:4])
		}
		if a.isAlive(key) && !needed {
			a.fault(FaultLifecycle, row, "it is of no plan")
		}
	}
	for f := range rowsOf(a, decisions) {
		ofPlan("decision "+join(f.Key), f.Key)
	}
	for f := range rowsOf(a, decided) {
		ofPlan("decided "+join(f.Key), f.Key)
		if !has(a, decisions, f.Key[0], f.Key[1], f.Key[2], f.Key[3], f.Row.Number) && !has(a, oldPlans, f.Key[:4]...) {
			a.fault(FaultLifecycle, "decided "+join(f.Key), "decision %s is not there", f.Row.Number)
		}
	}
}

// isNeeded says whether a plan is of a run or a preview, or about to go.
func (a *audit) isNeeded(key []string) bool {
	if policy, _ := get(a, lifecycles, key[:3]...); policy.Plan != nil && policy.Plan.ID == key[3] {
		return true
	}
	preview, _ := get(a, previews, key[:3]...)
	return preview.ID == key[3] || has(a, oldPlans, key...)
}

// events: the sequence stands where the last event does.
func (a *audit) events() {
	last := ""
	for f := range rowsOf(a, events) {
		last = f.Key[0]
	}
	seq, _ := get(a, sequences, eventSequence)
	if last != "" && last != sequenceKey(seq.Last) {
		a.fault(FaultEvent, "sequence "+eventSequence, "the last event is %s, the sequence stands at %s", last, sequenceKey(seq.Last))
	}
}
