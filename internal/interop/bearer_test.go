package interop_test

import (
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// everyonePulls is a repository policy that lets everyone pull.
const everyonePulls = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchCheckLayerAvailability","ecr:ListImages"]}]}`

// openAndShut is a server that answers those who are not logged in, with a repository
// that is open to them and one that is not.
func openAndShut(t *testing.T, args ...string) (s *harness.Server, sh *harness.Shell, open, shut string) {
	t.Helper()
	s = harness.Start(t, append(args, "--anonymous-pull")...)
	sh = s.Shell(t)
	awsECR(sh, "create-repository", "--repository-name", "team/open")
	awsECR(sh, "create-repository", "--repository-name", "team/shut")
	awsECR(sh, "set-repository-policy", "--repository-name", "team/open", "--policy-text", everyonePulls)
	return s, sh, s.Host + "/team/open:1", s.Host + "/team/shut:1"
}

// Docker logs in, pushes and pulls by bearer tokens, and pulls without credentials what
// is open to everyone.
func TestDockerBearerAWSCLI(t *testing.T) {
	s, sh, open, shut := openAndShut(t, "--login-bearer")
	sh.UseDocker()
	image := dockerImage(t, 31)
	sh.RunInput(image.Archive(t, open), "docker", "load")
	sh.Run("docker", "tag", open, shut)
	sh.Refused("docker", "push", open)
	sh.Refused("docker", "login", "--username", "AWS", "--password", "wrong", s.Host)
	logIn(t, s, sh, "docker", "login")
	for _, ref := range []string{open, shut} {
		sh.Run("docker", "push", ref) // the second mounts what the first brought
		sh.Run("docker", "image", "rm", ref)
	}
	for _, ref := range []string{shut, open} {
		sh.Run("docker", "pull", ref)
		sh.Run("docker", "image", "rm", ref)
	}
	sh.Run("docker", "logout", s.Host)
	sh.Run("docker", "pull", open)
	sh.Refused("docker", "pull", shut)
	sh.Refused("docker", "pull", s.Host+"/team/none:1")
	sh.Refused("docker", "push", open)
	sh.Run("docker", "image", "rm", open)
}

// crane and skopeo pull without credentials what is open to everyone, by bearer tokens
// and without, and push and copy by them.
func TestAnonymousPullCraneSkopeoAWSCLI(t *testing.T) {
	t.Parallel() // aws is slow to start
	for _, args := range [][]string{nil, {"--login-bearer"}} {
		s, sh, open, shut := openAndShut(t, args...)
		image := ociImage(t, 32)
		layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
		logIn(t, s, sh, "crane", "auth", "login")
		sh.Run("crane", "push", "--index", layout, open)
		sh.Run("crane", "copy", open, shut)
		sh.Run("crane", "auth", "logout", s.Host)
		digest := sh.Run("crane", "digest", open)
		sh.Run("crane", "pull", open, t.TempDir()+"/image.tar")
		sh.Run("skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", "docker://"+open, "dir:"+t.TempDir())
		sh.Run("skopeo", "list-tags", "--tls-verify=false", "docker://"+s.Host+"/team/open")
		for _, refused := range [][]string{
			{"crane", "digest", shut}, {"crane", "digest", s.Host + "/team/none:1"}, {"crane", "delete", s.Host + "/team/open@" + digest},
			{"crane", "catalog", s.Host}, {"skopeo", "inspect", "--tls-verify=false", "docker://" + shut},
		} {
			sh.Refused(refused[0], refused[1:]...)
		}
	}
}
