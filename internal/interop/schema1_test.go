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

// The AWS CLI puts a manifest of schema 1 as Amazon's oldest samples do, without
// a media type or a tag: it goes under the tag that it calls itself by.
func TestAWSCLISchema1(t *testing.T) {
	t.Parallel() // aws is slow to start
	s := harness.Start(t)
	sh := s.Shell(t)
	layer := dockerImage(t, 61).Layers[0].Gzip
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	awsPushLayer(t, sh, layer)
	makeFile(t, filepath.Join(sh.Home(), "manifest.json"),
		`{"schemaVersion":1,"name":"team/app","tag":"old","fsLayers":[{"blobSum":"`+digestOfBytes(layer)+`"}],"history":[{"v1Compatibility":"{}"}]}`)
	got := awsECR(sh, "put-image", "--repository-name", "team/app", "--image-manifest", "file://"+sh.Home()+"/manifest.json",
		"--query", "image.[imageId.imageTag, imageManifestMediaType]", "--output", "text")
	if want := "old application/vnd.docker.distribution.manifest.v1+json"; strings.Join(strings.Fields(got), " ") != want {
		t.Errorf("put-image printed %q, want %q", got, want)
	}
}
