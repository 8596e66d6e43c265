package interop_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// cosign keeps a signature under a tag made of the image's digest, as it did in
// its first years, or as a referrer in the bundle format of today. With a key of
// one's own and no transparency log it needs nobody but the registry.
func TestCosign(t *testing.T) {
	tests := []struct {
		name         string
		sign, verify []string
		tags         bool // whether the signature has a tag
	}{
		{"Tag", nil, nil, true},
		{"Referrer", []string{"--registry-referrers-mode", "oci-1-1"}, []string{"--experimental-oci11"}, false},
		{"Bundle", []string{"--new-bundle-format"}, []string{"--new-bundle-format", "--trusted-root", "root.json"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, sh, ref := cosignShell(t)
			sh.Run("cosign", slices.Concat([]string{"sign", "--yes", "--key", "cosign.key", "--tlog-upload=false"}, tt.sign, []string{ref})...)
			verify := slices.Concat([]string{"verify", "--key", "cosign.pub", "--insecure-ignore-tlog"}, tt.verify)
			if got := sh.Run("cosign", append(verify, ref)...); !strings.Contains(got, strings.SplitAfter(ref, "@")[1]) {
				t.Errorf("cosign verify printed\n%s", got)
			}
			if got := len(tagsOf(t, s, "team/app")) > 1; got != tt.tags {
				t.Errorf("after cosign sign the tags are %q; want one of the signature: %v", tagsOf(t, s, "team/app"), tt.tags)
			}
			makeKeys(t, sh, "other")
			verify[2] = "other.pub"
			sh.Refused("cosign", append(verify, ref)...)
		})
	}
}

// Attestations and what is attached travel with the image.
func TestCosignAttach(t *testing.T) {
	s, sh, ref := cosignShell(t)
	makeFile(t, filepath.Join(sh.Dir, "sbom.json"), `{"spdxVersion": "SPDX-2.3"}`)
	sh.Run("cosign", "attest", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--type", "spdxjson", "--predicate", "sbom.json", ref)
	sh.Run("cosign", "verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog", "--type", "spdxjson", ref)
	sh.Run("cosign", "attach", "sbom", "--type", "spdx", "--input-format", "json", "--sbom", "sbom.json", ref)
	if got := sh.Run("cosign", "download", "sbom", ref); !strings.Contains(got, "SPDX-2.3") {
		t.Errorf("cosign download sbom printed\n%s", got)
	}

	sh.Run("cosign", "generate", "--output-file", "payload.json", ref)
	sh.Run("cosign", "sign-blob", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--output-signature", "payload.sig", "payload.json")
	sh.Run("cosign", "attach", "signature", "--payload", "payload.json", "--signature", "payload.sig", ref)
	sh.Run("cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ref)

	tree := sh.Run("cosign", "tree", ref)
	for _, kind := range []string{".att", ".sbom", ".sig"} {
		if !strings.Contains(tree, kind) {
			t.Errorf("cosign tree printed\n%s\nwant %s in it", tree, kind)
		}
	}
	sh.Run("cosign", "copy", s.Host+"/team/app:1.0", s.Host+"/team/copy:1.0")
	copied := strings.Replace(ref, "team/app", "team/copy", 1)
	sh.Run("cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", copied)
	sh.Run("cosign", "verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog", "--type", "spdxjson", copied)

	sh.Run("cosign", "clean", "--force", ref)
	if got := tagsOf(t, s, "team/app"); !slices.Equal(got, []string{"1.0"}) {
		t.Errorf("cosign clean left the tags %q", got)
	}
	sh.Refused("cosign", "verify", "--key", "cosign.pub", "--insecure-ignore-tlog", ref)
}

// cosignShell is a server with an image, whose name by digest is ref, and a
// shell with a pair of keys whose cosign is logged in.
func cosignShell(t *testing.T) (s *harness.Server, sh *harness.Shell, ref string) {
	t.Helper()
	s = harness.Start(t)
	sh = s.Shell(t)
	s.CreateRepository(t, "team/app")
	s.CreateRepository(t, "team/copy")
	image := ociImage(t, 120)
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	sh.Set("COSIGN_EXPERIMENTAL", "1") // without it there are no signatures as referrers
	logIn(t, s, sh, "cosign", "login")
	sh.Run("cosign", "trusted-root", "create", "--out", "root.json") // of nobody, so that none is asked for
	makeKeys(t, sh, "cosign")
	return s, sh, s.Host + "/team/app@" + image.Digest().String()
}

// makeKeys makes name.key and name.pub. Their password is empty.
func makeKeys(t *testing.T, sh *harness.Shell, name string) {
	t.Helper()
	sh.Set("COSIGN_PASSWORD", "")
	sh.Run("cosign", "generate-key-pair", "--output-key-prefix", name)
}
