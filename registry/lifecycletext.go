package registry

import (
	"errors"

	"github.com/seed-78150930/berth/registry/lifecycle"
)

// parseLifecycle reads the text of a lifecycle policy within the limits and
// extensions that are in force. Refusal: LifecyclePolicyInvalid.
func (s *Service) parseLifecycle(text string) (*lifecycle.Policy, error) {
	o := s.live.Load()
	if limit := o.Limits.LifecycleText; len([]rune(text)) > limit {
		return nil, lifecycleInvalid("lifecyclePolicyText", "'Member must have length less than or equal to %d'", limit)
	}
	p, err := lifecycle.Parse(text, lifecycle.Options{Extensions: o.LifecycleExtensions, MaxRules: o.Limits.LifecycleRules})
	var wrong *lifecycle.Error
	if errors.As(err, &wrong) {
		return nil, lifecycleInvalid("LifecyclePolicyText", "%s", wrong.Quoted())
	}
	return p, err
}

// lifecycleInvalid is the refusal of a text, with ECR's reason in its quotes.
func lifecycleInvalid(field, format string, args ...any) *Error {
	e := refuse(LifecyclePolicyInvalid, format, args...)
	e.Field = field
	return e
}
