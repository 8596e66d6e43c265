package interop_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// oras takes files in and out, copies, tags, lists and deletes.
func TestOras(t *testing.T) {
	s, sh := orasShell(t)
	repo, other := s.Host+"/team/app", s.Host+"/team/copy"
	content := string(harness.Random(110, 300<<10))
	writeAll(t, filepath.Join(sh.Dir, "model.bin"), strings.NewReader(content))

	sh.Run("oras", "push", "--artifact-type", "application/x.model", repo+":1.0", "model.bin:application/x.model.layer")
	sh.Run("oras", "tag", repo+":1.0", "latest", "stable")
	sh.Run("oras", "copy", repo+":1.0", other+":1.0,again")
	if from, to := sh.Run("oras", "resolve", repo+":latest"), sh.Run("oras", "resolve", other+":again"); from != to {
		t.Errorf("oras copy made %s of %s", to, from)
	}
	back := t.TempDir()
	sh.Run("oras", "pull", "--output", back, other+":again")
	sameFile(t, filepath.Join(back, "model.bin"), content)

	if got := lines(sh.Run("oras", "repo", "tags", repo)); !slices.Equal(got, []string{"1.0", "latest", "stable"}) {
		t.Errorf("oras repo tags: %q", got)
	}
	if got := lines(sh.Run("oras", "repo", "tags", "--last", "1.0", repo)); !slices.Equal(got, []string{"latest", "stable"}) {
		t.Errorf("oras repo tags --last 1.0: %q", got)
	}
	if got := lines(sh.Run("oras", "repo", "ls", s.Host)); !slices.Equal(got, []string{"team/app", "team/copy", "team/fourth", "team/third"}) {
		t.Errorf("oras repo ls: %q", got)
	}
	sh.Run("oras", "manifest", "delete", "--force", repo+"@"+sh.Run("oras", "resolve", repo+":1.0"))
	if said := sh.Refused("oras", "manifest", "fetch", repo+":latest"); !strings.Contains(said, "not found") {
		t.Errorf("oras manifest fetch after the delete said:\n%s", said)
	}
}

func TestOrasBlobAndManifest(t *testing.T) {
	s, sh := orasShell(t)
	repo := s.Host + "/team/app"
	image := ociImage(t, 111)
	for _, blob := range image.Blobs() {
		file := filepath.Join(t.TempDir(), "blob")
		writeAll(t, file, strings.NewReader(string(blob)))
		named := repo + "@" + digestOfBytes(blob)
		sh.Run("oras", "blob", "push", named, file)
		back := filepath.Join(t.TempDir(), "back")
		sh.Run("oras", "blob", "fetch", "--output", back, named)
		sameFile(t, back, string(blob))
	}
	sh.RunInput(strings.NewReader(string(image.Manifest)), "oras", "manifest", "push",
		"--media-type", v1.MediaTypeImageManifest, repo+":1.0", "-")
	if got := sh.Run("oras", "manifest", "fetch", repo+":1.0"); got != string(image.Manifest) {
		t.Errorf("oras manifest fetch printed\n%s\nwant\n%s", got, image.Manifest)
	}
	sh.Run("oras", "manifest", "index", "create", repo+":index", "1.0")
	var index v1.Index
	decode(t, sh.Run("oras", "manifest", "fetch", repo+":index"), &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != image.Digest() {
		t.Errorf("the index that oras made names %+v, want %s", index.Manifests, image.Digest())
	}

	loose := repo + "@" + digestOfBytes([]byte("loose"))
	sh.RunInput(strings.NewReader("loose"), "oras", "blob", "push", "--size", "5", loose, "-")
	sh.Run("oras", "blob", "delete", "--force", loose)
	if said := sh.Refused("oras", "blob", "fetch", "--output", "-", loose); !strings.Contains(said, "not found") {
		t.Errorf("oras blob fetch after the delete said:\n%s", said)
	}
}

// What is attached to an image, and what is attached to that, is discovered and
// copied with it, be it over a registry or a folder.
func TestOrasReferrers(t *testing.T) {
	s, sh := orasShell(t)
	image := ociImage(t, 112)
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	repo := s.Host + "/team/app"
	writeAll(t, filepath.Join(sh.Dir, "sbom.json"), strings.NewReader("{}"))
	writeAll(t, filepath.Join(sh.Dir, "sbom.sig"), strings.NewReader("signed"))
	sbom := attach(t, sh, repo+":1.0", "application/spdx+json", "sbom.json")
	signature := attach(t, sh, repo+"@"+sbom, "application/x.signature", "sbom.sig")

	wantTree := func(ref string, flags ...string) {
		t.Helper()
		got := sh.Run("oras", append([]string{"discover", ref}, flags...)...)
		if !strings.Contains(got, sbom) || !strings.Contains(got, signature) {
			t.Errorf("oras discover %s printed\n%s\nwant %s and %s in it", ref, got, sbom, signature)
		}
	}
	wantTree(repo + ":1.0")
	if got := sh.Run("oras", "discover", "--artifact-type", "application/other", repo+":1.0"); strings.Contains(got, sbom) {
		t.Errorf("oras discover of another type printed\n%s", got)
	}
	sh.Run("oras", "copy", "--recursive", repo+":1.0", s.Host+"/team/copy:1.0")
	wantTree(s.Host + "/team/copy:1.0")
	layout := filepath.Join(t.TempDir(), "layout")
	sh.Run("oras", "copy", "--recursive", "--to-oci-layout", repo+":1.0", layout+":1.0")
	wantTree(layout+":1.0", "--oci-layout")
	sh.Run("oras", "copy", "--recursive", "--from-oci-layout", layout+":1.0", s.Host+"/team/third:1.0")
	wantTree(s.Host + "/team/third:1.0")
	sh.Run("oras", "backup", "--include-referrers", "--output", filepath.Join(sh.Home(), "backup.tar"), repo+":1.0")
	sh.Run("oras", "restore", "--input", filepath.Join(sh.Home(), "backup.tar"), s.Host+"/team/fourth:1.0")
	wantTree(s.Host + "/team/fourth:1.0")
}

// What a folder has got before is not asked for again, so that a copy which
// broke off goes on where it was.
func TestOrasResume(t *testing.T) {
	s, sh := orasShell(t)
	repo := s.Host + "/team/app"
	first, second := string(harness.Random(113, 64<<10)), string(harness.Random(114, 64<<10))
	makeFile(t, filepath.Join(sh.Dir, "first"), first)
	makeFile(t, filepath.Join(sh.Dir, "second"), second)
	sh.Run("oras", "push", repo+":part", "first")
	sh.Run("oras", "push", repo+":whole", "first", "second")
	layout := filepath.Join(t.TempDir(), "layout")
	sh.Run("oras", "copy", "--to-oci-layout", repo+":part", layout+":part")
	sh.Run("oras", "copy", "--to-oci-layout", repo+":whole", layout+":whole")
	for _, content := range []string{first, second} {
		asked := fmt.Sprintf("method=GET path=/v2/team/app/blobs/%s status=200", digestOfBytes([]byte(content)))
		if got := strings.Count(s.Log(), asked); got != 1 {
			t.Errorf("a layer was fetched %d times, want once", got)
		}
	}
	back := t.TempDir()
	sh.Run("oras", "pull", "--oci-layout", "--output", back, layout+":whole")
	sameFile(t, filepath.Join(back, "first"), first)
	sameFile(t, filepath.Join(back, "second"), second)
}

// attach attaches a file to an image and returns the digest of the manifest
// that it made.
func attach(t *testing.T, sh *harness.Shell, to, kind, file string) string {
	t.Helper()
	var made struct {
		Digest string `json:"digest"`
	}
	decode(t, sh.Run("oras", "attach", "--format", "json", "--artifact-type", kind, to, file), &made)
	return made.Digest
}

// orasShell is a server with repositories and a shell whose oras is logged in
// to it, which speaks plain HTTP to localhost by itself.
func orasShell(t *testing.T) (*harness.Server, *harness.Shell) {
	t.Helper()
	s := harness.Start(t)
	sh := s.Shell(t)
	for _, name := range []string{"team/app", "team/copy", "team/third", "team/fourth"} {
		s.CreateRepository(t, name)
	}
	logIn(t, s, sh, "oras", "login")
	return s, sh
}
