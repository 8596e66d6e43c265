package interop_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// The profiles of signingShell.
const (
	releaseProfile = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release"
	otherProfile   = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/other"
)

// signingShell is a server that signs what is pushed with generated profiles, and a shell
// that is logged in.
func signingShell(t *testing.T, profiles ...string) (*harness.Server, *harness.Shell) {
	t.Helper()
	var conf strings.Builder
	conf.WriteString("signing:\n  profiles:\n")
	for _, arn := range profiles {
		fmt.Fprintf(&conf, "    - {arn: %q, generate: true}\n", arn)
	}
	file := filepath.Join(t.TempDir(), "berth.yml")
	makeFile(t, file, conf.String())
	s := harness.Start(t, "--config", file)
	sh := s.Shell(t)
	sh.Set("BERTH_CONFIG", file)
	sh.Set("NOTATION_USERNAME", "AWS")
	sh.Set("NOTATION_PASSWORD", s.Password(t))
	s.CreateRepository(t, "team/app")
	signWith(t, s, profiles...)
	return s, sh
}

// signWith has profiles sign all images.
func signWith(t *testing.T, s *harness.Server, profiles ...string) {
	t.Helper()
	var rules []types.SigningRule
	for _, arn := range profiles {
		rules = append(rules, types.SigningRule{SigningProfileArn: aws.String(arn)})
	}
	in := &ecr.PutSigningConfigurationInput{SigningConfiguration: &types.SigningConfiguration{Rules: rules}}
	if _, err := s.ECR(t).PutSigningConfiguration(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// trust has a shell's notation trust the root of a profile, as an identity.
func trust(t *testing.T, sh *harness.Shell, profile, identity string) {
	t.Helper()
	root := filepath.Join(sh.Home(), "root.pem")
	makeFile(t, root, sh.Run("berth", "signing", "profile", "cert", profile)+"\n")
	_, _ = sh.Try("notation", "cert", "delete", "--yes", "--type", "ca", "--store", "berth", "--all")
	sh.Run("notation", "cert", "add", "--type", "ca", "--store", "berth", root)
	policy := filepath.Join(sh.Home(), "policy.json")
	makeFile(t, policy, strings.Replace(trustPolicy, `["*"]
	}]`, fmt.Sprintf("[%q]\n\t}]", identity), 1))
	sh.Run("notation", "policy", "import", "--force", policy)
}

// releaseIdentity is the subject of releaseProfile.
const releaseIdentity = "x509.subject: C=ZZ, ST=us-east-1, O=Berth, OU=000000000000, CN=release"

// awaitSigned waits until the signings of an image are at their end, and fails the test
// unless they are as wanted.
func awaitSigned(t *testing.T, s *harness.Server, repo string, d digest.Digest, want ...string) {
	t.Helper()
	client, got := s.ECR(t), []string(nil)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		out, err := client.DescribeImageSigningStatus(t.Context(), &ecr.DescribeImageSigningStatusInput{
			RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(d.String())},
		})
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, status := range out.SigningStatuses {
			got = append(got, strings.TrimSpace(string(status.Status)+" "+aws.ToString(status.FailureCode)))
		}
		if !slices.Contains(got, "IN_PROGRESS") || time.Now().After(end) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the signings of %s@%s are %q, want %q", repo, d, got, want)
	}
}

// signatures are how many signatures notation finds of an image.
func signatures(sh *harness.Shell, ref string) int {
	return strings.Count(sh.Run("notation", "list", "--insecure-registry", ref), "sha256:") - 1
}

// notation verifies what the server has signed with the printed root under a strict
// policy; and not as another identity, nor with the root of another profile, nor an image
// that was signed by nobody.
func TestNotationVerifiesPushes(t *testing.T) {
	s, sh := signingShell(t, releaseProfile, otherProfile)
	signWith(t, s, releaseProfile)
	image := ociImage(t, 140)
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	awaitSigned(t, s, "team/app", image.Digest(), "COMPLETE")
	ref := s.Host + "/team/app@" + image.Digest().String()
	verify := []string{"verify", "--insecure-registry", ref}
	trust(t, sh, releaseProfile, releaseIdentity)
	sh.Run("notation", verify...)
	sh.Run("notation", "verify", "--insecure-registry", s.Host+"/team/app:1.0")
	if said := sh.Run("notation", "inspect", "--insecure-registry", ref); !strings.Contains(said, "CN=release") || !strings.Contains(said, "application/jose+json") {
		t.Errorf("notation inspect printed\n%s", said)
	}
	if n := signatures(sh, ref); n != 1 {
		t.Errorf("there are %d signatures, want one", n)
	}
	trust(t, sh, releaseProfile, strings.Replace(releaseIdentity, "CN=release", "CN=other", 1))
	sh.Refused("notation", verify...)
	trust(t, sh, otherProfile, "*")
	sh.Refused("notation", verify...)
	trust(t, sh, releaseProfile, "*")
	sh.Run("notation", verify...)
}

// A byte of the manifest that is another one makes another image, of which a signature
// that is copied to it says nothing.
func TestNotationRefusesChangedManifest(t *testing.T) {
	s, sh := signingShell(t, releaseProfile)
	door, image := s.OCI(t), ociImage(t, 141)
	if err := door.PushImage(t.Context(), "team/app", "1.0", image); err != nil {
		t.Fatal(err)
	}
	awaitSigned(t, s, "team/app", image.Digest(), "COMPLETE")
	trust(t, sh, releaseProfile, releaseIdentity)
	sh.Run("notation", "verify", "--insecure-registry", s.Host+"/team/app:1.0")
	if _, err := s.ECR(t).DeleteSigningConfiguration(t.Context(), &ecr.DeleteSigningConfigurationInput{}); err != nil {
		t.Fatal(err)
	}
	changed := append(bytes.Clone(image.Manifest), ' ')
	if err := door.PushManifest(t.Context(), "team/app", "changed", image.MediaType, changed); err != nil {
		t.Fatal(err)
	}
	of := harness.Image{MediaType: image.MediaType, Manifest: changed}
	ref := s.Host + "/team/app@" + of.Digest().String()
	sh.Refused("notation", "verify", "--insecure-registry", ref)

	list := sh.Run("notation", "list", "--insecure-registry", s.Host+"/team/app:1.0")
	signature := digest.Digest(list[strings.LastIndex(list, "sha256:"):])
	body, err := door.Manifest(t.Context(), "team/app", signature.String())
	if err != nil {
		t.Fatal(err)
	}
	forged := bytes.Replace(body, []byte(image.Digest()), []byte(of.Digest()), 1)
	forged = bytes.Replace(forged, fmt.Appendf(nil, `"size":%d},"annotations"`, len(image.Manifest)), fmt.Appendf(nil, `"size":%d},"annotations"`, len(changed)), 1)
	if err := door.PushManifest(t.Context(), "team/app", digest.FromBytes(forged).String(), v1.MediaTypeImageManifest, forged); err != nil {
		t.Fatal(err)
	}
	if n := signatures(sh, ref); n != 1 {
		t.Errorf("the signature that was copied is not found: %d", n)
	}
	sh.Refused("notation", "verify", "--insecure-registry", ref)
	sh.Run("notation", "verify", "--insecure-registry", s.Host+"/team/app:1.0")
}

// An index is signed, and so is each of its images.
func TestNotationVerifiesIndexAndPlatforms(t *testing.T) {
	s, sh := signingShell(t, releaseProfile)
	door := s.OCI(t)
	images := []harness.Image{ociImage(t, 142), ociImage(t, 143)}
	for _, image := range images {
		for _, b := range image.Blobs() {
			if err := door.PushBlob(t.Context(), "team/app", b); err != nil {
				t.Fatal(err)
			}
		}
		if err := door.PushManifest(t.Context(), "team/app", image.Digest().String(), image.MediaType, image.Manifest); err != nil {
			t.Fatal(err)
		}
	}
	index := harness.Image{MediaType: v1.MediaTypeImageIndex, Manifest: harness.NewIndex(t, images...)}
	if err := door.PushManifest(t.Context(), "team/app", "both", index.MediaType, index.Manifest); err != nil {
		t.Fatal(err)
	}
	trust(t, sh, releaseProfile, releaseIdentity)
	for _, image := range append(images, index) {
		awaitSigned(t, s, "team/app", image.Digest(), "COMPLETE")
		ref := s.Host + "/team/app@" + image.Digest().String()
		sh.Run("notation", "verify", "--insecure-registry", ref)
		if n := signatures(sh, ref); n != 1 {
			t.Errorf("%s has %d signatures, want one", ref, n)
		}
	}
}

// A server that is killed while signings wait has one signature of each profile for each
// image afterwards.
func TestNotationAfterKill(t *testing.T) {
	s, sh := signingShell(t, releaseProfile, otherProfile)
	var images []harness.Image
	for i := range 20 {
		images = append(images, ociImage(t, uint64(150+i)))
	}
	door := s.OCI(t)
	for i, image := range images {
		if err := door.PushImage(t.Context(), "team/app", fmt.Sprint(i), image); err != nil {
			t.Fatal(err)
		}
		if i%5 == 4 { // the last ones wait then
			s.Kill()
			s.Launch()
			door = s.OCI(t)
		}
	}
	trust(t, sh, releaseProfile, releaseIdentity)
	for i, image := range images {
		awaitSigned(t, s, "team/app", image.Digest(), "COMPLETE", "COMPLETE")
		ref := s.Host + "/team/app@" + image.Digest().String()
		if n := signatures(sh, ref); n != 2 {
			t.Errorf("image %d has %d signatures, want one of each profile", i, n)
		}
		sh.Run("notation", "verify", "--insecure-registry", ref)
	}
}
