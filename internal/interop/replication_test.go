package interop_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const otherAccount = "123456789012"

// An image that is pushed to one registry is in one of another region and in one
// of another account, by digest and by tag, and is pulled from there by the names
// there. The other account has to let it in.
func TestAWSCLIReplication(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	ours, theirs := s.Shell(t), shellOf(t, s, s.CreateKey(t, otherAccount))
	configuration := fmt.Sprintf(`{"rules":[{"destinations":[{"region":"us-west-2","registryId":%q},{"region":"eu-west-1","registryId":%q}],`+
		`"repositoryFilters":[{"filter":"team/","filterType":"PREFIX_MATCH"}]}]}`, harness.Account, otherAccount)
	awsECR(ours, "put-replication-configuration", "--replication-configuration", configuration)
	if got := awsECR(ours, "describe-registry", "--query", "replicationConfiguration.rules[].destinations[].region", "--output", "text"); strings.Join(strings.Fields(got), " ") != "us-west-2 eu-west-1" {
		t.Errorf("describe-registry: %q", got)
	}
	awsECR(ours, "create-repository", "--repository-name", "team/app")
	ours.Script(`. ~/env; aws ecr get-login-password | crane auth login -u AWS --password-stdin ` + s.Host)
	image := dockerImage(t, 60)
	push := func(tag string) {
		layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
		ours.Run("crane", "push", layout, s.Host+"/team/app:"+tag)
	}

	push("1.0")
	wantReplication(t, ours, "1.0", "us-west-2 COMPLETE None", "eu-west-1 FAILED AccessDenied")
	if said := theirs.Refused("bash", awsInShell("list-images", "--repository-name", "team/app", "--region", "eu-west-1")...); !strings.Contains(said, "RepositoryNotFoundException") {
		t.Errorf("list-images in the account that let nothing in said:\n%s", said)
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"in","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},`+
		`"Action":["ecr:CreateRepository","ecr:ReplicateImage"],"Resource":["arn:aws:ecr:eu-west-1:%s:repository/team/*"]}]}`, harness.Account, otherAccount)
	awsECR(theirs, "put-registry-policy", "--region", "eu-west-1", "--policy-text", policy)
	push("2.0")
	wantReplication(t, ours, "2.0", "us-west-2 COMPLETE None", "eu-west-1 COMPLETE None")

	for _, copied := range []struct {
		sh              *harness.Shell
		account, region string
		tags            string
	}{
		{ours, harness.Account, "us-west-2", "1.0 2.0"},
		{theirs, otherAccount, "eu-west-1", "1.0 2.0"}, // the first one has been tried again with the second
	} {
		got := awsECR(copied.sh, "describe-images", "--region", copied.region, "--repository-name", "team/app",
			"--image-ids", "imageDigest="+image.Digest().String(), "--query", "sort(imageDetails[0].imageTags)", "--output", "text")
		if strings.Join(strings.Fields(got), " ") != copied.tags {
			t.Errorf("tags in %s of %s: %q, want %s", copied.region, copied.account, got, copied.tags)
		}
		copied.sh.Script(`. ~/env; aws ecr get-login-password --region ` + copied.region + ` | crane auth login -u AWS --password-stdin ` + s.Host)
		uri := s.Host + "/" + copied.account + "/" + copied.region + "/team/app"
		if d := copied.sh.Run("crane", "digest", uri+":2.0"); d != image.Digest().String() {
			t.Errorf("crane digest of %s is %s, want %s", uri, d, image.Digest())
		}
		copied.sh.Run("crane", "pull", uri+"@"+image.Digest().String(), filepath.Join(copied.sh.Home(), copied.region+".tar"))
		copied.sh.Run("crane", "validate", "--remote", uri+":2.0")
	}
}

// shellOf is a shell of the owner of a key, who has evaluated `berth env` and then
// set the key.
func shellOf(t *testing.T, s *harness.Server, key harness.Key) *harness.Shell {
	t.Helper()
	sh := s.Shell(t)
	sh.Script(fmt.Sprintf("berth env >~/env; echo 'export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s' >>~/env", key.AccessKeyId, key.SecretAccessKey))
	return sh
}

// wantReplication waits until team/app's image is on its way nowhere any more, and
// compares how it went: region, status and failure code of each destination.
func wantReplication(t *testing.T, sh *harness.Shell, tag string, want ...string) {
	t.Helper()
	for range 60 {
		got := awsECR(sh, "describe-image-replication-status", "--repository-name", "team/app", "--image-id", "imageTag="+tag,
			"--query", "replicationStatuses[].[region, status, failureCode]", "--output", "text")
		got = strings.ReplaceAll(got, "\t", " ")
		if strings.Contains(got, "IN_PROGRESS") {
			continue
		}
		if got != strings.Join(want, "\n") {
			t.Errorf("replication of %s:\n%s\nwant\n%s", tag, got, strings.Join(want, "\n"))
		}
		return
	}
	t.Fatalf("the replication of %s has no end", tag)
}

// A server that is killed with kill -9 while images are replicated brings each that
// it acknowledged to all destinations, once it is started again.
func TestSDKKillDuringReplication(t *testing.T) {
	s := harness.Start(t)
	s.CreateRepository(t, "team/app")
	regions := []string{"us-west-1", "us-west-2", "eu-west-1"}
	rule := types.ReplicationRule{}
	for _, region := range regions {
		rule.Destinations = append(rule.Destinations, types.ReplicationDestination{Region: &region, RegistryId: aws.String(harness.Account)})
	}
	_, err := s.ECR(t).PutReplicationConfiguration(t.Context(), &ecr.PutReplicationConfigurationInput{
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{rule}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for round := range *kills {
		door := s.OCI(t)
		for n := range 10 {
			tag := fmt.Sprintf("%d-%d", round, n)
			if err := door.PushImage(t.Context(), "team/app", tag, harness.NewImage(t, v1.MediaTypeImageManifest, uint64(700+10*round+n), 1, 512)); err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, tag)
		}
		s.Kill()
		s.Launch()
	}
	client := s.ECR(t)
	for _, tag := range acknowledged {
		image := types.ImageIdentifier{ImageTag: &tag}
		awaitReplication(t, client, image, len(regions))
		for _, region := range regions {
			in := &ecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{image}}
			out, err := client.BatchGetImage(t.Context(), in, func(o *ecr.Options) { o.Region = region })
			if err != nil || len(out.Images) != 1 {
				t.Errorf("%s in %s: %+v, %v", tag, region, out, err)
			}
		}
	}
}

// awaitReplication waits until an image of team/app has come to so many
// destinations.
func awaitReplication(t *testing.T, client *ecr.Client, image types.ImageIdentifier, destinations int) {
	t.Helper()
	in := &ecr.DescribeImageReplicationStatusInput{RepositoryName: aws.String("team/app"), ImageId: &image}
	for until := time.Now().Add(time.Minute); time.Now().Before(until); {
		out, err := client.DescribeImageReplicationStatus(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		complete := 0
		for _, status := range out.ReplicationStatuses {
			if status.Status == types.ReplicationStatusComplete {
				complete++
			}
		}
		if complete == destinations {
			return
		}
	}
	t.Fatalf("image %s has not come to its %d destinations within a minute", aws.ToString(image.ImageTag), destinations)
}
