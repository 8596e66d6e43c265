package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// buildx builds by the buildkitd that is there already, and works on what is in
// the registry by itself.
func TestBuildxBuildKit(t *testing.T) {
	s, sh := buildShell(t)
	repo := s.Host + "/team/app"
	sh.Run("buildx", "create", "--name", "berth", "--driver", "remote", sh.UseBuildKit())
	dir := buildContext(t, "FROM scratch\nCOPY greeting /greeting\n")
	cache := "type=registry,ref=" + repo + ":cache"
	sh.Run("buildx", "build", "--builder", "berth", "--push", "--platform", "linux/amd64,linux/arm64", "--provenance", "mode=min",
		"--cache-to", cache+",mode=max", "--tag", repo+":1.0", "--tag", repo+":latest", dir)
	wantPlatforms(t, s, "1.0")
	sh.Buildctl("prune", "--all")
	metadata := filepath.Join(sh.Home(), "metadata.json")
	sh.Run("buildx", "build", "--builder", "berth", "--push", "--platform", "linux/amd64", "--provenance", "false",
		"--cache-from", cache, "--metadata-file", metadata, "--tag", repo+":amd64", dir)
	if got := string(readFile(t, metadata)); !strings.Contains(got, digestOfBytes(manifestOf(t, s, "amd64"))) {
		t.Errorf("buildx build says that it pushed\n%s", got)
	}

	wantInspected(t, s, sh, repo+":1.0")
	sh.Run("buildx", "imagetools", "create", "--tag", repo+":copy", repo+":1.0")
	if a, b := manifestOf(t, s, "1.0"), manifestOf(t, s, "copy"); string(a) != string(b) {
		t.Errorf("buildx imagetools create made\n%s\nof\n%s", b, a)
	}
	sh.Run("buildx", "imagetools", "create", "--append", "--tag", repo+":amd64", repo+":1.0")
	if got := tagsOf(t, s, "team/app"); !slices.Equal(got, []string{"1.0", "amd64", "cache", "copy", "latest"}) {
		t.Errorf("buildx made the tags %q", got)
	}
}

// `docker buildx` with dockerd's own builder pushes as docker does.
func TestDockerBuildx(t *testing.T) {
	s, sh := buildShell(t)
	sh.UseDocker()
	plugins := filepath.Join(sh.Var("DOCKER_CONFIG"), "cli-plugins")
	if err := os.Mkdir(plugins, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sh.Run("which", "buildx"), filepath.Join(plugins, "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	ref := s.Host + "/team/app:1.0"
	sh.Run("docker", "buildx", "build", "--push", "--tag", ref, buildContext(t, "FROM scratch\nCOPY greeting /greeting\n"))
	sh.Run("docker", "buildx", "build", "--load", "--tag", "here", buildContext(t, "FROM "+ref+"\nLABEL here=yes\n"))
	if got := sh.Run("docker", "image", "inspect", "--format", "{{json .Config.Labels}}", "here"); got != `{"here":"yes"}` {
		t.Errorf("the image on the one that was pushed has the labels %s", got)
	}
}

// wantInspected wants buildx to find an index as it is, and its provenance.
func wantInspected(t *testing.T, s *harness.Server, sh *harness.Shell, ref string) {
	t.Helper()
	_, tag, _ := strings.Cut(ref, "/team/app:")
	if got := sh.Run("buildx", "imagetools", "inspect", "--raw", ref); got != string(manifestOf(t, s, tag)) {
		t.Errorf("buildx imagetools inspect --raw printed\n%s", got)
	}
	if got := sh.Run("buildx", "imagetools", "inspect", "--format", "{{json .Provenance}}", ref); !strings.Contains(got, "linux/arm64") {
		t.Errorf("buildx imagetools inspect printed the provenance\n%s", got)
	}
}
