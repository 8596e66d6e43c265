package interop_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// podman makes an index of images that are in the registry, pushes it with all
// of them to another repository, and lists the tags there.
func TestPodmanIndex(t *testing.T) {
	s, sh, images := indexShell(t, ociImage, "podman", "login", "--tls-verify=false")
	app, other := s.Host+"/team/app", s.Host+"/team/copy"
	sh.Podman("manifest", "create", "--all", "both")
	for _, m := range images {
		sh.Podman("manifest", "add", "--tls-verify=false", "both", "docker://"+app+"@"+m.Digest().String())
	}
	sh.Podman("manifest", "push", "--all", "--tls-verify=false", "--format", "oci", "both", "docker://"+other+":both")
	wantIndex(t, s, "both", images)
	if got := strings.Fields(sh.Podman("search", "--tls-verify=false", "--list-tags", other)); !slices.Equal(got, []string{"NAME", "TAG", other, "both"}) {
		t.Errorf("podman search --list-tags: %q", got)
	}
}

// buildah does the same, and builds from an image of the registry.
func TestBuildahIndex(t *testing.T) {
	s, sh, images := indexShell(t, ociImage, "buildah", "login", "--tls-verify=false")
	app, other := s.Host+"/team/app", s.Host+"/team/copy"
	sh.Buildah("manifest", "create", "both")
	for _, m := range images {
		sh.Buildah("manifest", "add", "--tls-verify=false", "both", "docker://"+app+"@"+m.Digest().String())
	}
	sh.Buildah("manifest", "push", "--all", "--tls-verify=false", "--format", "oci", "both", "docker://"+other+":both")
	wantIndex(t, s, "both", images)

	dir := buildContext(t, "FROM "+app+":1.0\nCOPY greeting /greeting\n")
	sh.Buildah("build", "--tls-verify=false", "--isolation", "chroot", "--tag", other+":built", dir)
	sh.Buildah("push", "--tls-verify=false", other+":built")
	if got := tagsOf(t, s, "team/copy"); !slices.Equal(got, []string{"both", "built"}) {
		t.Errorf("buildah pushed the tags %q", got)
	}
}

// docker makes a list of images that are in the registry, and pushes it.
func TestDockerIndex(t *testing.T) {
	s, sh, images := indexShell(t, dockerImage, "docker", "login")
	app, other := s.Host+"/team/app", s.Host+"/team/copy"
	create := []string{"manifest", "create", "--insecure", other + ":both"}
	for _, m := range images {
		create = append(create, app+"@"+m.Digest().String())
	}
	sh.Run("docker", create...)
	sh.Run("docker", "manifest", "annotate", "--arch", "arm64", other+":both", app+"@"+images[1].Digest().String())
	sh.Run("docker", "manifest", "push", "--insecure", other+":both")
	wantIndex(t, s, "both", images)
}

// indexShell is a server with two images in team/app, and a shell that is
// logged in to it by a command.
func indexShell(t *testing.T, image func(testing.TB, uint64) harness.Image, command ...string) (*harness.Server, *harness.Shell, []harness.Image) {
	t.Helper()
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	images := []harness.Image{image(t, 16), image(t, 17)}
	for _, m := range images {
		if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", m); err != nil {
			t.Fatal(err)
		}
	}
	logIn(t, s, sh, command...)
	return s, sh, images
}

// wantIndex wants an index of those images in team/copy, in any order, and each of
// them whole.
func wantIndex(t *testing.T, s *harness.Server, tag string, images []harness.Image) {
	t.Helper()
	door := s.OCI(t)
	manifest, err := door.Manifest(t.Context(), "team/copy", tag)
	if err != nil {
		t.Fatal(err)
	}
	var index v1.Index
	decode(t, string(manifest), &index)
	if len(index.Manifests) != len(images) {
		t.Fatalf("the index is\n%s\nwant %d images in it", manifest, len(images))
	}
	for _, m := range images {
		if !slices.ContainsFunc(index.Manifests, func(d v1.Descriptor) bool { return d.Digest == m.Digest() }) {
			t.Errorf("the index is\n%s\nwant %s in it", manifest, m.Digest())
		}
		for _, blob := range m.Blobs() {
			sameBlob(t, door, "team/copy", blob)
		}
	}
}
