package registry

import (
	"context"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/lifecycle"
	"github.com/seed-78150930/berth/storage"
)

// LifecycleDetail is the detail of LifecycleRun and LifecyclePreviewed, in the
// form of the events that ECR sends to CloudTrail (ECR reference, policies.md
// section 4, Audit), about at most ten images.
type LifecycleDetail struct {
	RepositoryName string                `json:"repositoryName"`
	Policy         LifecyclePolicyDetail `json:"lifecycleEventPolicy"`
	// Actions are what was done, and Failures what a rule wanted and was not done.
	Actions  []LifecycleAction  `json:"lifecycleEventImageActions"`
	Failures []LifecycleFailure `json:"lifecycleEventFailureDetails"`
}

// LifecyclePolicyDetail is a policy with those of its rules that concern the
// images of an event.
type LifecyclePolicyDetail struct {
	Rules           []LifecycleRuleDetail `json:"lifecycleEventRules"`
	LastEvaluatedAt int64                 `json:"lastEvaluatedAt"` // milliseconds, 0 before the first run
	Version         int                   `json:"policyVersion"`   // 0 of a preview whose text was sent with it
	ID              string                `json:"policyId"`        // likewise ""
}

// LifecycleRuleDetail is a rule.
type LifecycleRuleDetail struct {
	Priority    int                      `json:"rulePriority"`
	Description string                   `json:"description,omitempty"`
	Selection   LifecycleSelectionDetail `json:"lifecycleEventSelection"`
	Action      string                   `json:"action"` // expire, or transition
}

// LifecycleSelectionDetail is what a rule looks at.
type LifecycleSelectionDetail struct {
	TagStatus    string   `json:"tagStatus"` // Any, Tagged, or Untagged
	Prefixes     []string `json:"tagPrefixList"`
	Patterns     []string `json:"tagPatternList,omitempty"`
	CountType    string   `json:"countType"` // such as "Image count more than"
	Number       int      `json:"countNumber"`
	StorageClass string   `json:"storageClass,omitempty"` // archive; else not said
}

// LifecycleImage is an image as it was.
type LifecycleImage struct {
	Digest    digest.Digest `json:"digest"`
	TagStatus string        `json:"tagStatus"` // Tagged, or Untagged
	Tags      []string      `json:"tagList"`   // a hundred at most
	PushedAt  int64         `json:"pushedAt"`  // milliseconds
}

// LifecycleAction is what a rule did to an image. ECR says neither what it was
// nor why.
type LifecycleAction struct {
	Image  LifecycleImage   `json:"lifecycleEventImage"`
	Rule   int              `json:"rulePriority"`
	Action lifecycle.Action `json:"action"`
	Reason string           `json:"reason"`
}

// LifecycleFailure is what a rule wanted with an image and was not done.
type LifecycleFailure struct {
	LifecycleAction
	Code          string `json:"failureCode"` // such as ImageReferencedByManifestList
	FailureReason string `json:"failureReason"`
}

// maxAuditTags is how many tags of an image are recorded.
const maxAuditTags = 100

// lifecycleRecorder gathers a detail.
type lifecycleRecorder struct {
	detail LifecycleDetail
	rules  map[int]lifecycle.Rule // not in the detail yet
}

func lifecycleRecord(name Name, p *lifecycle.Policy, row lifecycleRow) *lifecycleRecorder {
	r := &lifecycleRecorder{rules: map[int]lifecycle.Rule{}, detail: LifecycleDetail{
		RepositoryName: name.path, Actions: []LifecycleAction{}, Failures: []LifecycleFailure{},
		Policy: LifecyclePolicyDetail{Rules: []LifecycleRuleDetail{}, LastEvaluatedAt: milliseconds(row.EvaluatedAt), Version: row.Version, ID: row.PolicyID},
	}}
	for _, rule := range p.Rules {
		r.rules[rule.Priority] = rule
	}
	return r
}

// milliseconds since 1970, 0 for no time.
func milliseconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// add notes what became of a decision. One on an image that is gone is not noted.
func (r *lifecycleRecorder) add(d decisionRow, o outcome) {
	if o == (outcome{}) {
		return
	}
	if rule, fresh := r.rules[d.Rule]; fresh {
		r.detail.Policy.Rules = append(r.detail.Policy.Rules, ruleDetail(rule))
		delete(r.rules, d.Rule)
	}
	a := LifecycleAction{Rule: d.Rule, Action: d.Action, Reason: d.Reason, Image: LifecycleImage{
		Digest: d.Digest, TagStatus: "Untagged", Tags: []string{}, PushedAt: milliseconds(d.PushedAt),
	}}
	if len(d.Tags) > 0 {
		a.Image.TagStatus, a.Image.Tags = "Tagged", d.Tags[:min(len(d.Tags), maxAuditTags)]
	}
	if o.done {
		r.detail.Actions = append(r.detail.Actions, a)
		return
	}
	r.detail.Failures = append(r.detail.Failures, LifecycleFailure{a, o.code, o.reason})
}

// recordLifecycle writes the event, if there is anything to say.
func (s *Service) recordLifecycle(ctx context.Context, tx storage.Tx, kind EventKind, repo repository, r *lifecycleRecorder) error {
	if len(r.detail.Actions)+len(r.detail.Failures) == 0 {
		return nil
	}
	return s.record(ctx, tx, kind, repo, eventRow{Detail: detail(r.detail)})
}

// The words of CloudTrail's events. The first of each is known, the others are
// put as those are.
var (
	auditStatus = map[lifecycle.TagStatus]string{lifecycle.Any: "Any", lifecycle.Tagged: "Tagged", lifecycle.Untagged: "Untagged"}
	auditCount  = map[lifecycle.CountType]string{
		lifecycle.ImageCountMoreThan: "Image count more than", lifecycle.SinceImagePushed: "Since image pushed",
		lifecycle.SinceImagePulled: "Since image pulled", lifecycle.SinceImageTransitioned: "Since image transitioned",
	}
	auditAction = map[lifecycle.Action]string{lifecycle.Expire: "expire", lifecycle.Transition: "transition"}
)

func ruleDetail(rule lifecycle.Rule) LifecycleRuleDetail {
	d := LifecycleRuleDetail{
		Priority: rule.Priority, Description: rule.Description, Action: auditAction[rule.Action],
		Selection: LifecycleSelectionDetail{
			TagStatus: auditStatus[rule.Status], Prefixes: append([]string{}, rule.Prefixes...), Patterns: rule.Patterns,
			CountType: auditCount[rule.Count], Number: rule.Number,
		},
	}
	if rule.Archived {
		d.Selection.StorageClass = "archive"
	}
	return d
}
