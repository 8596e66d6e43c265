package policy

import (
	"slices"
	"strings"
)

// registryActions are those that are asked for a registry as a whole, of which the
// resource is "*" (ECR reference, policies.md section 1).
var registryActions = []string{
	"ecr:CreatePullThroughCacheRule",
	"ecr:CreateRepositoryCreationTemplate",
	"ecr:DeletePullThroughCacheRule",
	"ecr:DeleteRegistryPolicy",
	"ecr:DeleteRepositoryCreationTemplate",
	"ecr:DeleteSigningConfiguration",
	"ecr:DeregisterPullTimeUpdateExclusion",
	"ecr:DescribePullThroughCacheRules",
	"ecr:DescribeRegistry",
	"ecr:DescribeRepositoryCreationTemplates",
	"ecr:GetAccountSetting",
	"ecr:GetAuthorizationToken",
	"ecr:GetRegistryPolicy",
	"ecr:GetRegistryScanningConfiguration",
	"ecr:GetSigningConfiguration",
	"ecr:ListPullTimeUpdateExclusions",
	"ecr:PutAccountSetting",
	"ecr:PutRegistryPolicy",
	"ecr:PutRegistryScanningConfiguration",
	"ecr:PutReplicationConfiguration",
	"ecr:PutSigningConfiguration",
	"ecr:RegisterPullTimeUpdateExclusion",
	"ecr:UpdatePullThroughCacheRule",
	"ecr:UpdateRepositoryCreationTemplate",
	"ecr:ValidatePullThroughCacheRule",
}

// stsActions are all of STS, of which the first are those of [TrustActions] (AWS
// service authorization reference).
var stsActions = slices.Concat(TrustActions, []string{
	"sts:AssumeRoot",
	"sts:DecodeAuthorizationMessage",
	"sts:GetAccessKeyInfo",
	"sts:GetCallerIdentity",
	"sts:GetFederationToken",
	"sts:GetServiceBearerToken",
	"sts:GetSessionToken",
})

// means are the known actions that the statement is about, and whether it is about
// others too.
func (s linted) means() (known []string, others bool) {
	for _, a := range slices.Concat(Actions, SignerActions, stsActions) {
		if s.statement.actions.have(strings.ToLower(a)) {
			known = append(known, a)
		}
	}
	ours := func(pattern string) bool {
		pattern = strings.ToLower(pattern)
		return strings.HasPrefix(pattern, "ecr:") || strings.HasPrefix(pattern, "sts:") || strings.HasPrefix(pattern, "signer:")
	}
	patterns := texts(s.object.Values["Action"])
	return known, s.statement.actions.not || slices.ContainsFunc(patterns, func(p string) bool { return !ours(p) })
}

// actions looks for actions that there are not, and for those that cannot be met by
// the resources of the statement.
func (l *linter) actions(s linted) {
	name := s.name("Action")
	for i, pattern := range texts(s.object.Values[name]) {
		path := s.path + "." + item(name, s.object.Values[name], i)
		service, _, _ := strings.Cut(strings.ToLower(pattern), ":")
		switch {
		case strings.Contains(service, "*"):
		case service != "ecr" && service != "sts" && service != "signer":
			l.say(Idle, path, "%s is of a service that is not here", quote(pattern))
		case service == "signer" && !means(pattern, SignerActions):
			l.say(Idle, path, "%s is not asked for here; of AWS Signer's actions %s alone is%s", quote(pattern), SignerActions[0], nearest(pattern))
		case !means(pattern, slices.Concat(Actions, SignerActions, stsActions)):
			l.say(Doubtful, path, "%s is no action, and none begins so%s", quote(pattern), nearest(pattern))
		default:
			l.fits(s, path, pattern)
		}
	}
}

// nearest suggests an action for one that is not.
func nearest(pattern string) string {
	best, least := "", 4
	for _, a := range slices.Concat(Actions, SignerActions, stsActions) {
		if n := distance(strings.ToLower(pattern), strings.ToLower(a)); n < least {
			best, least = a, n
		}
	}
	if best == "" {
		return ""
	}
	return "; " + best + " may be meant"
}

// distance is how many characters have to be put in, taken out or changed to make
// one text of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := last
			if a[i] != b[j] {
				step = 1 + min(last, row[j], row[j+1])
			}
			last, row[j+1] = row[j+1], step
		}
	}
	return row[len(b)]
}

// fits looks for an action that is asked for other resources than those of the
// statement. Patterns of several actions may have some that fit.
func (l *linter) fits(s linted, path, pattern string) {
	if s.statement.actions.not || strings.ContainsAny(pattern, "*?") {
		return
	}
	whole := slices.ContainsFunc(registryActions, func(a string) bool { return strings.EqualFold(a, pattern) })
	ofRepository := l.principals && !l.trust && !s.object.Has("Resource") && !s.object.Has("NotResource")
	switch {
	case l.principals && strings.EqualFold(pattern, "ecr:GetAuthorizationToken"):
		l.say(Doubtful, path, "%s is given by policies of identities alone", quote(pattern))
	case ofRepository && (whole || strings.EqualFold(pattern, "ecr:CreateRepository")):
		l.say(Doubtful, path, "%s is not asked for a repository that is there, so that its policy cannot give or deny it", quote(pattern))
	case whole && !s.about("*"):
		l.say(Doubtful, path, `%s is asked for the registry as a whole, which is the resource "*"; this statement is about others`, quote(pattern))
	}
}

// about says whether the statement may be about a resource.
func (s linted) about(resource string) bool {
	q := query{Request: &Request{Resource: resource, Pending: []string{Any}}}
	return s.statement.resources.have(&q) != no
}

// resources looks for patterns that no resource of the statement's actions meets.
func (l *linter) resources(s linted) {
	name := s.name("Resource")
	known, others := s.means()
	about := func(service string) bool {
		return slices.ContainsFunc(known, func(a string) bool { return strings.HasPrefix(a, service+":") })
	}
	repositories, roles, signers := about("ecr"), about("sts"), about("signer")
	if others || !repositories && !signers {
		return
	}
	for i, pattern := range texts(s.object.Values[name]) {
		switch {
		case strings.Trim(pattern, "*") == "", repositories && couldBe(pattern, "ecr", "repository/"), roles && couldBe(pattern, "iam", "role/"):
			continue
		case signers && couldBe(pattern, "signer", "/signing-profiles/"):
			continue
		case !repositories:
			l.say(Doubtful, s.path+"."+item(name, s.object.Values[name], i), "no signing profile has an ARN like %s: arn:aws:signer:REGION:ACCOUNT:/signing-profiles/NAME", quote(pattern))
			continue
		}
		l.say(Doubtful, s.path+"."+item(name, s.object.Values[name], i), "no repository has an ARN like %s: arn:aws:ecr:REGION:ACCOUNT:repository/NAME", quote(pattern))
	}
}

// couldBe says whether a pattern may match ARNs of a service whose names begin so.
// A star may reach over colons, and then all is possible.
func couldBe(pattern, service, begins string) bool {
	segments := strings.SplitN(pattern, ":", arnSegments)
	if len(segments) < arnSegments {
		return strings.HasSuffix(pattern, "*") && meet(segments[min(2, len(segments)-1)], service)
	}
	account := strings.ContainsAny(segments[4], "*?") || accountID.MatchString(segments[4])
	region := service == "iam" || segments[3] != ""
	return meet(segments[2], service) && region && account && meet(segments[5], begins)
}

// meet says whether a pattern and a text could begin alike, up to the first wildcard
// or variable of the pattern.
func meet(pattern, text string) bool {
	if i := strings.IndexAny(pattern, "*?$"); i >= 0 {
		pattern = pattern[:i]
		return strings.HasPrefix(text, pattern) || strings.HasPrefix(pattern, text)
	}
	return strings.HasPrefix(pattern, text)
}
