package server_test

import (
	"slices"
	"strings"
)

// What IAM says, in few words and independent of the code: who may what, and what
// becomes of who may not.

// managedActions are what AWS's managed policies for ECR allow (AWS managed policy
// reference).
var managedActions = map[string][]string{
	"FullAccess": {"ecr:*"},
	"PowerUser":  append(slices.Clone(readActions), pushActions...),
	"ReadOnly":   readActions,
	"PullOnly": {
		"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage",
	},
}

var readActions = []string{
	"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy",
	"ecr:DescribeRepositories", "ecr:ListImages", "ecr:DescribeImages", "ecr:BatchGetImage", "ecr:GetLifecyclePolicy",
	"ecr:GetLifecyclePolicyPreview", "ecr:ListTagsForResource", "ecr:DescribeImageScanFindings",
}

var pushActions = []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}

// pullActions are what the repository that is open gives to everyone.
var pullActions = []string{
	"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages", "ecr:DescribeRepositories",
}

func allows(list []string) func(string) bool {
	return func(action string) bool {
		return slices.Contains(list, action) || slices.Contains(list, "ecr:*") && strings.HasPrefix(action, "ecr:")
	}
}

// trusted is the user whom roles trust.
const trusted = "FullAccess"

// scope is what a request is about.
type scope int

const (
	repository  scope = iota // one of the home account
	ownNamed                 // one of the caller's own account, by its name
	ownAccount               // the caller's own registry
	homeAccount              // the registry of the home account
	list                     // the repositories of the home account that may be seen
	nobodys                  // nothing: whoever is known may
	lasting                  // nothing: whoever has a key that lasts may
	unsigned                 // nothing, and nobody is asked who he is
	role                     // the role of the same name
)

// may says whether somebody may do an action in a scope, and to which repository.
func may(by *identity, action string, on scope, repo string) bool {
	switch on {
	case nobodys:
		return true
	case lasting:
		return !by.session
	case role:
		return by.name == trusted && repo != missing
	case ownAccount:
		return by.gives(action)
	case homeAccount:
		return by.home && by.gives(action)
	case ownNamed:
		if !by.home {
			return by.gives(action) // his own registry has none of the repositories
		}
	}
	granted := repo == open && slices.Contains(pullActions, action) || repo == shut && by.name == "granted"
	switch {
	case repo == locked: // who denies everyone denies the root too
		return false
	case by.home:
		return by.gives(action) || granted
	case by.user == "":
		return granted
	}
	return by.gives(action) && granted
}

// sees are the repositories that a list shows to somebody.
func sees(by *identity) (list []string) {
	for _, repo := range []string{locked, open, shut} { // in order of name
		if may(by, "ecr:DescribeRepositories", repository, repo) {
			list = append(list, repo)
		}
	}
	return list
}

// mayAll says whether somebody may do a request. A list may be asked for by whoever
// sees something, or might.
func mayAll(by *identity, q knock, repo string) bool {
	if q.on == list {
		return len(sees(by)) > 0 || by.home && by.gives(q.actions[0])
	}
	if len(q.actions) == 0 {
		return may(by, "", q.on, repo)
	}
	for _, action := range q.actions {
		if !may(by, action, q.on, repo) {
			return false
		}
	}
	return true
}

// denials are what is said to who may not, by door.
var denials = [3]string{"403 DENIED", "400 AccessDeniedException", "403 AccessDenied"}

// expected is the outcome of a request: a status and, where it is refused, a code. It
// is refused where there is nothing to be learned by it.
func (q knock) expected(w *world, by *identity, repo string) (outcome string, refused bool) {
	switch may := mayAll(by, q, repo); {
	case q.on == unsigned:
		return q.there, true
	case by.refused[q.at] != "":
		return by.refused[q.at], true
	case by.user == "" && q.at == atV2 && !(w.anonymous && may && q.on != nobodys): // he is asked to log in, whatever there is
		return "401 UNAUTHORIZED", true
	case !may:
		return denials[q.at], true
	case q.on == ownNamed && !by.home, repo == missing:
		return q.absent(), false
	}
	return q.there, false
}

// absent is what is said of a repository that is not there to who may know.
func (q knock) absent() string {
	if q.missing != "" {
		return q.missing
	}
	return q.there
}

// bare is an outcome as HEAD shows it: the status alone.
func bare(outcome string) string {
	status, _, _ := strings.Cut(outcome, " ")
	return status
}
