package registry

import (
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
)

// Why an image did not come to its destination. ECR's own codes are not known (ECR
// reference, errors-and-limits.md section 6).
const (
	FailedByPolicy  = "AccessDenied"             // the destination's registry policy does not allow it
	FailedByLimit   = "LimitExceeded"            // a quota of the destination's
	FailedByChild   = "ReferencedImagesNotFound" // of a list: an image that it names did not come
	FailedByRefusal = "Refused"                  // any other refusal; the reason says which
	FailedByFault   = "InternalFailure"          // the server failed to, time and again
)

// replicationFailure says why a replica fails for good.
type replicationFailure struct{ code, reason string }

func (f *replicationFailure) Error() string { return fmt.Sprintf("%s: %s", f.code, f.reason) }

// failureOf is why a replica fails for good, or nil for a fault that may pass. A
// store that takes no writes may do so later.
func failureOf(err error) *replicationFailure {
	var known *replicationFailure
	if errors.As(err, &known) {
		return known
	}
	if storage.Refuses(err) {
		return nil
	}
	switch code := CodeOf(err); code {
	case "":
		return nil
	case TooManyRepositories, TooManyImages, TooManyInRegistry, QuotaExceeded, TooManyTags, TooManyLayers:
		return &replicationFailure{FailedByLimit, err.Error()}
	default:
		return &replicationFailure{FailedByRefusal, err.Error()}
	}
}

// checkReplica fails a replica unless the destination's registry policy lets the root
// of the source's account put it there, and make the repository if it is absent, by a
// template or not (ECR reference, policies.md section 3). An account lets in what is
// its own, but for what it denies.
func (s *Service) checkReplica(rd storage.Reader, from ID, to Name, absent bool) error {
	p, err := registryPolicy(rd, to.id)
	if err != nil {
		return err
	}
	actions := []string{"ecr:ReplicateImage"}
	if absent {
		actions = append(actions, "ecr:CreateRepository")
	}
	root := fmt.Sprintf("arn:%s:iam::%s:root", endpoint.Partition(from.Region), from.Account)
	for _, action := range actions {
		q := policy.Request{Principal: policy.Principal{Account: from.Account, ARN: root}, Action: action, Resource: to.ARN(), Keys: policy.Keys{
			"aws:principalarn": {root}, "aws:principalaccount": {from.Account}, "aws:resourceaccount": {to.id.Account},
		}}
		if !letsIn(p, q, from.Account == to.id.Account) {
			return &replicationFailure{FailedByPolicy, fmt.Sprintf(
				"The registry policy of %s in %s does not allow %s to perform %s on resource: %s", to.id.Account, to.id.Region, root, action, to.ARN())}
		}
	}
	return nil
}

// letsIn says whether a policy, nil for none, lets a source do something.
func letsIn(p *policy.Document, q policy.Request, own bool) bool {
	if p == nil {
		return own
	}
	said := p.Decide(q).Effect
	return said == policy.Allowed || own && said == policy.NoMatch
}
