package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	secret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/hub-AbCdEf"
	role   = "arn:aws:iam::000000000000:role/pull-through"
)

// TestPullThroughRules takes a rule of each kind of upstream through its life.
func TestPullThroughRules(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	b := open(t, func(s *setup) { s.registry.Now = func() time.Time { return now } })
	tests := []struct{ prefix, url, kind, credential, role, upstreamPrefix string }{
		{"aws", "111122223333.dkr.ecr.us-west-2.amazonaws.com", "ecr", "", role, "upstream-app"},
		{"own", "000000000000.dkr.ecr.eu-west-1.amazonaws.com", "ecr", "", "", ""},
		{"ecr-public", "public.ecr.aws", "ecr-public", "", "", ""},
		{"quay/x", "quay.io", "quay", "", "", "coreos"},
		{"k8s/", "registry.k8s.io", "k8s", "", "", ""},
		{"ROOT", "registry-1.docker.io", "docker-hub", secret, "", ""},
		{"gh", "ghcr.io", "github-container-registry", secret, "", ""},
		{"gl", "registry.gitlab.com", "gitlab-container-registry", secret, "", ""},
		{"az", "my-team1.azurecr.io", "azure-container-registry", secret, "", "ROOT"},
		{"cg", "cgr.dev", "chainguard", secret, "", ""},
	}
	for _, tt := range tests {
		in := obj{"ecrRepositoryPrefix": tt.prefix, "upstreamRegistryUrl": tt.url}
		for name, v := range map[string]string{"credentialArn": tt.credential, "customRoleArn": tt.role, "upstreamRepositoryPrefix": tt.upstreamPrefix} {
			if v != "" {
				in[name] = v
			}
		}
		want := merge(in, obj{"registryId": account, "createdAt": now.Unix(), "upstreamRegistry": tt.kind})
		if tt.upstreamPrefix == "" {
			want["upstreamRepositoryPrefix"] = "ROOT"
		}
		b.same("made "+tt.prefix, b.call("CreatePullThroughCacheRule", in), want)
		for _, named := range []string{tt.prefix, strings.TrimSuffix(tt.prefix, "/"), strings.TrimSuffix(tt.prefix, "/") + "/"} {
			if named == "ROOT/" {
				continue
			}
			b.same("described "+named, b.call("DescribePullThroughCacheRules", obj{"ecrRepositoryPrefixes": arr{named, named}}),
				obj{"pullThroughCacheRules": arr{merge(want, obj{"updatedAt": now.Unix()})}})
			b.refused("CreatePullThroughCacheRule", merge(in, obj{"ecrRepositoryPrefix": named}), "PullThroughCacheRuleAlreadyExistsException",
				"The pull through cache rule with prefix '"+named+"' already exists in the registry with id '000000000000'")
		}
		b.refused("ValidatePullThroughCacheRule", obj{"ecrRepositoryPrefix": tt.prefix}, "ValidationException",
			"The validation of pull through cache rules is not available in this version of Berth")
		delete(want, "upstreamRegistry")
		b.same("deleted "+tt.prefix, b.call("DeletePullThroughCacheRule", obj{"ecrRepositoryPrefix": tt.prefix, "registryId": account}), want)
		for _, op := range []string{"UpdatePullThroughCacheRule", "DeletePullThroughCacheRule", "ValidatePullThroughCacheRule"} {
			b.refused(op, obj{"ecrRepositoryPrefix": tt.prefix}, "PullThroughCacheRuleNotFoundException",
				"The pull through cache rule with prefix '"+tt.prefix+"' does not exist in the registry with id '000000000000'")
		}
	}
	b.same("none left", b.call("DescribePullThroughCacheRules", obj{}), obj{"pullThroughCacheRules": arr{}})
	b.refused("DescribePullThroughCacheRules", obj{"ecrRepositoryPrefixes": arr{"aws"}}, "PullThroughCacheRuleNotFoundException",
		"The pull through cache rule with prefix 'aws' does not exist in the registry with id '000000000000'")
}

func TestPullThroughRulesUpdated(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	b := open(t, func(s *setup) { s.registry.Now = func() time.Time { return now } })
	made := b.call("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "hub/", "upstreamRegistryUrl": "registry-1.docker.io", "credentialArn": secret})
	now = now.Add(time.Hour)
	b.same("updated", b.call("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "hub", "credentialArn": secret + "2"}), obj{
		"ecrRepositoryPrefix": "hub/", "registryId": account, "updatedAt": now.Unix(), "credentialArn": secret + "2", "upstreamRepositoryPrefix": "ROOT",
	})
	b.same("described", b.call("DescribePullThroughCacheRules", obj{})["pullThroughCacheRules"],
		arr{merge(made, obj{"updatedAt": now.Unix(), "credentialArn": secret + "2"})})
	b.call("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "own", "upstreamRegistryUrl": "000000000000.dkr.ecr.eu-west-1.amazonaws.com"})
	b.same("role", b.call("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "own", "customRoleArn": role})["customRoleArn"], role)
	got := b.call("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "own", "customRoleArn": ""})
	if _, there := got["customRoleArn"]; there {
		t.Errorf("a role that was taken away is still there: %v", got)
	}
	b.refused("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "hub"}, "InvalidParameterException",
		"Invalid input: Specify a credential ARN or a custom role ARN to update the pull through cache rule with")
	b.refused("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "hub", "customRoleArn": role}, "InvalidParameterException",
		"Upstream registry URL and provided credential type do not match")
	b.refused("UpdatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "own", "credentialArn": secret}, "InvalidParameterException",
		"Upstream registry URL and provided credential type do not match")
	b.same("after refusals", b.call("DescribePullThroughCacheRules", obj{"ecrRepositoryPrefixes": arr{"hub"}})["pullThroughCacheRules"].(arr)[0].(obj)["credentialArn"], secret+"2")
}

// TestPullThroughRulesRefused has ECR's sentences (ECR reference,
// errors-and-limits.md section 5).
func TestPullThroughRulesRefused(t *testing.T) {
	const (
		ipe         = "InvalidParameterException"
		unsupported = "UnsupportedUpstreamRegistryException"
		needsSecret = "The specified upstream registry requires authentication. Specify a valid Secrets Manager ARN containing the upstream registry credentials and try again."
		elsewhere   = "Please verify the secret exists in the same region and account that the pullthrough cache rule will be created in"
		mismatch    = "Upstream registry URL and provided credential type do not match"
		open4all    = "The specified upstream registry doesn't require authentication"
	)
	unknown := func(url string) string {
		return "The upstream registry URL " + url + " is invalid. Specify a valid upstream registry URL and try again"
	}
	tests := []struct {
		in          obj
		as, message string
	}{
		{obj{"upstreamRegistryUrl": "example.com"}, unsupported, unknown("example.com")},
		{obj{"upstreamRegistryUrl": "Quay.io"}, unsupported, unknown("Quay.io")},
		{obj{"upstreamRegistryUrl": "https://quay.io"}, unsupported, unknown("https://quay.io")},
		{obj{"upstreamRegistryUrl": "quay.io/coreos"}, unsupported, unknown("quay.io/coreos")},
		{obj{"upstreamRegistryUrl": "docker.io", "upstreamRegistry": "docker-hub"}, unsupported, unknown("docker.io")},
		{obj{"upstreamRegistryUrl": "azurecr.io"}, unsupported, unknown("azurecr.io")},
		{obj{"upstreamRegistryUrl": "a.b.azurecr.io"}, unsupported, unknown("a.b.azurecr.io")},
		{obj{"upstreamRegistryUrl": "ghcr.io", "upstreamRegistry": "docker-hub", "credentialArn": secret}, ipe,
			"Invalid input: Upstream registry URL and entered upstream registry do not match. Please verify input and try again."},
		{obj{"upstreamRegistryUrl": "ghcr.io"}, unsupported, needsSecret},
		{obj{"upstreamRegistryUrl": "cgr.dev", "upstreamRegistry": "chainguard"}, unsupported, needsSecret},
		{obj{"upstreamRegistryUrl": "quay.io", "credentialArn": secret}, ipe, open4all},
		{obj{"upstreamRegistryUrl": "quay.io", "customRoleArn": role}, ipe, open4all},
		{obj{"upstreamRegistryUrl": "ghcr.io", "customRoleArn": role}, ipe, mismatch},
		{obj{"upstreamRegistryUrl": "ghcr.io", "customRoleArn": role, "credentialArn": secret}, ipe, mismatch},
		{obj{"upstreamRegistryUrl": "111122223333.dkr.ecr.us-east-1.amazonaws.com", "credentialArn": secret}, ipe, mismatch},
		{obj{"upstreamRegistryUrl": "111122223333.dkr.ecr.us-east-1.amazonaws.com"}, unsupported,
			"The specified upstream registry requires authentication. Specify a valid IAM role ARN and try again."},
		{obj{"upstreamRegistryUrl": "ghcr.io", "credentialArn": strings.Replace(secret, "us-east-1", "eu-west-1", 1)}, ipe, elsewhere},
		{obj{"upstreamRegistryUrl": "ghcr.io", "credentialArn": strings.Replace(secret, account, other, 1)}, ipe, elsewhere},
		{obj{"upstreamRegistryUrl": "ghcr.io", "credentialArn": strings.Replace(secret, ":aws:", ":aws-cn:", 1)}, ipe, elsewhere},
		{obj{"upstreamRegistryUrl": "000000000000.dkr.ecr.us-east-1.amazonaws.com"}, ipe, "Upstream registry URL cannot be the same as the cache registry"},
	}
	b := open(t)
	for _, tt := range tests {
		b.refused("CreatePullThroughCacheRule", merge(obj{"ecrRepositoryPrefix": "cache"}, tt.in), tt.as, tt.message)
	}
	for _, arn := range []string{"role", strings.Replace(role, account, other, 1), strings.Replace(role, ":role/", ":user/", 1)} {
		b.invalid("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "cache", "upstreamRegistryUrl": "111122223333.dkr.ecr.us-east-1.amazonaws.com", "customRoleArn": arn},
			"customRoleArn", "Member must be the ARN of a role of the account 000000000000")
	}
	b.invalid("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "ROOT", "upstreamRegistryUrl": "quay.io", "upstreamRepositoryPrefix": "coreos"},
		"upstreamRepositoryPrefix", "Member must be ROOT when ecrRepositoryPrefix is ROOT")
	b.same("after refusals", b.call("DescribePullThroughCacheRules", obj{}), obj{"pullThroughCacheRules": arr{}})
	// ECR takes a wrong name where no credentials depend on it, and tells the right one.
	got := b.call("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "cache", "upstreamRegistryUrl": "quay.io", "upstreamRegistry": "docker-hub"})
	b.same("upstream of a wrong name", got["upstreamRegistry"], "quay")
}

func TestPullThroughRulesLimitedAndPaged(t *testing.T) {
	b := open(t)
	for i := range 50 {
		b.call("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": fmt.Sprintf("p%02d/", i), "upstreamRegistryUrl": "quay.io"})
	}
	b.refused("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "p50", "upstreamRegistryUrl": "quay.io"}, "LimitExceededException",
		"The registry with id '000000000000' already has the maximum allowed number of pull through cache rules which is '50'")
	whole := b.pages("DescribePullThroughCacheRules", obj{}, "pullThroughCacheRules")
	b.same("sizes", sizes(whole), []int{50})
	for _, size := range []int{1, 7, 25, 50, 1000} {
		var got arr
		for _, p := range b.pages("DescribePullThroughCacheRules", obj{"maxResults": size}, "pullThroughCacheRules") {
			got = append(got, p...)
		}
		b.same(fmt.Sprintf("pages of %d", size), got, whole[0])
	}
	token := b.call("DescribePullThroughCacheRules", obj{"maxResults": 1})["nextToken"]
	named := obj{"ecrRepositoryPrefixes": arr{"p01"}}
	b.invalid("DescribePullThroughCacheRules", merge(named, obj{"nextToken": token}), "nextToken", "Member must be null when ecrRepositoryPrefixes is specified")
	b.invalid("DescribePullThroughCacheRules", merge(named, obj{"maxResults": 1}), "maxResults", "Member must be null when ecrRepositoryPrefixes is specified")
	b.invalid("DescribePullThroughCacheRules", obj{"nextToken": "x"}, "NextToken", "Invalid next token provided")
	b.invalid("DescribeRepositories", obj{"nextToken": token}, "NextToken", "Invalid next token provided")
}

// TestPullThroughRulesOfOthers: rules of another account's registry are a matter
// of rights, and none of one's own.
func TestPullThroughRulesOfOthers(t *testing.T) {
	b := open(t)
	b.call("CreatePullThroughCacheRule", obj{"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"})
	for _, op := range []string{"Create", "Update", "Delete", "Validate", "Describe"} {
		op += "PullThroughCacheRule"
		if op == "DescribePullThroughCacheRule" {
			op += "s"
		}
		w := b.send(request{target: targetPrefix + op, body: b.encode(merge(built[op], obj{"registryId": account})), key: "AKIAOTHER", secret: "secret-of-other"})
		if out := b.decode(w.Body.Bytes()); w.Code != 400 || out["__type"] != "AccessDeniedException" || !strings.Contains(w.Body.String(), "on resource: *") {
			t.Errorf("%s in another account: %d %s", op, w.Code, w.Body)
		}
	}
	w := b.send(request{target: targetPrefix + "DescribePullThroughCacheRules", key: "AKIAOTHER", secret: "secret-of-other"})
	b.same("rules of the other registry", b.decode(w.Body.Bytes()), obj{"pullThroughCacheRules": arr{}})
}
