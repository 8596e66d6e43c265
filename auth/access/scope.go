package access

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/pattern"
)

// scopeActions are the words for actions in a scope.
var scopeActions = map[string][]string{
	"pull": {
		"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages", "ecr:DescribeRepositories",
	},
	"push": {
		"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages", "ecr:DescribeRepositories",
		"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:CreateRepository",
		signAction,
	},
	"delete": {"ecr:BatchDeleteImage"},
}

// signAction is asked for a signing profile when an image is pushed that it is to sign.
// That the push is in scope was decided then, so that it is in the scope of passwords that
// name repositories, and of those that push.
const signAction = "signer:SignPayload"

// KnowsScopeAction says whether a word may stand among the actions of a scope.
func KnowsScopeAction(word string) bool {
	_, ok := scopeActions[word]
	return ok || slices.ContainsFunc(slices.Concat(policy.Actions, policy.SignerActions), func(action string) bool { return pattern.Match(strings.ToLower(word), strings.ToLower(action)) })
}

// outOfScope is why the scope of a registry password keeps it from a request, "" if
// it does not.
func outOfScope(r auth.Request, c auth.Check) string {
	s := c.Principal.Scope
	if s == nil {
		return ""
	}
	const because = "because the registry password is not good for "
	switch {
	case len(s.Networks) > 0 && !slices.ContainsFunc(s.Networks, inside(r)):
		return because + "the address that it comes from"
	case len(s.Actions) > 0 && !slices.ContainsFunc(s.Actions, func(word string) bool { return means(word, c.Action) }):
		return because + "the " + c.Action + " action"
	case len(s.Repositories) > 0 && c.Action != signAction && !slices.ContainsFunc(s.Repositories, names(c.Resource)):
		return because + "this repository"
	}
	return ""
}

func inside(r auth.Request) func(netip.Prefix) bool {
	return func(p netip.Prefix) bool { return r.SourceIP.IsValid() && p.Contains(r.SourceIP.Unmap()) }
}

// means says whether a word of a scope stands for an action.
func means(word, action string) bool {
	return slices.Contains(scopeActions[word], action) || pattern.Match(strings.ToLower(word), strings.ToLower(action))
}

// names says whether a pattern of a scope means the repository that a resource is.
func names(resource string) func(string) bool {
	part := strings.SplitN(resource, ":", 6)
	repository := ""
	if len(part) == 6 {
		repository, _ = strings.CutPrefix(part[5], "repository/")
	}
	return func(p string) bool { return repository != "" && pattern.Match(p, repository) }
}
