package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// BuildKit pushes an index of two platforms, each with its attestations, keeps
// its cache in the registry, and builds from both.
func TestBuildKit(t *testing.T) {
	s, sh := buildShell(t)
	repo := s.Host + "/team/app"
	dir := buildContext(t, "FROM scratch\nCOPY greeting /greeting\n")
	cache := "type=registry,ref=" + repo + ":cache"
	build(sh, dir, "--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:provenance=mode=min",
		"--output", pushTo(repo+":1.0"), "--export-cache", cache+",mode=max")
	wantPlatforms(t, s, "1.0")
	if got := tagsOf(t, s, "team/app"); !slices.Equal(got, []string{"1.0", "cache"}) {
		t.Errorf("BuildKit made the tags %q", got)
	}

	sh.Buildctl("prune", "--all")
	said := build(sh, dir, "--opt", "platform=linux/amd64,linux/arm64", "--output", pushTo(repo+":2.0"), "--import-cache", cache)
	if !strings.Contains(said, "COPY greeting /greeting\n") || !strings.Contains(said, " CACHED\n") {
		t.Errorf("the second build did not use the cache in the registry:\n%s", said)
	}

	sh.Buildctl("prune", "--all")
	out := t.TempDir()
	build(sh, buildContext(t, "FROM "+repo+":1.0\n"), "--output", "type=local,dest="+out)
	sameFile(t, filepath.Join(out, "greeting"), "hello\n")
}

// A program that BuildKit pulls from the registry lists what is in an image,
// and its list is pushed with the image.
func TestBuildKitSBOM(t *testing.T) {
	s, sh := buildShell(t)
	repo := s.Host + "/team/app"
	scanner := t.TempDir()
	sh.Run("cp", sh.Run("which", "scanner"), scanner)
	makeFile(t, filepath.Join(scanner, "Dockerfile"), "FROM scratch\nCOPY scanner /scanner\nENTRYPOINT [\"/scanner\"]\n")
	build(sh, scanner, "--output", pushTo(repo+":scanner"))

	dir := buildContext(t, "FROM scratch\nCOPY greeting /greeting\n")
	build(sh, dir, "--opt", "platform=linux/amd64,linux/arm64", "--opt", "attest:sbom=generator="+repo+":scanner",
		"--output", pushTo(repo+":1.0"))
	wantPlatforms(t, s, "1.0")
	for _, m := range indexOf(t, s, "1.0").Manifests[2:] {
		var attestation v1.Manifest
		decode(t, string(manifestOf(t, s, m.Digest.String())), &attestation)
		list, err := readBlob(t.Context(), s.OCI(t), "team/app", attestation.Layers[0].Digest)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(list), "https://spdx.dev/Document") || !strings.Contains(string(list), "/greeting") {
			t.Errorf("the list of what is in the image is\n%s", list)
		}
	}
}

// build builds a folder and returns what buildctl said of its steps.
func build(sh *harness.Shell, dir string, args ...string) string {
	return sh.Buildctl(append([]string{"build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context=" + dir, "--local", "dockerfile=" + dir}, args...)...)
}

// pushTo is an output of BuildKit that pushes an image.
func pushTo(ref string) string { return "type=image,push=true,oci-mediatypes=true,name=" + ref }

// buildContext makes a folder to build from.
func buildContext(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := t.TempDir()
	makeFile(t, filepath.Join(dir, "Dockerfile"), dockerfile)
	makeFile(t, filepath.Join(dir, "greeting"), "hello\n")
	return dir
}

// wantPlatforms wants an index of two platforms and the attestations of each,
// which BuildKit puts beside them.
func wantPlatforms(t *testing.T, s *harness.Server, tag string) {
	t.Helper()
	var got []string
	for _, m := range indexOf(t, s, tag).Manifests {
		got = append(got, m.Platform.Architecture+" "+m.Annotations["vnd.docker.reference.type"])
	}
	if want := []string{"amd64 ", "arm64 ", "unknown attestation-manifest", "unknown attestation-manifest"}; !slices.Equal(got, want) {
		t.Errorf("the index %s has %q, want %q", tag, got, want)
	}
}

// indexOf reads an index of team/app.
func indexOf(t *testing.T, s *harness.Server, ref string) v1.Index {
	t.Helper()
	var index v1.Index
	decode(t, string(manifestOf(t, s, ref)), &index)
	return index
}

func manifestOf(t *testing.T, s *harness.Server, ref string) []byte {
	t.Helper()
	manifest, err := s.OCI(t).Manifest(t.Context(), "team/app", ref)
	if err != nil {
		t.Fatal(err)
	}
	return manifest
}

// buildShell is a server with a repository and a shell whose docker config has
// the password, which is where BuildKit's clients look.
func buildShell(t *testing.T) (*harness.Server, *harness.Shell) {
	t.Helper()
	s := harness.Start(t)
	sh := s.Shell(t)
	s.CreateRepository(t, "team/app")
	type entry struct {
		Auth string `json:"auth"`
	}
	login := entry{base64.StdEncoding.EncodeToString([]byte("AWS:" + s.Password(t)))}
	config, err := json.Marshal(map[string]map[string]entry{"auths": {s.Host: login}})
	if err != nil {
		t.Fatal(err)
	}
	makeFile(t, filepath.Join(sh.Var("DOCKER_CONFIG"), "config.json"), string(config))
	return s, sh
}
