package interop_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// managedUser makes a user with a managed policy, and a profile of the AWS CLI by its
// key.
func managedUser(t *testing.T, s *harness.Server, sh *harness.Shell, name, policy string) {
	t.Helper()
	var made struct{ AccessKey harness.Key }
	if err := json.Unmarshal([]byte(sh.Run("berth", "user", "create", name, "--with-key", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	sh.Run("berth", "user", "attach", name, policy)
	makeFile(t, sh.Var("AWS_SHARED_CREDENTIALS_FILE"),
		fmt.Sprintf("[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, made.AccessKey.AccessKeyId, made.AccessKey.SecretAccessKey))
	makeFile(t, sh.Var("AWS_CONFIG_FILE"), fmt.Sprintf("[profile %s]\nregion = us-east-1\n", name))
	sh.Set("AWS_PROFILE", name)
	sh.Set("AWS_ENDPOINT_URL", s.URL())
}

// dockerShell is a shell of somebody with docker, who has not logged in.
func dockerShell(t *testing.T, s *harness.Server) *harness.Shell {
	t.Helper()
	sh := s.Shell(t)
	sh.UseDocker()
	return sh
}

// denied has a command refused for want of the right to an action.
func denied(t *testing.T, sh *harness.Shell, action string, command ...string) {
	t.Helper()
	said := sh.Refused(command[0], command[1:]...)
	if !strings.Contains(said, "is not authorized to perform: "+action) {
		t.Errorf("%s said no word of %s:\n%s", strings.Join(command, " "), action, said)
	}
}

// Three people log in with docker: who may read, who may push, and who has a password
// for a repository alone. The AWS CLI has them by their profiles.
func TestDockerAWSCLIThreeRights(t *testing.T) {
	s := harness.Start(t)
	app, other := s.Host+"/team/app", s.Host+"/team/other"
	root := dockerShell(t, s)
	for i, repo := range []string{app, other} {
		s.CreateRepository(t, strings.TrimPrefix(repo, s.Host+"/"))
		root.RunInput(dockerImage(t, uint64(80+i)).Archive(t, repo+":1.0"), "docker", "load")
	}
	logIn(t, s, root, "docker", "login")
	root.Run("docker", "push", app+":1.0")
	root.Run("docker", "push", other+":1.0")

	reader := dockerShell(t, s)
	managedUser(t, s, reader, "reader", "AmazonEC2ContainerRegistryReadOnly")
	reader.Script("aws ecr get-login-password | docker login --username AWS --password-stdin " + s.Host)
	reader.Run("docker", "pull", app+":1.0")
	reader.RunInput(dockerImage(t, 82).Archive(t, app+":reader"), "docker", "load")
	denied(t, reader, "ecr:InitiateLayerUpload", "docker", "push", app+":reader")
	reader.Run("aws", "ecr", "describe-images", "--repository-name", "team/app")
	denied(t, reader, "ecr:PutImageTagMutability", "aws", "ecr", "put-image-tag-mutability", "--repository-name", "team/app", "--image-tag-mutability", "IMMUTABLE")

	writer := dockerShell(t, s)
	managedUser(t, s, writer, "writer", "AmazonEC2ContainerRegistryPowerUser")
	writer.Script("aws ecr get-login-password | docker login --username AWS --password-stdin " + s.Host)
	writer.RunInput(dockerImage(t, 83).Archive(t, app+":2.0"), "docker", "load")
	writer.Run("docker", "push", app+":2.0")
	writer.Run("docker", "pull", app+":2.0")
	denied(t, writer, "ecr:DeleteRepository", "aws", "ecr", "delete-repository", "--repository-name", "team/app", "--force")
	denied(t, writer, "ecr:BatchDeleteImage", "aws", "ecr", "batch-delete-image", "--repository-name", "team/app", "--image-ids", "imageTag=1.0")

	scoped := dockerShell(t, s)
	scoped.Script("berth token create --user writer --repository team/other --action pull | docker login --username AWS --password-stdin " + s.Host)
	scoped.Run("docker", "pull", other+":1.0")
	denied(t, scoped, "ecr:BatchGetImage", "docker", "pull", app+":1.0")
	scoped.RunInput(dockerImage(t, 84).Archive(t, other+":scoped"), "docker", "load")
	denied(t, scoped, "ecr:InitiateLayerUpload", "docker", "push", other+":scoped")

	// What changes is in force for who has logged in.
	reader.Run("berth", "user", "detach", "reader", "AmazonEC2ContainerRegistryReadOnly")
	denied(t, reader, "ecr:BatchGetImage", "docker", "pull", app+":1.0")
	denied(t, reader, "ecr:DescribeImages", "aws", "ecr", "describe-images", "--repository-name", "team/app")
	scoped.Run("berth", "user", "disable", "writer")
	for _, sh := range []*harness.Shell{scoped, writer} {
		if said := sh.Refused("docker", "pull", other+":1.0"); !strings.Contains(said, "unauthorized") && !strings.Contains(said, "no basic auth credentials") {
			t.Errorf("docker pull of a user who is disabled said:\n%s", said)
		}
	}
	if said := writer.Refused("aws", "ecr", "describe-images", "--repository-name", "team/app"); !strings.Contains(said, "UnrecognizedClientException") {
		t.Errorf("aws of a user who is disabled said:\n%s", said)
	}
}
