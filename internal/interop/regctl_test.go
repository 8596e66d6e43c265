package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// regctl takes images, indexes and blobs in and out, and deletes a tag as the
// specification says: the tag alone goes.
func TestRegctl(t *testing.T) {
	s, sh := regctlShell(t)
	a, b := ociImage(t, 100), ociImage(t, 101)
	index := harness.NewIndex(t, a, b)
	blobs := slices.Concat(a.Whole(), b.Whole(), [][]byte{index})
	layout := harness.WriteLayout(t, harness.Named(t, "1.0", index), blobs...)
	repo, other := s.Host+"/team/app", s.Host+"/team/copy"

	sh.Run("regctl", "image", "copy", "ocidir://"+layout+":1.0", repo+":1.0")
	sh.Run("regctl", "image", "copy", repo+":1.0", other+":1.0")
	back := filepath.Join(t.TempDir(), "back")
	sh.Run("regctl", "image", "copy", other+":1.0", "ocidir://"+back+":1.0")
	sameBlobs(t, layout, back)
	if got, want := sh.Run("regctl", "image", "digest", repo+":1.0"), digestOfBytes(index); got != want {
		t.Errorf("regctl image digest: %s, want %s", got, want)
	}
	if got, want := sh.Run("regctl", "image", "digest", "--platform", "linux/arm64", repo+":1.0"), b.Digest().String(); got != want {
		t.Errorf("regctl image digest --platform linux/arm64: %s, want %s", got, want)
	}

	sh.Run("regctl", "index", "create", repo+":made", "--ref", repo+":1.0", "--platform", "linux/arm64")
	if got := sh.Run("regctl", "manifest", "get", "--format", "raw-body", repo+":made"); !strings.Contains(got, b.Digest().String()) {
		t.Errorf("the index that regctl made is\n%s\nwant %s in it", got, b.Digest())
	}
	sh.Run("regctl", "tag", "delete", repo+":made")
	if got := lines(sh.Run("regctl", "tag", "ls", repo)); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("regctl tag ls after a tag delete: %q", got)
	}
	if got := lines(sh.Run("regctl", "repo", "ls", s.Host)); !slices.Equal(got, []string{"team/app", "team/copy"}) {
		t.Errorf("regctl repo ls: %q", got)
	}
	sh.Run("regctl", "manifest", "delete", repo+"@"+digestOfBytes(index))
	if said := sh.Refused("regctl", "manifest", "head", repo+":1.0"); !strings.Contains(said, "not found") {
		t.Errorf("regctl manifest head after the delete said:\n%s", said)
	}
}

// A blob goes in whole, and in chunks with a Content-Range each.
func TestRegctlBlob(t *testing.T) {
	s, sh := regctlShell(t)
	repo := s.Host + "/team/app"
	for _, mode := range []string{"--blob-max=-1", "--blob-max=65536"} {
		sh.Run("regctl", "registry", "set", "--blob-chunk=65536", mode, s.Host)
		content := "regctl " + mode + string(harness.Random(102, 200<<10))
		d := sh.RunInput(strings.NewReader(content), "regctl", "blob", "put", repo)
		if want := digestOfBytes([]byte(content)); d != want {
			t.Fatalf("regctl blob put said %s, want %s", d, want)
		}
		if got := sh.Run("regctl", "blob", "get", repo, d); got != strings.TrimSuffix(content, "\n") {
			t.Errorf("regctl blob get: %d bytes that differ from the %d that went in", len(got), len(content))
		}
		if got := sh.Run("regctl", "blob", "head", repo, d); !strings.Contains(got, "Content-Length: 20") {
			t.Errorf("regctl blob head printed\n%s", got)
		}
		sh.Run("regctl", "blob", "copy", repo, s.Host+"/team/copy", d)
		sh.Run("regctl", "blob", "delete", repo, d)
		if said := sh.Refused("regctl", "blob", "head", repo, d); !strings.Contains(said, "not found") {
			t.Errorf("regctl blob head after the delete said:\n%s", said)
		}
		sh.Run("regctl", "blob", "head", s.Host+"/team/copy", d)
	}
}

// Artifacts that name an image as their subject are listed, walked through and
// copied with it.
func TestRegctlReferrers(t *testing.T) {
	s, sh := regctlShell(t)
	image := ociImage(t, 103)
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	repo, other := s.Host+"/team/app", s.Host+"/team/copy"
	put := func(subject, kind, content string) string {
		t.Helper()
		return sh.RunInput(strings.NewReader(content), "regctl", "artifact", "put",
			"--artifact-type", kind, "--subject", subject, "--format", "{{.Manifest.GetDescriptor.Digest}}")
	}
	sbom := put(repo+":1.0", "application/spdx+json", "{}")
	signature := put(repo+"@"+sbom, "application/x.signature", "signed")

	list := sh.Run("regctl", "artifact", "list", "--format", "body", repo+":1.0")
	for _, want := range []string{sbom, v1.MediaTypeImageIndex, "application/spdx+json"} {
		if !strings.Contains(list, want) {
			t.Errorf("regctl artifact list printed\n%s\nwant %s in it", list, want)
		}
	}
	if got := sh.Run("regctl", "artifact", "list", "--filter-artifact-type", "application/other", "--format", "body", repo+":1.0"); strings.Contains(got, sbom) {
		t.Errorf("regctl artifact list of another type printed\n%s", got)
	}
	if tree := sh.Run("regctl", "artifact", "tree", repo+":1.0"); !strings.Contains(tree, sbom) || !strings.Contains(tree, signature) {
		t.Errorf("regctl artifact tree printed\n%s\nwant %s and %s in it", tree, sbom, signature)
	}
	sh.Run("regctl", "image", "copy", "--referrers", repo+":1.0", other+":1.0")
	if got := sh.Run("regctl", "artifact", "get", "--subject", other+"@"+sbom); got != "signed" {
		t.Errorf("the copy's artifact of an artifact is %q, want signed", got)
	}
	sh.Run("regctl", "manifest", "delete", other+"@"+sbom)
	if list := sh.Run("regctl", "artifact", "list", "--format", "body", other+":1.0"); strings.Contains(list, sbom) {
		t.Errorf("regctl artifact list after the delete printed\n%s", list)
	}
}

// regctlShell is a server with two repositories and a shell whose regctl is
// logged in to it.
func regctlShell(t *testing.T) (*harness.Server, *harness.Shell) {
	t.Helper()
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	logInRegctl(t, s, sh)
	return s, sh
}

// logInRegctl tells regctl that the server does not speak TLS, and logs it in.
func logInRegctl(t *testing.T, s *harness.Server, sh *harness.Shell) {
	t.Helper()
	sh.Run("regctl", "registry", "set", "--skip-check", "--tls", "disabled", s.Host)
	sh.RunInput(strings.NewReader(s.Password(t)), "regctl", "registry", "login", "--user", "AWS", "--pass-stdin", s.Host)
}
