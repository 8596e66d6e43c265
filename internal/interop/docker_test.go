package interop_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// The five lines that the README shows first, word for word.
func TestReadmeDockerAWSCLI(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	sh.UseDocker()
	ref := s.Host + "/team/app:1.0"
	image := dockerImage(t, 1)
	sh.RunInput(image.Archive(t, ref), "docker", "load")

	out := sh.Script(strings.ReplaceAll(readmeLines(t), "localhost:5000", s.Host))
	for _, want := range []string{"Login Succeeded", `"repositoryUri": "` + s.Host + `/team/app"`, `"1.0"`} {
		if !strings.Contains(out, want) {
			t.Errorf("the README's lines printed no %s:\n%s", want, out)
		}
	}
}

// readmeLines are the first indented block of the README.
func readmeLines(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		indented := strings.HasPrefix(line, "    ")
		if !indented && len(lines) > 0 {
			break
		}
		if indented {
			lines = append(lines, line)
		}
	}
	if len(lines) != 5 || !strings.Contains(lines[0], "berth env") {
		t.Fatalf("the README begins with %q; want five lines from berth env on", lines)
	}
	return strings.Join(lines, "")
}

func TestDocker(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	sh.UseDocker()
	s.CreateRepository(t, "team/app")
	repo := s.Host + "/team/app"
	image := dockerImage(t, 2)
	sh.RunInput(image.Archive(t, repo+":1.0"), "docker", "load")
	id := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", repo+":1.0")

	logIn(t, s, sh, "docker", "login")
	sh.Run("docker", "push", repo+":1.0")
	sh.Run("docker", "tag", repo+":1.0", repo+":latest")
	sh.Run("docker", "push", repo+":latest")
	if first, second := inspect(t, sh, repo+":1.0"), inspect(t, sh, repo+":latest"); first != second {
		t.Errorf("the same image by two tags has the manifests\n%s\nand\n%s", first, second)
	}

	// Everything of the image must go, or the pull would have nothing to fetch.
	pushed := repoDigest(t, sh, repo+":1.0")
	sh.Run("docker", "image", "rm", repo+":1.0", repo+":latest")
	for _, ref := range []string{repo + ":1.0", repo + ":latest", pushed} {
		sh.Run("docker", "pull", ref)
		if got := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref); got != id {
			t.Errorf("docker pull %s brought %s, want %s", ref, got, id)
		}
		sh.Run("docker", "image", "rm", ref)
	}

	sh.Run("docker", "pull", repo+":1.0")
	sh.Run("docker", "logout", s.Host)
	for _, verb := range []string{"push", "pull"} {
		if said := sh.Refused("docker", verb, repo+":1.0"); !strings.Contains(said, "no basic auth credentials") {
			t.Errorf("docker %s after the logout said:\n%s", verb, said)
		}
	}
}

func TestDockerRefusals(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	sh.UseDocker()
	s.CreateRepository(t, "team/app")
	repo := s.Host + "/team/app"
	sh.RunInput(dockerImage(t, 3).Archive(t, repo+":1.0"), "docker", "load")

	if said := sh.Refused("docker", "login", "-u", "AWS", "-p", "wrong", s.Host); !strings.Contains(said, "401") {
		t.Errorf("docker login with a wrong password said:\n%s", said)
	}
	logIn(t, s, sh, "docker", "login")
	sh.Run("docker", "tag", repo+":1.0", s.Host+"/team/other:1.0")
	if said := sh.Refused("docker", "push", s.Host+"/team/other:1.0"); !strings.Contains(said, "does not exist") {
		t.Errorf("docker push to a missing repository said:\n%s", said)
	}
	if said := sh.Refused("docker", "pull", repo+":absent"); !strings.Contains(said, "not found") {
		t.Errorf("docker pull of a missing tag said:\n%s", said)
	}
}

// What the AWS CLI deletes, docker no longer finds, by tag or by digest.
func TestDockerAWSCLIDelete(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	sh.UseDocker()
	s.CreateRepository(t, "team/app")
	ref := s.Host + "/team/app:1.0"
	sh.RunInput(dockerImage(t, 5).Archive(t, ref), "docker", "load")
	logIn(t, s, sh, "docker", "login")
	sh.Run("docker", "push", ref)
	byDigest := repoDigest(t, sh, ref)

	awsECR(sh, "batch-delete-image", "--repository-name", "team/app", "--image-ids", "imageTag=1.0")
	sh.Run("docker", "image", "rm", ref)
	for _, gone := range []string{ref, byDigest} {
		if said := sh.Refused("docker", "pull", gone); !strings.Contains(said, "not found") {
			t.Errorf("docker pull %s after batch-delete-image said:\n%s", gone, said)
		}
	}
}

// With --dev the pair test/test opens the door and a push makes its repository.
func TestDockerAWSCLIDev(t *testing.T) {
	s := harness.Start(t, "--dev")
	sh := s.Shell(t)
	sh.UseDocker()
	repo := s.Host + "/made/by/push"
	sh.RunInput(dockerImage(t, 4).Archive(t, repo+":1.0"), "docker", "load")
	sh.Script(`
		export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
		aws --endpoint-url http://` + s.Host + ` ecr get-login-password | docker login -u AWS --password-stdin ` + s.Host + `
		docker push ` + repo + `:1.0
		docker image rm ` + repo + `:1.0
		docker pull ` + repo + `:1.0`)
}

// logIn gives a client's login command the password on standard input, as
// `aws ecr get-login-password |` does.
func logIn(t testing.TB, s *harness.Server, sh *harness.Shell, command ...string) {
	t.Helper()
	args := append(command[1:], "--username", "AWS", "--password-stdin", s.Host)
	sh.RunInput(strings.NewReader(s.Password(t)), command[0], args...)
}

// inspect is what `docker manifest inspect` prints, which must be JSON.
// The flag --insecure lets that command speak plain HTTP, even to loopback.
func inspect(t *testing.T, sh *harness.Shell, ref string) string {
	t.Helper()
	out := sh.Run("docker", "manifest", "inspect", "--insecure", ref)
	if !json.Valid([]byte(out)) {
		t.Errorf("docker manifest inspect %s printed\n%s", ref, out)
	}
	return out
}

// repoDigest is the name by digest that docker keeps after a push.
func repoDigest(t *testing.T, sh *harness.Shell, ref string) string {
	t.Helper()
	return sh.Run("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", ref)
}
