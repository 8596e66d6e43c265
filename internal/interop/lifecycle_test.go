package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Lifecycle policies by Amazon's SDK for Python, in force.
func TestBoto3Lifecycle(t *testing.T) {
	sh := environShell(t, "--lifecycle-interval", "1s")
	if got := sh.Run("python3", script(t, "lifecycle.py")); !strings.Contains(got, "all is well") {
		t.Errorf("lifecycle.py printed\n%s", got)
	}
}

// keepOne keeps the youngest image.
const keepOne = `{
  "rules": [
    {
      "rulePriority": 1,
      "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
      "action": {"type": "expire"}
    }
  ]
}`

// A preview by the AWS CLI and its waiter, begun before the server is killed and
// made by the next one; then the policy itself, at the OCI door as well.
func TestAWSCLILifecycle(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t, "--lifecycle-interval", "1s")
	sh := s.Shell(t)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	door := s.OCI(t)
	var last string
	for i := range 3 {
		image := ociImage(t, 70+uint64(i))
		last = image.Digest().String()
		if err := door.PushImage(t.Context(), "team/app", fmt.Sprint("v", i), image); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(sh.Home(), "policy.json")
	makeFile(t, file, keepOne)
	text := func(want string, args ...string) {
		t.Helper()
		if got := strings.Join(strings.Fields(awsECR(sh, append(args, "--repository-name", "team/app", "--output", "text")...)), " "); got != want {
			t.Errorf("aws ecr %s: %q, want %q", strings.Join(args, " "), got, want)
		}
	}
	text("IN_PROGRESS", "start-lifecycle-policy-preview", "--lifecycle-policy-text", "file://"+file, "--query", "status")
	s.Kill()
	s.Launch()
	awsECR(sh, "wait", "lifecycle-policy-preview-complete", "--repository-name", "team/app")
	text("COMPLETE 2 v0 v1", "get-lifecycle-policy-preview", "--query", "[status, summary.expiringImageTotalCount, previewResults[0].imageTags[0], previewResults[1].imageTags[0]]")
	text("v1", "get-lifecycle-policy-preview", "--image-ids", "imageTag=v1", "imageTag=v2", "--query", "previewResults[].imageTags[]")
	text("v0 v1", "get-lifecycle-policy-preview", "--page-size", "1", "--query", "previewResults[].imageTags[]")

	var put struct{ LifecyclePolicyText string }
	awsJSON(t, sh, &put, "put-lifecycle-policy", "--repository-name", "team/app", "--lifecycle-policy-text", "file://"+file)
	if !json.Valid([]byte(put.LifecyclePolicyText)) || strings.ContainsAny(put.LifecyclePolicyText, " \n") {
		t.Errorf("put %s", put.LifecyclePolicyText)
	}
	sh.Script(`. ~/env; for i in $(seq 100); do
		test "$(aws ecr list-images --repository-name team/app --query 'length(imageIds)')" = 1 && exit; sleep 0.2; done; exit 1`)
	text("v2 "+last, "list-images", "--query", "imageIds[].[imageTag, imageDigest]")
	for tag, there := range map[string]bool{"v0": false, "v1": false, "v2": true} {
		if _, err := door.Manifest(t.Context(), "team/app", tag); (err == nil) != there {
			t.Errorf("pull of %s: %v, want it to be there: %v", tag, err, there)
		}
	}
	said := sh.Refused("bash", awsInShell("put-lifecycle-policy", "--repository-name", "team/app", "--lifecycle-policy-text", "{}"+strings.Repeat(" ", 100))...)
	if !strings.Contains(said, `Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: object has missing required properties (["rules"])'`) {
		t.Errorf("put of an empty policy said\n%s", said)
	}
}

// A server that is killed while a policy deletes images leaves a whole store, and
// the next one deletes the rest.
func TestSDKKillDuringLifecycle(t *testing.T) {
	s := harness.Start(t, "--lifecycle-interval", "1s")
	client := s.ECR(t)
	createRepository(t, client, "team/app")
	const images = 500
	for i := range images {
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, i)
		in := &ecr.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: &manifest, ImageTag: aws.String(fmt.Sprint("v", i))}
		if _, err := client.PutImage(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	put := &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("team/app"), LifecyclePolicyText: aws.String(keepOne)}
	if _, err := client.PutLifecyclePolicy(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until := func(so func(count int) bool) (count int) {
		t.Helper()
		for {
			page, err := client.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("team/app"), MaxResults: aws.Int32(1000)})
			switch {
			case ctx.Err() != nil:
				t.Fatal(err)
			case err != nil:
				// On a busy machine the client's transport may close the connection
				// of an answer that came before it had seen the end of its own body.
				t.Log(err)
			case so(len(page.ImageIds)):
				return len(page.ImageIds)
			}
		}
	}
	t.Logf("killed at %d images left", until(func(count int) bool { return count < images }))
	s.Kill()
	s.Launch()
	until(func(count int) bool { return count == 1 })
	got, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	if err != nil || len(got.ImageDetails) != 1 || got.ImageDetails[0].ImageTags[0] != fmt.Sprint("v", images-1) {
		t.Errorf("left %+v, %v", got, err)
	}
}
