package interop_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// trustPolicy trusts the certificate "berth" in every repository.
const trustPolicy = `{
	"version": "1.0",
	"trustPolicies": [{
		"name": "all",
		"registryScopes": ["*"],
		"signatureVerification": {"level": "strict"},
		"trustStores": ["ca:berth"],
		"trustedIdentities": ["*"]
	}]
}`

// notation keeps a signature as a referrer, found by the referrers answer; or,
// as it does by default, in an index under a tag made of the image's digest,
// which the server shows in the referrers answer too.
func TestNotation(t *testing.T) {
	for _, byTag := range []string{"false", "true"} {
		t.Run("ByTag="+byTag, func(t *testing.T) {
			s, sh, ref := notationShell(t)
			if said := sh.Refused("notation", "verify", "--insecure-registry", ref); !strings.Contains(said, "no signature") {
				t.Errorf("notation verify before there is a signature said:\n%s", said)
			}
			for _, format := range []string{"jws", "cose"} {
				sh.Run("notation", "sign", "--insecure-registry", "--force-referrers-tag="+byTag, "--signature-format", format, ref)
				sh.Run("notation", "verify", "--insecure-registry", ref)
			}
			list := sh.Run("notation", "list", "--insecure-registry", ref)
			if got := strings.Count(list, "sha256:"); got != 3 {
				t.Errorf("notation list printed\n%s\nwant the image and two signatures", list)
			}
			if got := len(tagsOf(t, s, "team/app")); got != 1 && byTag == "false" {
				t.Errorf("after notation sign there are %d tags, want 1", got)
			}
			for _, format := range []string{"application/jose+json", "application/cose"} {
				if got := sh.Run("notation", "inspect", "--insecure-registry", ref); !strings.Contains(got, format) {
					t.Errorf("notation inspect printed\n%s\nwant %s in it", got, format)
				}
			}
			sh.Run("notation", "cert", "delete", "--yes", "--type", "ca", "--store", "berth", "--all")
			sh.Refused("notation", "verify", "--insecure-registry", ref)
		})
	}
}

// notationShell is a server with an image, whose name by digest is ref, and a
// shell with a key that it trusts. notation takes the password from its
// environment.
func notationShell(t *testing.T) (s *harness.Server, sh *harness.Shell, ref string) {
	t.Helper()
	s = harness.Start(t)
	sh = s.Shell(t)
	s.CreateRepository(t, "team/app")
	image := ociImage(t, 130)
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	sh.Set("NOTATION_USERNAME", "AWS")
	sh.Set("NOTATION_PASSWORD", s.Password(t))
	sh.Run("notation", "cert", "generate-test", "--default", "berth")
	policy := filepath.Join(sh.Home(), "policy.json")
	makeFile(t, policy, trustPolicy)
	sh.Run("notation", "policy", "import", policy)
	return s, sh, s.Host + "/team/app@" + image.Digest().String()
}
