package interop_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// What `berth ca trust` says is done word for word, each block for its kind of
// client, which then trusts the server and did not before.

// trustShell is a server with a repository that has an image, and the shell of
// somebody whose programs trust nobody.
func trustShell(t *testing.T) (s *harness.Server, sh *harness.Shell, image harness.Image) {
	t.Helper()
	s = harness.StartTLS(t)
	key := s.CreateKey(t, harness.Account)
	sh = s.SecureShell(t, key)
	sh.Unset("SSL_CERT_FILE", "AWS_CA_BUNDLE")
	sh.Set("PASSWORD", s.PasswordOf(t, key))
	createRepository(t, s.Client(key), "team/app")
	image = ociImage(t, 230)
	if err := s.OCIAt(t, s.URL(), s.HTTPClient(t)).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	// Who is root already needs no sudo.
	makeFile(t, filepath.Join(sh.Home(), "bin", "sudo"), "#!/bin/sh\nexec \"$@\"\n")
	sh.Run("chmod", "+x", filepath.Join(sh.Home(), "bin", "sudo"))
	return s, sh, image
}

// sayTrust are the lines that get the certificate and have a kind of client
// trust it.
func sayTrust(t *testing.T, sh *harness.Shell, host, client string) string {
	t.Helper()
	blocks := strings.Split(sh.Run("berth", "ca", "trust", host), "\n\n# --- ")
	for _, b := range blocks[1:] {
		if strings.HasPrefix(b, client) {
			return blocks[0] + "\n# --- " + b + "\n"
		}
	}
	t.Fatalf("berth ca trust has no block for %s", client)
	return ""
}

// inOwnEtc runs lines where /etc and /usr/local/share are copies that nobody
// else sees.
func inOwnEtc(sh *harness.Shell, lines string) string {
	const copies = `mkdir "$HOME/etc" "$HOME/share" && cp -a /etc/. "$HOME/etc/" && mkdir "$HOME/share/ca-certificates"
mount --bind "$HOME/etc" /etc
mount --bind "$HOME/share" /usr/local/share
`
	return sh.Run("unshare", "--mount", "bash", "-euo", "pipefail", "-c", copies+lines)
}

func TestNamesTrustSystemCurlCrane(t *testing.T) {
	_, sh, image := trustShell(t)
	if said := sh.Refused("crane", "digest", harness.Example+"/team/app:1.0"); !strings.Contains(said, "x509") {
		t.Errorf("crane, which trusts nobody, said:\n%s", said)
	}
	got := inOwnEtc(sh, sayTrust(t, sh, harness.Example, "Debian")+`
		curl -sS --fail https://registry.example.test/healthz >&2
		crane auth login registry.example.test -u AWS -p "$PASSWORD"
		crane digest registry.example.test/team/app:1.0`)
	if want := image.Digest().String(); lastLine(got) != want {
		t.Errorf("crane digest: %s, want %s", got, want)
	}
}

func lastLine(s string) string { return s[strings.LastIndexByte(s, '\n')+1:] }

func TestNamesTrustVariableCurlCrane(t *testing.T) {
	_, sh, image := trustShell(t)
	got := sh.Script(sayTrust(t, sh, harness.Example, "Programs in Go") + `
		curl -sS --fail https://registry.example.test/healthz >&2
		crane auth login registry.example.test -u AWS -p "$PASSWORD"
		crane digest registry.example.test/team/app:1.0`)
	if want := image.Digest().String(); lastLine(got) != want {
		t.Errorf("crane digest: %s, want %s", got, want)
	}
}

func TestNamesTrustAWSCLI(t *testing.T) {
	_, sh, _ := trustShell(t)
	if said := sh.Refused("aws", "ecr", "describe-repositories"); !strings.Contains(said, "SSL") {
		t.Errorf("aws, which trusts nobody, said:\n%s", said)
	}
	got := sh.Script(sayTrust(t, sh, harness.Example, "AWS CLI") +
		"aws ecr describe-repositories --query 'repositories[].repositoryName' --output text")
	if got != "team/app" {
		t.Errorf("aws ecr describe-repositories: %s", got)
	}
}

// docker wants TLS that it trusts of a host that is not on loopback.
func TestNamesTrustDocker(t *testing.T) {
	_, sh, _ := trustShell(t)
	sh.UseDocker()
	ref := harness.Elsewhere + "/team/app:2.0"
	if said := sh.Refused("docker", "login", "-u", "AWS", "-p", sh.Var("PASSWORD"), harness.Elsewhere); !strings.Contains(said, "x509") {
		t.Errorf("docker, which trusts nobody, said:\n%s", said)
	}
	sh.Script(sayTrust(t, sh, harness.Elsewhere, "Docker"))
	sh.RunInput(strings.NewReader(sh.Var("PASSWORD")), "docker", "login", "-u", "AWS", "--password-stdin", harness.Elsewhere)
	dockerThereAndBack(t, sh, ref, 231)
}

func TestNamesTrustContainerd(t *testing.T) {
	_, sh, image := trustShell(t)
	ref := harness.Example + "/team/app:1.0"
	pull := []string{"images", "pull", "--snapshotter", "native", "--user", "AWS:" + sh.Var("PASSWORD"), "--hosts-dir", "/etc/containerd/certs.d", ref}
	if said := sh.CtrRefused(pull...); !strings.Contains(said, "x509") {
		t.Errorf("ctr, which trusts nobody, said:\n%s", said)
	}
	inOwnEtc(sh, sayTrust(t, sh, harness.Example, "containerd")+sh.CtrLine(pull...))
	if got, want := ctrDigest(sh, ref), image.Digest().String(); got != want {
		t.Errorf("ctr pulled %s, want %s", got, want)
	}
	sh.Ctr("images", "rm", "--sync", ref)
}

func TestNamesTrustSkopeoPodman(t *testing.T) {
	_, sh, image := trustShell(t)
	if said := sh.Refused("skopeo", "inspect", "--creds", "AWS:"+sh.Var("PASSWORD"), "docker://"+harness.Example+"/team/app:1.0"); !strings.Contains(said, "x509") {
		t.Errorf("skopeo, which trusts nobody, said:\n%s", said)
	}
	got := inOwnEtc(sh, sayTrust(t, sh, harness.Example, "Podman")+`
		podman login registry.example.test -u AWS -p "$PASSWORD"
		skopeo inspect --format '{{.Digest}}' docker://registry.example.test/team/app:1.0`)
	if want := image.Digest().String(); lastLine(got) != want {
		t.Errorf("skopeo inspect: %s, want %s", got, want)
	}
}
