package interop_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Policies, templates, settings, the archive and exclusions by Amazon's SDK for
// Python: what is put comes back, and what is absent gives the exceptions that
// Terraform waits for.
func TestBoto3Policies(t *testing.T) {
	sh := environShell(t, "--restore-time", "1s", "--pull-time-flush", "1s")
	if got := sh.Run("python3", script(t, "policies.py")); !strings.Contains(got, "all is well") {
		t.Errorf("policies.py printed\n%s", got)
	}
}

// Policies by the AWS CLI: set, read back with the same meaning, deleted; those
// that would lock their author out only with --force.
func TestAWSCLIPolicies(t *testing.T) {
	t.Parallel() // aws is slow to start
	sh := harness.Start(t).Shell(t)
	const put = `{"Version":"2012-10-17","Statement":[{"Sid":"pull it","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:root"]},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Condition":{"StringLike":{"aws:PrincipalArn":"*<a>&b*"}}}]}`
	const denial = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:SetRepositoryPolicy"}]}`
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	app := func(op string, more ...string) []string {
		return append([]string{op, "--repository-name", "team/app"}, more...)
	}
	refused := func(exception, reason string, args []string) {
		t.Helper()
		if said := sh.Refused("bash", awsInShell(args...)...); !strings.Contains(said, exception) || !strings.Contains(said, reason) {
			t.Errorf("aws ecr %s said\n%s", strings.Join(args, " "), said)
		}
	}
	const absent = "Repository policy does not exist for the repository with name 'team/app'"
	refused("RepositoryPolicyNotFoundException", absent, app("get-repository-policy"))
	wantPolicy(t, sh, put, app("set-repository-policy", "--policy-text", put))
	wantPolicy(t, sh, put, app("get-repository-policy"))
	refused("InvalidParameterException", "Invalid repository policy provided", app("set-repository-policy", "--policy-text", "{}"))
	refused("InvalidParameterException", "use force", app("set-repository-policy", "--policy-text", denial))
	wantPolicy(t, sh, put, app("get-repository-policy"))
	wantPolicy(t, sh, denial, app("set-repository-policy", "--policy-text", denial, "--force"))
	wantPolicy(t, sh, denial, app("delete-repository-policy"))
	refused("RepositoryPolicyNotFoundException", absent, app("delete-repository-policy"))

	const registry = `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"ecr:*","Resource":"*"}}`
	wantPolicy(t, sh, registry, []string{"put-registry-policy", "--policy-text", registry})
	wantPolicy(t, sh, registry, []string{"get-registry-policy"})
	scope := []string{"put-account-setting", "--name", "REGISTRY_POLICY_SCOPE", "--value", "V1"}
	refused("InvalidParameterException", "not in the scope V1", scope)
	wantPolicy(t, sh, registry, []string{"delete-registry-policy"})
	refused("RegistryPolicyNotFoundException", "Registry policy does not exist", []string{"get-registry-policy"})
	awsECR(sh, scope...)
	refused("InvalidParameterException", "Invalid registry policy provided", []string{"put-registry-policy", "--policy-text", registry})
}

// wantPolicy runs an ECR command of the CLI that answers with a policy, and holds
// its meaning against another's.
func wantPolicy(t *testing.T, sh *harness.Shell, policy string, args []string) {
	t.Helper()
	var said struct{ PolicyText string }
	awsJSON(t, sh, &said, args...)
	var got, want any
	if err := json.Unmarshal([]byte(said.PolicyText), &got); err != nil {
		t.Fatalf("%s is no JSON: %v", said.PolicyText, err)
	}
	if err := json.Unmarshal([]byte(policy), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("aws ecr %s answers\n%s, want\n%s", args[0], said.PolicyText, policy)
	}
}

// A push makes what a template covers, with what the template says; and an image
// that is archived is not pulled until it is back.
func TestAWSCLITemplatesAndArchive(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t, "--restore-time", "1s")
	sh := s.Shell(t)
	sh.Script(`berth env >~/env; . ~/env; aws ecr get-login-password | crane auth login -u AWS --password-stdin ` + s.Host)
	image := dockerImage(t, 61)
	layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
	if said := sh.Refused("crane", "push", layout, s.Host+"/team/app:1.0"); !strings.Contains(said, "NAME_UNKNOWN") {
		t.Errorf("a push without a template: %s", said)
	}
	const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	awsECR(sh, "create-repository-creation-template", "--prefix", "team", "--applied-for", "CREATE_ON_PUSH", "--image-tag-mutability", "IMMUTABLE",
		"--resource-tags", "Key=owner,Value=us", "--repository-policy", policy)
	sh.Run("crane", "push", layout, s.Host+"/team/app:1.0")
	if said := sh.Refused("crane", "push", layout, s.Host+"/teams/app:1.0"); !strings.Contains(said, "NAME_UNKNOWN") {
		t.Errorf("a push beside the template: %s", said)
	}
	text := func(want string, args ...string) {
		t.Helper()
		if got := strings.Join(strings.Fields(awsECR(sh, append(args, "--output", "text")...)), " "); got != want {
			t.Errorf("aws ecr %s: %q, want %q", strings.Join(args, " "), got, want)
		}
	}
	text("IMMUTABLE", "describe-repositories", "--repository-names", "team/app", "--query", "repositories[].imageTagMutability")
	if got := awsECR(sh, "get-repository-policy", "--repository-name", "team/app", "--query", "policyText", "--output", "text"); !strings.Contains(got, `"Effect" : "Allow"`) {
		t.Errorf("the repository's policy is %s", got)
	}

	text("ARCHIVED", "update-image-storage-class", "--repository-name", "team/app", "--image-id", "imageTag=1.0", "--target-storage-class", "ARCHIVE", "--query", "imageStatus")
	if said := sh.Refused("crane", "manifest", s.Host+"/team/app:1.0"); !strings.Contains(said, "MANIFEST_UNKNOWN") {
		t.Errorf("the pull of an archived image: %s", said)
	}
	if got := strings.TrimSpace(sh.Run("crane", "ls", s.Host+"/team/app")); got != "" {
		t.Errorf("its tags are listed: %q", got)
	}
	sh.Run("crane", "push", layout, s.Host+"/team/app:1.0") // which brings it back, in spite of immutable tags
	if d := sh.Run("crane", "digest", s.Host+"/team/app:1.0"); d != image.Digest().String() {
		t.Errorf("pulled %s, want %s", d, image.Digest())
	}
}
