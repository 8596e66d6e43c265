package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// containerd pushes and pulls an index with all its platforms, and the image of
// one platform.
func TestContainerd(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	a, b := ociImage(t, 150), ociImage(t, 151)
	index := harness.NewIndex(t, a, b)
	if err := pushIndex(t, s, "team/app", "1.0", index, a, b); err != nil {
		t.Fatal(err)
	}
	images := func(verb string, args ...string) {
		t.Helper()
		sh.Ctr(slices.Concat([]string{"images", verb, "--plain-http", "--user", "AWS:" + s.Password(t)}, args)...)
	}
	ref, copied := s.Host+"/team/app:1.0", s.Host+"/team/copy:1.0"

	images("pull", "--snapshotter", "native", "--all-platforms", ref)
	if got, want := ctrDigest(sh, ref), digestOfBytes(index); got != want {
		t.Errorf("ctr pulled %s, want %s", got, want)
	}
	sh.Ctr("images", "tag", ref, copied)
	images("push", copied)
	if got, err := s.OCI(t).Manifest(t.Context(), "team/copy", "1.0"); err != nil || string(got) != string(index) {
		t.Errorf("ctr pushed\n%s, %v\nwant\n%s", got, err, index)
	}
	out := filepath.Join(sh.Home(), "out.tar")
	sh.Ctr("images", "export", "--all-platforms", out, copied)
	for _, blob := range slices.Concat(a.Whole(), b.Whole()) {
		name := "blobs/sha256/" + strings.TrimPrefix(digestOfBytes(blob), "sha256:")
		if got := sh.Run("tar", "-xOf", out, name); got != strings.TrimSuffix(string(blob), "\n") {
			t.Errorf("ctr exported %d bytes as %s, want %d", len(got), name, len(blob))
		}
	}

	sh.Ctr("images", "rm", "--sync", ref, copied)
	images("pull", "--snapshotter", "native", "--platform", "linux/arm64", s.Host+"/team/app@"+digestOfBytes(index))
	sh.Ctr("images", "rm", "--sync", s.Host+"/team/app@"+digestOfBytes(index))
	if said := sh.CtrRefused("images", "pull", "--plain-http", ref); !strings.Contains(said, "authorization failed") && !strings.Contains(said, "401") {
		t.Errorf("ctr images pull without a password said:\n%s", said)
	}
}

// pushIndex pushes an index and the images that it names.
func pushIndex(t *testing.T, s *harness.Server, repo, tag string, index []byte, images ...harness.Image) error {
	t.Helper()
	door, ctx := s.OCI(t), t.Context()
	for _, m := range images {
		if err := door.PushImage(ctx, repo, m.Digest().String(), m); err != nil {
			return err
		}
	}
	return door.PushManifest(ctx, repo, tag, v1.MediaTypeImageIndex, index)
}
