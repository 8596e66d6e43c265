package interop_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

const (
	hubHost   = "registry-1.docker.io"
	hubSecret = "arn:aws:secretsmanager:us-east-1:000000000000:secret:ecr-pullthroughcache/hub"
)

// mirroring is a server for which another one stands in for Docker Hub, by name and
// password.
func mirroring(t testing.TB, hub *harness.Server) *harness.Server {
	t.Helper()
	folder := t.TempDir()
	makeFile(t, filepath.Join(folder, "hub.secret"), fmt.Sprintf(`{"username": "AWS", "accessToken": %q}`, hub.Password(t)))
	makeFile(t, filepath.Join(folder, "berth.yml"), fmt.Sprintf(`
egress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}
mirror:
  credentials: [{arn: "%s", file: %s}]
  upstreams: [{host: %s, url: "http://%s"}]
`, hubSecret, filepath.Join(folder, "hub.secret"), hubHost, strings.Replace(hub.Host, "localhost", "127.0.0.1", 1)))
	return harness.Start(t, "--config", filepath.Join(folder, "berth.yml"))
}

// mirrorHub makes the rule by which the images of Docker Hub are had.
func mirrorHub(t testing.TB, sh *harness.Shell) {
	t.Helper()
	awsECR(sh, "create-pull-through-cache-rule", "--ecr-repository-prefix", "docker-hub", "--upstream-registry-url", hubHost, "--credential-arn", hubSecret)
	if got := awsECR(sh, "validate-pull-through-cache-rule", "--ecr-repository-prefix", "docker-hub", "--query", "isValid"); got != "true" {
		t.Errorf("validate-pull-through-cache-rule says %s of the rule", got)
	}
}

// docker pulls through a cold cache what another registry has, by tag and by digest, and
// through a warm one when that is gone; the AWS CLI shows what was made.
func TestDockerAWSCLIPullThrough(t *testing.T) {
	hub := harness.Start(t)
	s := mirroring(t, hub)
	sh := s.Shell(t)
	sh.UseDocker()
	hub.CreateRepository(t, "team/app")
	one, two := dockerImage(t, 900), dockerImage(t, 901)
	push := func(tag string, m harness.Image) {
		t.Helper()
		if err := hub.OCI(t).PushImage(t.Context(), "team/app", tag, m); err != nil {
			t.Fatal(err)
		}
	}
	push("1.0", one)
	push("2.0", two)
	mirrorHub(t, sh)
	logIn(t, s, sh, "docker", "login")

	repo := s.Host + "/docker-hub/team/app"
	pull := func(ref string, want harness.Image) {
		t.Helper()
		sh.Run("docker", "pull", ref)
		if got := repoDigest(t, sh, ref); got != repo+"@"+want.Digest().String() {
			t.Errorf("docker pull %s brought %s, want %s", ref, got, want.Digest())
		}
		sh.Run("docker", "image", "rm", ref)
	}
	pull(repo+":1.0", one)
	pull(repo+"@"+two.Digest().String(), two)
	if got := awsECR(sh, "describe-repositories", "--query", "repositories[].repositoryName", "--output", "text"); got != "docker-hub/team/app" {
		t.Errorf("describe-repositories shows %q", got)
	}
	if said := sh.Refused("docker", "pull", repo+":absent"); !strings.Contains(said, "not found") {
		t.Errorf("docker pull of a tag that upstream does not have said:\n%s", said)
	}

	// It waits until they are whole.
	warmed := sh.Run("berth", "cache", "warm", "docker-hub/team/app:1.0", "docker-hub/team/app:2.0")
	if !strings.Contains(warmed, one.Digest().String()) || !strings.Contains(warmed, two.Digest().String()) {
		t.Errorf("berth cache warm says %q", warmed)
	}
	hub.Stop()
	pull(repo+":1.0", one)
	pull(repo+":2.0", two)
	got := awsECR(sh, "describe-images", "--repository-name", "docker-hub/team/app", "--query", "sort(imageDetails[].imageTags[0])", "--output", "text")
	if strings.Join(strings.Fields(got), " ") != "1.0 2.0" {
		t.Errorf("describe-images shows the tags %q", got)
	}
	// docker shows no more of such an answer than its status.
	if said := sh.Refused("docker", "pull", repo+":absent"); !strings.Contains(said, "502 Bad Gateway") {
		t.Errorf("docker pull of what is not here, while upstream is down, said:\n%s", said)
	}
}

// containerd, told by a hosts.toml to ask the server for images of Docker Hub, gets them
// under their own names.
func TestContainerdPullThrough(t *testing.T) {
	hub := harness.Start(t)
	s := mirroring(t, hub)
	sh := s.Shell(t)
	hub.CreateRepository(t, "library/app")
	a, b := ociImage(t, 910), ociImage(t, 911)
	index := harness.NewIndex(t, a, b)
	if err := pushIndex(t, hub, "library/app", "1.0", index, a, b); err != nil {
		t.Fatal(err)
	}
	mirrorHub(t, sh)
	hosts := t.TempDir()
	makeFile(t, filepath.Join(hosts, "docker.io", "hosts.toml"), fmt.Sprintf("server = \"https://%s\"\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", hubHost, s.URL()))

	const ref = "docker.io/library/app:1.0"
	sh.Ctr("images", "pull", "--snapshotter", "native", "--all-platforms", "--user", "AWS:"+s.Password(t), "--hosts-dir", hosts, ref)
	if got, want := ctrDigest(sh, ref), digestOfBytes(index); got != want {
		t.Errorf("ctr pulled %s, want %s", got, want)
	}
	out := filepath.Join(sh.Home(), "out.tar")
	sh.Ctr("images", "export", "--all-platforms", out, ref)
	for _, blob := range append(a.Whole(), b.Whole()...) {
		name := "blobs/sha256/" + strings.TrimPrefix(digestOfBytes(blob), "sha256:")
		if got := sh.Run("tar", "-xOf", out, name); got != strings.TrimSuffix(string(blob), "\n") {
			t.Errorf("ctr exported %d bytes as %s, want %d", len(got), name, len(blob))
		}
	}
	sh.Ctr("images", "rm", "--sync", ref)
	if got := awsECR(sh, "describe-repositories", "--query", "repositories[].repositoryName", "--output", "text"); got != "docker-hub/library/app" {
		t.Errorf("describe-repositories shows %q", got)
	}
}
