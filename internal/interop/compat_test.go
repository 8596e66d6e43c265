package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// startLikeECR starts a server that answers at /v2/ as Amazon ECR does.
func startLikeECR(t *testing.T) (*harness.Server, *harness.Shell) {
	t.Helper()
	s := harness.Start(t, "--compat", "ecr")
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	return s, s.Shell(t)
}

func TestDockerLikeECR(t *testing.T) {
	s, sh := startLikeECR(t)
	sh.UseDocker()
	ref := s.Host + "/team/app:1.0"
	sh.RunInput(dockerImage(t, 300).Archive(t, ref), "docker", "load")
	id := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref)
	if said := sh.Refused("docker", "login", "-u", "AWS", "-p", "wrong", s.Host); !strings.Contains(said, "400 Bad Request") {
		t.Errorf("docker login with a wrong password said:\n%s", said)
	}
	logIn(t, s, sh, "docker", "login")
	sh.Run("docker", "push", ref)
	sh.Run("docker", "image", "rm", ref)
	sh.Run("docker", "pull", ref)
	if got := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref); got != id {
		t.Errorf("docker pull brought %s, want %s", got, id)
	}
	if said := sh.Refused("docker", "pull", s.Host+"/team/app:2.0"); !strings.Contains(said, "Requested image not found") {
		t.Errorf("docker pull of a tag that is not there said:\n%s", said)
	}
}

func TestSkopeoCraneLikeECR(t *testing.T) {
	s, sh := startLikeECR(t)
	logIn(t, s, sh, "skopeo", "login", "--tls-verify=false")
	a, b := ociImage(t, 301), ociImage(t, 302)
	index := harness.NewIndex(t, a, b)
	layout := harness.WriteLayout(t, harness.Named(t, "1.0", index), slices.Concat(a.Whole(), b.Whole(), [][]byte{index})...)
	repo := "docker://" + s.Host + "/team/"
	for _, copies := range [][2]string{{"oci:" + layout + ":1.0", repo + "app:1.0"}, {repo + "app:1.0", repo + "copy:1.0"}} {
		sh.Run("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", copies[0], copies[1])
	}
	logIn(t, s, sh, "crane", "auth", "login")
	if from, to := sh.Run("crane", "digest", s.Host+"/team/app:1.0"), sh.Run("crane", "digest", s.Host+"/team/copy:1.0"); from != to {
		t.Errorf("skopeo copy made %s of %s", to, from)
	}
	for _, tag := range []string{"2.0", "3.0"} {
		sh.Run("crane", "tag", s.Host+"/team/app:1.0", tag)
	}
	if got := lines(sh.Run("crane", "ls", "--full-ref=false", s.Host+"/team/app")); !slices.Equal(got, []string{"1.0", "2.0", "3.0"}) {
		t.Errorf("crane ls: %q", got)
	}
	sh.Run("crane", "delete", s.Host+"/team/copy:1.0") // the last tag: the index goes
	if said := sh.Refused("crane", "manifest", s.Host+"/team/copy@"+digestOfBytes(index)); !strings.Contains(said, "MANIFEST_UNKNOWN") {
		t.Errorf("crane manifest after the last tag went said:\n%s", said)
	}
}

func TestPodmanLikeECR(t *testing.T) {
	s, sh := startLikeECR(t)
	logIn(t, s, sh, "podman", "login", "--tls-verify=false")
	ref, archive := s.Host+"/team/app:1.0", filepath.Join(sh.Home(), "image.tar")
	writeAll(t, archive, dockerImage(t, 303).Archive(t, ref))
	sh.Podman("load", "--input", archive)
	id := sh.Podman("image", "inspect", "--format", "{{.Id}}", ref)
	sh.Podman("push", "--tls-verify=false", "--format", "docker", ref)
	sh.Podman("rmi", "--force", id)
	sh.Podman("pull", "--tls-verify=false", ref)
	if got := sh.Podman("image", "inspect", "--format", "{{.Id}}", ref); got != id {
		t.Errorf("podman pull brought %s, want %s", got, id)
	}
}
