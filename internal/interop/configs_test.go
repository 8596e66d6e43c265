package interop_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Configurations of a registry by Amazon's SDK for Python: what is put comes
// back, and what is absent gives the exceptions that Terraform waits for.
func TestBoto3Configurations(t *testing.T) {
	sh := environShell(t)
	if got := sh.Run("python3", script(t, "configs.py")); !strings.Contains(got, "all is well") {
		t.Errorf("configs.py printed\n%s", got)
	}
}

// The same by the AWS CLI, as far as Amazon's guides show it.
func TestAWSCLIConfigurations(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	const rules = `[{"scanFrequency":"SCAN_ON_PUSH","repositoryFilters":[{"filter":"*","filterType":"WILDCARD"}]}]`
	awsECR(sh, "put-registry-scanning-configuration", "--scan-type", "BASIC", "--rules", rules)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	text := func(want string, args ...string) {
		t.Helper()
		if got := strings.Join(strings.Fields(awsECR(sh, append(args, "--output", "text")...)), " "); got != want {
			t.Errorf("aws ecr %s: %q, want %q", strings.Join(args, " "), got, want)
		}
	}
	text("True SCAN_ON_PUSH *", "batch-get-repository-scanning-configuration", "--repository-names", "team/app", "--query",
		"scanningConfigurations[].[scanOnPush, scanFrequency, appliedScanFilters[0].filter]")

	for _, prefix := range []string{"quay", "aws", "kube"} {
		host := map[string]string{"quay": "quay.io", "aws": "public.ecr.aws", "kube": "registry.k8s.io"}[prefix]
		awsECR(sh, "create-pull-through-cache-rule", "--ecr-repository-prefix", prefix, "--upstream-registry-url", host)
	}
	text("aws kube quay", "describe-pull-through-cache-rules", "--page-size", "1", "--query", "pullThroughCacheRules[].ecrRepositoryPrefix")
	text("registry.k8s.io", "delete-pull-through-cache-rule", "--ecr-repository-prefix", "kube", "--query", "upstreamRegistryUrl")

	// No registry can be reached from here.
	if got := awsECR(sh, "validate-pull-through-cache-rule", "--ecr-repository-prefix", "quay"); !strings.Contains(got, `"isValid": false`) || !strings.Contains(got, "upstream quay.io") {
		t.Errorf("validate-pull-through-cache-rule: %s", got)
	}

	profile := "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release"
	awsECR(sh, "put-signing-configuration", "--signing-configuration", `{"rules":[{"signingProfileArn":"`+profile+`"}]}`)
	text(profile+" None", "get-signing-configuration", "--query", "signingConfiguration.rules[].[signingProfileArn, repositoryFilters]")
	awsECR(sh, "delete-signing-configuration")
	for want, args := range map[string][]string{
		"SigningConfigurationNotFoundException": {"get-signing-configuration"},
		"PullThroughCacheRuleNotFoundException": {"describe-pull-through-cache-rules", "--ecr-repository-prefixes", "kube"},
		"ImageNotFoundException":                {"start-image-scan", "--repository-name", "team/app", "--image-id", "imageTag=1"},
	} {
		if said := sh.Refused("bash", awsInShell(args...)...); !strings.Contains(said, want) {
			t.Errorf("aws ecr %s said\n%s, want %s in it", strings.Join(args, " "), said, want)
		}
	}
}
