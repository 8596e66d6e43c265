package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// dockerd takes plain HTTP and any certificate from a host with a loopback
// address, so what it trusts is not seen here; that it finds its way is.
func TestNamesDocker(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		p.sh.UseDocker()
		p.server.TrustForDocker(t, p.host())
		p.sh.RunInput(strings.NewReader(p.password), "docker", "login", "-u", "AWS", "--password-stdin", p.endpoint)
		dockerThereAndBack(t, p.sh, p.uri+":1.0", 100)
	})
}

// dockerThereAndBack pushes an image, forgets it and pulls it.
func dockerThereAndBack(t *testing.T, sh *harness.Shell, ref string, seed uint64) {
	t.Helper()
	sh.RunInput(dockerImage(t, seed).Archive(t, ref), "docker", "load")
	id := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref)
	sh.Run("docker", "push", ref)
	sh.Run("docker", "image", "rm", ref)
	sh.Run("docker", "pull", ref)
	if got := sh.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref); got != id {
		t.Errorf("docker pull %s brought %s, want %s", ref, got, id)
	}
	sh.Run("docker", "image", "rm", ref)
}

func TestNamesContainerd(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		ref := p.uri + ":1.0"
		how := []string{"--user", "AWS:" + p.password}
		if p.plain() {
			how = append(how, "--plain-http")
		} else {
			p.sh.Unset("SSL_CERT_FILE") // the authority is that of hosts.toml, or none
			how = append(how, "--hosts-dir", p.server.HostsDir(t, p.host()))
		}
		archive := filepath.Join(p.sh.Home(), "image.tar")
		// An image of each place's own, or containerd might have some of it yet.
		writeAll(t, archive, dockerImage(t, p.seed).Archive(t, ref))
		p.sh.Ctr("images", "import", "--no-unpack", archive)
		digest := ctrDigest(p.sh, ref)
		p.sh.Ctr(slices.Concat([]string{"images", "push"}, how, []string{ref})...)
		p.sh.Ctr("images", "rm", "--sync", ref)
		p.sh.Ctr(slices.Concat([]string{"images", "pull", "--snapshotter", "native"}, how, []string{ref})...)
		if got := ctrDigest(p.sh, ref); got != digest {
			t.Errorf("ctr pulled %s, want %s", got, digest)
		}
		p.sh.Ctr("images", "rm", "--sync", ref)
	})
}

func TestNamesPodman(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		ref, how := p.uri+":1.0", p.containersTrust(t)
		p.logIn("podman", "login", how)
		p.sh.RunInput(dockerImage(t, 120).Archive(t, ref), "podman", append(p.sh.PodmanFlags(), "load")...)
		id := p.sh.Podman("image", "inspect", "--format", "{{.Id}}", ref)
		p.sh.Podman("push", how, ref)
		p.sh.Podman("rmi", ref)
		p.sh.Podman("pull", how, ref)
		if got := p.sh.Podman("image", "inspect", "--format", "{{.Id}}", ref); got != id {
			t.Errorf("podman pull %s brought %s, want %s", ref, got, id)
		}
	})
}

// containersTrust is how podman and skopeo are told to speak to the place: the
// authority is that of the folder alone.
func (p *place) containersTrust(t *testing.T) string {
	t.Helper()
	if p.plain() {
		return "--tls-verify=false"
	}
	p.sh.Unset("SSL_CERT_FILE")
	return "--cert-dir=" + p.server.CertsDir(t)
}

func TestNamesSkopeo(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		how := p.containersTrust(t)
		p.logIn("skopeo", "login", how)
		image := ociImage(t, 130)
		layout := harness.WriteLayout(t, harness.Named(t, "1.0", harness.NewIndex(t, image)), append(image.Whole(), harness.NewIndex(t, image))...)
		there := strings.TrimPrefix(how, "--")
		p.sh.Run("skopeo", "--insecure-policy", "copy", "--all", "--dest-"+there, "oci:"+layout+":1.0", "docker://"+p.uri+":1.0")
		back := t.TempDir()
		p.sh.Run("skopeo", "--insecure-policy", "copy", "--all", "--src-"+there, "docker://"+p.uri+":1.0", "oci:"+back+":1.0")
		sameBlobs(t, layout, back)
	})
}

func TestNamesCrane(t *testing.T) {
	inEachStyle(t, func(t *testing.T, p *place) {
		how := func(verb string, args ...string) []string {
			if p.plain() {
				return append([]string{verb, "--insecure"}, args...)
			}
			return append([]string{verb}, args...)
		}
		p.logIn("crane", "auth", "login")
		image := ociImage(t, 140)
		layout := harness.WriteLayout(t, harness.NewIndex(t, image), image.Whole()...)
		p.sh.Run("crane", how("push", layout, p.uri+":1.0")...)
		back := t.TempDir()
		p.sh.Run("crane", how("pull", "--format", "oci", p.uri+":1.0", back)...)
		for _, name := range blobNames(t, layout) {
			if !slices.Contains(blobNames(t, back), name) {
				t.Errorf("crane pull left out %s", name)
			}
		}
		// crane takes a name below localhost for one of plain HTTP, which is on port 80.
		if !p.plain() && !strings.HasSuffix(p.host(), ".localhost") {
			p.sh.Unset("SSL_CERT_FILE")
			if said := p.sh.Refused("crane", "digest", p.uri+":1.0"); !strings.Contains(said, "x509") {
				t.Errorf("crane without the authority said:\n%s", said)
			}
		}
	})
}

// ctrDigest is the digest that containerd keeps an image under.
func ctrDigest(sh *harness.Shell, ref string) string {
	for line := range strings.Lines(sh.Ctr("images", "ls")) {
		if words := strings.Fields(line); len(words) > 2 && words[0] == ref {
			return words[2]
		}
	}
	return ""
}
