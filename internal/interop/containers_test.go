package interop_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

func TestSkopeo(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	repo := "docker://" + s.Host + "/team/app"
	logIn(t, s, sh, "skopeo", "login", "--tls-verify=false")

	a, b := ociImage(t, 10), ociImage(t, 11)
	index := harness.NewIndex(t, a, b)
	blobs := slices.Concat(a.Whole(), b.Whole(), [][]byte{index})
	layout := harness.WriteLayout(t, harness.Named(t, "1.0", index), blobs...)
	copyAll := func(from, to string) {
		t.Helper()
		sh.Run("skopeo", "--insecure-policy", "copy", "--all",
			"--src-tls-verify=false", "--dest-tls-verify=false", from, to)
	}
	copyAll("oci:"+layout+":1.0", repo+":1.0")
	copyAll(repo+":1.0", "docker://"+s.Host+"/team/copy:1.0")
	back := t.TempDir()
	copyAll("docker://"+s.Host+"/team/copy:1.0", "oci:"+back+":1.0")
	sameBlobs(t, layout, back)

	if got := sh.Run("skopeo", "inspect", "--raw", "--tls-verify=false", repo+":1.0"); got != string(index) {
		t.Errorf("skopeo inspect --raw printed\n%s\nwant\n%s", got, index)
	}
	if got := skopeoTags(t, sh, repo); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("skopeo list-tags: %q, want 1.0", got)
	}
	sh.Run("skopeo", "delete", "--tls-verify=false", repo+":1.0")
	if said := sh.Refused("skopeo", "inspect", "--raw", "--tls-verify=false", repo+":1.0"); !strings.Contains(said, "manifest unknown") {
		t.Errorf("skopeo inspect after the delete said:\n%s", said)
	}
}

// skopeo sync takes whole repositories from a registry to a folder, and from
// the folder to a registry.
func TestSkopeoSync(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "mirror/app")
	logIn(t, s, sh, "skopeo", "login", "--tls-verify=false")
	a, b := ociImage(t, 14), ociImage(t, 15)
	index := harness.NewIndex(t, a, b)
	for tag, push := range map[string]func(string) error{
		"1.0":   func(tag string) error { return pushIndex(t, s, "team/app", tag, index, a, b) },
		"plain": func(tag string) error { return s.OCI(t).PushImage(t.Context(), "team/app", tag, a) },
	} {
		if err := push(tag); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	sync := func(from, to, source, destination string) {
		t.Helper()
		sh.Run("skopeo", "--insecure-policy", "sync", "--all", "--src-tls-verify=false", "--dest-tls-verify=false",
			"--src", from, "--dest", to, source, destination)
	}
	sync("docker", "dir", s.Host+"/team/app", folder)
	sync("dir", "docker", folder, s.Host+"/mirror")
	sync("docker", "docker", s.Host+"/team/app", s.Host+"/mirror")
	if got := skopeoTags(t, sh, "docker://"+s.Host+"/mirror/app"); !slices.Equal(got, []string{"1.0", "plain"}) {
		t.Errorf("skopeo sync made the tags %q", got)
	}
	if got, err := s.OCI(t).Manifest(t.Context(), "mirror/app", "1.0"); err != nil || string(got) != string(index) {
		t.Errorf("skopeo sync made\n%s, %v\nof\n%s", got, err, index)
	}
}

// skopeoTags are the tags that skopeo lists.
func skopeoTags(t *testing.T, sh *harness.Shell, repo string) []string {
	t.Helper()
	var list struct{ Tags []string }
	out := sh.Run("skopeo", "list-tags", "--tls-verify=false", repo)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("skopeo list-tags printed\n%s: %v", out, err)
	}
	return list.Tags
}

// sameBlobs compares the names of the blobs, which are their digests, in two
// OCI layouts.
func sameBlobs(t *testing.T, wantDir, gotDir string) {
	t.Helper()
	want, got := blobNames(t, wantDir), blobNames(t, gotDir)
	if !slices.Equal(got, want) {
		t.Errorf("what came back has the blobs\n%q\nwant\n%q", got, want)
	}
}

func blobNames(t *testing.T, layout string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(layout, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestPodman(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	ref := s.Host + "/team/app:1.0"
	archive := filepath.Join(sh.Home(), "image.tar")
	writeAll(t, archive, dockerImage(t, 12).Archive(t, ref))
	logIn(t, s, sh, "podman", "login", "--tls-verify=false")

	sh.Podman("load", "--input", archive)
	id := sh.Podman("image", "inspect", "--format", "{{.Id}}", ref)
	for _, format := range []string{"docker", "oci"} {
		sh.Podman("push", "--tls-verify=false", "--format", format, ref, ref+"-"+format)
		sh.Podman("rmi", "--force", id)
		sh.Podman("pull", "--tls-verify=false", ref+"-"+format)
		if format == "docker" { // converted to OCI an image has a new config, and so a new id
			if got := sh.Podman("image", "inspect", "--format", "{{.Id}}", ref+"-docker"); got != id {
				t.Errorf("podman pull brought %s, want %s", got, id)
			}
			sh.Podman("tag", ref+"-docker", ref)
		}
	}
	sh.Run("podman", "logout", s.Host)
	if said := sh.PodmanRefused("push", "--tls-verify=false", ref+"-oci"); !strings.Contains(said, "unauthorized") {
		t.Errorf("podman push after the logout said:\n%s", said)
	}
}

func TestBuildah(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	ref := s.Host + "/team/app:built"
	file := filepath.Join(sh.Home(), "greeting")
	writeAll(t, file, strings.NewReader("hello\n"))
	logIn(t, s, sh, "buildah", "login", "--tls-verify=false")

	work := sh.Buildah("from", "scratch")
	sh.Buildah("copy", work, file, "/greeting")
	sh.Buildah("config", "--cmd", "/greeting", work)
	id := sh.Buildah("commit", "--rm", work, ref)
	sh.Buildah("push", "--tls-verify=false", ref)
	sh.Buildah("rmi", "--force", id)
	if got := sh.Buildah("pull", "--tls-verify=false", ref); got != id {
		t.Errorf("buildah pull brought %s, want %s", got, id)
	}
}

func writeAll(t *testing.T, path string, content io.Reader) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
