package interop_test

import (
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// How often connections are cut in each direction, and at which of their first
// bytes: within a layer for the most part, and now and then in the small talk.
const (
	cuts      = 6
	cutWithin = 400 << 10
	cutLayer  = 512 << 10
)

// docker pushes and pulls over connections that break, until it is through.
func TestCutDocker(t *testing.T) {
	s, sh, c := cutServer(t)
	sh.UseDocker()
	ref := c.Host + "/team/app:1.0"
	image := harness.NewImage(t, harness.DockerManifest, 170, 4, cutLayer)
	sh.RunInput(image.Archive(t, ref), "docker", "load")
	id := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref)
	sh.RunInput(strings.NewReader(s.Password(t)), "docker", "login", "-u", "AWS", "--password-stdin", c.Host)

	untilDone(t, c, func() (string, error) { return sh.Try("docker", "push", ref) })
	wantWhole(t, s, "1.0")
	sh.Run("docker", "image", "rm", ref)
	untilDone(t, c, func() (string, error) { return sh.Try("docker", "pull", ref) })
	if got := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref); got != id {
		t.Errorf("docker pulled %s, want %s", got, id)
	}
	wantNoFaults(t, s)
}

func TestCutContainerd(t *testing.T) {
	s, sh, c := cutServer(t)
	ref := c.Host + "/team/app:1.0"
	archive := filepath.Join(sh.Home(), "image.tar")
	writeAll(t, archive, harness.NewImage(t, harness.DockerManifest, 171, 4, cutLayer).Archive(t, ref))
	sh.Ctr("images", "import", "--no-unpack", archive)
	pushed := ctrDigest(sh, ref)
	how := []string{"--plain-http", "--user", "AWS:" + s.Password(t), ref}

	untilDone(t, c, func() (string, error) { return sh.TryCtr(append([]string{"images", "push"}, how...)...) })
	wantWhole(t, s, "1.0")
	sh.Ctr("images", "rm", "--sync", ref)
	untilDone(t, c, func() (string, error) {
		return sh.TryCtr(append([]string{"images", "pull", "--snapshotter", "native"}, how...)...)
	})
	if got := ctrDigest(sh, ref); got != pushed {
		t.Errorf("ctr pulled %s, want %s", got, pushed)
	}
	sh.Ctr("images", "export", filepath.Join(sh.Home(), "whole.tar"), ref) // reads every byte, and has checked it as it came
	wantNoFaults(t, s)
}

func TestCutOras(t *testing.T) {
	s, sh, c := cutServer(t)
	sh.RunInput(strings.NewReader(s.Password(t)), "oras", "login", "-u", "AWS", "--password-stdin", c.Host)
	ref := c.Host + "/team/app:1.0"
	files := []string{"a", "b", "c", "d"}
	for i, name := range files {
		makeFile(t, filepath.Join(sh.Dir, name), string(harness.Random(uint64(172+i), cutLayer)))
	}
	untilDone(t, c, func() (string, error) { return sh.Try("oras", append([]string{"push", ref}, files...)...) })
	wantWhole(t, s, "1.0")
	back := t.TempDir()
	untilDone(t, c, func() (string, error) { return sh.Try("oras", "pull", "--output", back, ref) })
	for i, name := range files {
		sameFile(t, filepath.Join(back, name), string(harness.Random(uint64(172+i), cutLayer)))
	}
	layout := filepath.Join(t.TempDir(), "layout")
	untilDone(t, c, func() (string, error) { return sh.Try("oras", "copy", "--to-oci-layout", ref, layout+":1.0") })
	sh.Run("oras", "pull", "--oci-layout", "--output", t.TempDir(), layout+":1.0")
	wantNoFaults(t, s)
}

// cutServer is a server with a repository and something in front of it that
// cuts connections.
func cutServer(t *testing.T) (*harness.Server, *harness.Shell, *harness.Cutter) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	s := harness.Start(t)
	s.CreateRepository(t, "team/app")
	return s, s.Shell(t), s.Cutter(t, seed)
}

// untilDone runs a command again and again, while connections are cut, until it
// succeeds.
func untilDone(t *testing.T, c *harness.Cutter, command func() (string, error)) {
	t.Helper()
	before := c.Cuts()
	c.Arm(cuts, cutWithin)
	for try := 1; ; try++ {
		said, err := command()
		if err == nil {
			t.Logf("done at try %d, after %d cuts", try, c.Cuts()-before)
			break
		}
		if try == 3*cuts {
			t.Fatalf("%v at try %d, after %d cuts:\n%s", err, try, c.Cuts()-before, said)
		}
	}
	if c.Cuts() == before {
		t.Error("no connection was cut")
	}
	c.Arm(0, cutWithin)
}

// wantWhole reads an image of team/app back, past the cutter.
func wantWhole(t *testing.T, s *harness.Server, ref string) {
	t.Helper()
	var m v1.Manifest
	decode(t, string(manifestOf(t, s, ref)), &m)
	door := s.OCI(t)
	for _, d := range append(m.Layers, m.Config) {
		got, err := readBlob(t.Context(), door, "team/app", d.Digest)
		if err != nil || digest.FromBytes(got) != d.Digest || int64(len(got)) != d.Size {
			t.Errorf("%s of %d bytes came back as %s of %d, %v", d.Digest, d.Size, digest.FromBytes(got), len(got), err)
		}
	}
}

var fault = regexp.MustCompile(`.* (status=5\d\d|level=ERROR) .*`)

// wantNoFaults wants a server that is well and has answered no request with a
// fault of its own.
func wantNoFaults(t *testing.T, s *harness.Server) {
	t.Helper()
	if status, _ := fetch(t, s.URL()+"/readyz", ""); status != http.StatusOK {
		t.Errorf("the server says of itself %d", status)
	}
	if found := fault.FindAllString(s.Log(), -1); found != nil {
		t.Errorf("the server has logged\n%s", strings.Join(found, "\n"))
	}
}
