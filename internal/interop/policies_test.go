package interop_test

import (
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

// A push makes what a template covers, with what the template says; and an image
// that is archived is not pulled until it is back.
func TestAWSCLITemplatesAndArchive(t *testing.T) {
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
