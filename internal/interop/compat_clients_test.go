package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

func TestContainerdLikeECR(t *testing.T) {
	s, sh := startLikeECR(t)
	ref := s.Host + "/team/app:1.0"
	archive := filepath.Join(sh.Home(), "image.tar")
	writeAll(t, archive, dockerImage(t, 310).Archive(t, ref))
	how := []string{"--plain-http", "--user", "AWS:" + s.Password(t), ref}
	sh.Ctr("images", "import", "--no-unpack", archive)
	pushed := ctrDigest(sh, ref)
	sh.Ctr(append([]string{"images", "push"}, how...)...)
	sh.Ctr("images", "rm", "--sync", ref)
	sh.Ctr(append([]string{"images", "pull", "--snapshotter", "native"}, how...)...)
	if got := ctrDigest(sh, ref); got != pushed {
		t.Errorf("ctr pulled %s, want %s", got, pushed)
	}
}

// ECR has referrers too, and tells them as the specification says. A chunk of
// less than 5 MiB it does not take, so regctl has to be told of larger ones.
func TestOrasRegctlLikeECR(t *testing.T) {
	s, sh := startLikeECR(t)
	repo, other := s.Host+"/team/app", s.Host+"/team/copy"
	logIn(t, s, sh, "oras", "login")
	makeFile(t, filepath.Join(sh.Dir, "model"), string(harness.Random(311, 6<<20)))
	makeFile(t, filepath.Join(sh.Dir, "sbom"), "{}")
	sh.Run("oras", "push", repo+":1.0", "model")
	sh.Run("oras", "tag", repo+":1.0", "latest")
	sbom := attach(t, sh, repo+":1.0", "application/spdx+json", "sbom")
	if got := sh.Run("oras", "discover", repo+":latest"); !strings.Contains(got, sbom) {
		t.Errorf("oras discover printed\n%s\nwant %s in it", got, sbom)
	}
	if got := lines(sh.Run("oras", "repo", "tags", repo)); !slices.Equal(got, []string{"1.0", "latest"}) {
		t.Errorf("oras repo tags: %q", got)
	}

	logInRegctl(t, s, sh)
	sh.Run("regctl", "image", "copy", "--referrers", repo+":1.0", other+":1.0")
	if got := sh.Run("regctl", "artifact", "list", "--format", "body", other+":1.0"); !strings.Contains(got, sbom) {
		t.Errorf("regctl artifact list printed\n%s\nwant %s in it", got, sbom)
	}
	content := string(harness.Random(312, 7<<20))
	blobPut := func(chunk string) []string {
		sh.Run("regctl", "registry", "set", "--blob-max=65536", "--blob-chunk="+chunk, s.Host)
		file := filepath.Join(t.TempDir(), "blob")
		makeFile(t, file, content)
		return []string{"-euc", `regctl blob put "$1" <"$2"`, "bash", repo, file}
	}
	if said := sh.Refused("bash", blobPut("1048576")...); !strings.Contains(said, "at least 5MB") {
		t.Errorf("regctl blob put in chunks of 1 MiB said:\n%s", said)
	}
	if got, want := sh.Run("bash", blobPut("5242880")...), digestOfBytes([]byte(content)); got != want {
		t.Errorf("regctl blob put in chunks of 5 MiB said %s, want %s", got, want)
	}
	sh.Run("regctl", "tag", "delete", other+":1.0") // the last tag: the image goes
	if said := sh.Refused("regctl", "manifest", "head", other+"@"+sh.Run("regctl", "image", "digest", repo+":1.0")); !strings.Contains(said, "not found") {
		t.Errorf("regctl manifest head after the last tag went said:\n%s", said)
	}
}
