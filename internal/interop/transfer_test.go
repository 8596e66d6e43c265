package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// What `berth export` writes crane and skopeo read, and what skopeo writes `berth import`
// does; from one server to another it all goes as well.
func TestCraneSkopeoTransfer(t *testing.T) {
	s, other := harness.Start(t), harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	for _, name := range []string{"team/back", "team/again", "team/app"} {
		other.CreateRepository(t, name)
	}
	a, b := ociImage(t, 920), ociImage(t, 921)
	index := harness.NewIndex(t, a, b)
	if err := pushIndex(t, s, "team/app", "1.0", index, a, b); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*harness.Server{s, other} {
		logIn(t, at, sh, "crane", "auth", "login")
	}
	layout, copied := filepath.Join(sh.Home(), "layout"), filepath.Join(sh.Home(), "copied")
	there := func(repo string) {
		t.Helper()
		if got := sh.Run("crane", "digest", other.Host+"/"+repo+":1.0"); got != digestOfBytes(index) {
			t.Errorf("%s:1.0 there is %s, want %s", repo, got, digestOfBytes(index))
		}
		back := t.TempDir()
		sh.Run("crane", "pull", "--format", "oci", other.Host+"/"+repo+":1.0", back)
		sameBlobs(t, layout, back)
	}
	sh.Run("berth", "export", "team/app:1.0", "oci-layout:"+layout)
	if got, want := blobNames(t, layout), slices.Concat(a.Whole(), b.Whole(), [][]byte{index}); len(got) != len(want) {
		t.Errorf("the layout has %d blobs, want %d", len(got), len(want))
	}
	sh.Run("skopeo", "--insecure-policy", "copy", "--all", "oci:"+layout+":1.0", "oci:"+copied+":1.0")
	sameBlobs(t, layout, copied)
	sh.Run("skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", "--dest-creds", "AWS:"+other.Password(t), "oci:"+layout+":1.0", "docker://"+other.Host+"/team/back:1.0")
	there("team/back")

	theirs := other.Shell(t)
	theirs.Run("berth", "import", "oci-layout:"+copied, "team/again")
	there("team/again")
	theirs.RunInput(strings.NewReader(s.Password(t)), "berth", "import", "docker://"+s.Host, "--username", "AWS", "--password-stdin")
	there("team/app")
}
