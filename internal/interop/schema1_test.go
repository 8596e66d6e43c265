package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// skopeo turns an image into Docker's schema 1 and signs it with a key of its
// own; what it pulls back is what it pushed, byte for byte, under the digest that it
// computes itself.
func TestSkopeoSchema1(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	logIn(t, s, sh, "skopeo", "login", "--tls-verify=false")
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "2", dockerImage(t, 60)); err != nil {
		t.Fatal(err)
	}
	from := "docker://" + s.Host + "/team/app"
	copied := func(args ...string) {
		t.Helper()
		sh.Run("skopeo", append([]string{"--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"}, args...)...)
	}
	copied("--format", "v2s1", from+":2", from+":1")
	raw := sh.Run("skopeo", "inspect", "--raw", "--tls-verify=false", from+":1")
	if !strings.Contains(raw, `"signatures"`) || !strings.Contains(raw, `"schemaVersion":1`) {
		t.Fatalf("skopeo pushed no signed schema 1:\n%s", raw)
	}
	file := filepath.Join(sh.Home(), "manifest.json")
	makeFile(t, file, raw)
	digest := strings.TrimSpace(sh.Run("skopeo", "manifest-digest", file))
	if digest == digestOfBytes([]byte(raw)) {
		t.Errorf("skopeo takes %s, the digest of all bytes, for that of signed schema 1", digest)
	}
	if got := sh.Run("skopeo", "inspect", "--raw", "--tls-verify=false", from+"@"+digest); got != raw {
		t.Errorf("by its digest the manifest is\n%s\nwant\n%s", got, raw)
	}
	back := t.TempDir()
	copied(from+"@"+digest, "dir:"+back)
	if got, err := os.ReadFile(filepath.Join(back, "manifest.json")); err != nil || string(got) != raw {
		t.Errorf("pulled %s, %v; want %s", got, err, raw)
	}
}
