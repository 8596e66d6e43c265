package interop_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
func signingShell(t testing.TB, profiles ...string) (*harness.Server, *harness.Shell) {
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
func signWith(t testing.TB, s *harness.Server, profiles ...string) {
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
	var got []string
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if got = signingStates(t, s, repo, d); !slices.Contains(got, "IN_PROGRESS") || time.Now().After(end) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the signings of %s@%s are %q, want %q", repo, d, got, want)
	}
}

// signingStates are those of an image, each with its code if it has one.
func signingStates(t testing.TB, s *harness.Server, repo string, d digest.Digest) (list []string) {
	t.Helper()
	out, err := s.ECR(t).DescribeImageSigningStatus(t.Context(), &ecr.DescribeImageSigningStatusInput{
		RepositoryName: aws.String(repo), ImageId: &types.ImageIdentifier{ImageDigest: aws.String(d.String())},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range out.SigningStatuses {
		list = append(list, strings.TrimSpace(string(status.Status)+" "+aws.ToString(status.FailureCode)))
	}
	return list
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
	const rounds, each = 5, 40
	door, image := s.OCI(t), ociImage(t, 150)
	for _, b := range image.Blobs() {
		if err := door.PushBlob(t.Context(), "team/app", b); err != nil {
			t.Fatal(err)
		}
	}
	var images []digest.Digest
	waited := 0
	for n := range rounds {
		var group sync.WaitGroup
		errs := make([]error, each)
		pushed := make([]digest.Digest, each)
		for i := range each {
			body := append(bytes.Clone(image.Manifest), bytes.Repeat([]byte(" "), n*each+i)...)
			pushed[i] = digest.FromBytes(body)
			group.Go(func() {
				errs[i] = door.PushManifest(t.Context(), "team/app", pushed[i].String(), image.MediaType, body)
			})
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if states := signingStates(t, s, "team/app", pushed[each-1]); slices.Contains(states, "IN_PROGRESS") {
			waited++
		}
		s.Kill()
		s.Launch()
		door, images = s.OCI(t), append(images, pushed...)
	}
	if waited == 0 {
		t.Error("no signing waited when the server was killed")
	}
	t.Logf("%d of %d times signings waited", waited, rounds)
	trust(t, sh, releaseProfile, releaseIdentity)
	for i, d := range images {
		awaitSigned(t, s, "team/app", d, "COMPLETE", "COMPLETE")
		if n := len(referrersOf(t, s, "team/app", d)); n != 2 {
			t.Errorf("image %d has %d signatures, want one of each profile", i, n)
		}
		if i%50 == 0 {
			sh.Run("notation", "verify", "--insecure-registry", s.Host+"/team/app@"+d.String())
		}
	}
}

// referrersOf are the referrers of an image.
func referrersOf(t *testing.T, s *harness.Server, repo string, d digest.Digest) []types.ImageReferrer {
	t.Helper()
	out, err := s.ECR(t).ListImageReferrers(t.Context(), &ecr.ListImageReferrersInput{
		RepositoryName: aws.String(repo), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(d.String())},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Referrers
}

// The commands of the page about signing work, with an image that is pushed after the
// rules are set.
func TestNotationAWSCLISigningPage(t *testing.T) {
	page := string(readFile(t, "../../docs/signing.md"))
	file := filepath.Join(t.TempDir(), "berth.yml")
	makeFile(t, file, blocks(page, "yaml")[0])
	s := harness.Start(t, "--config", file)
	sh := s.Shell(t)
	sh.Set("BERTH_CONFIG", file)
	sh.Set("NOTATION_USERNAME", "AWS")
	sh.Set("NOTATION_PASSWORD", s.Password(t))
	s.CreateRepository(t, "team/app")
	image := ociImage(t, 160)
	for i, block := range blocks(page, "sh") {
		said := sh.Script(`eval "$(berth env)"` + "\n" + strings.ReplaceAll(block, "localhost:5000", s.Host))
		switch i {
		case 0: // the rules are there
			if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", image); err != nil {
				t.Fatal(err)
			}
			awaitSigned(t, s, "team/app", image.Digest(), "COMPLETE")
		case 2:
			if !strings.Contains(said, "Successfully verified") {
				t.Errorf("notation said\n%s", said)
			}
		case 3:
			if !strings.Contains(said, `"status": "COMPLETE"`) {
				t.Errorf("aws said\n%s", said)
			}
		}
	}
	if n := len(blocks(page, "sh")); n != 4 {
		t.Errorf("the page has %d blocks of shell, want 4", n)
	}
}

// blocks are those of a page in a language.
func blocks(page, language string) (list []string) {
	for {
		_, rest, ok := strings.Cut(page, "```"+language+"\n")
		if !ok {
			return list
		}
		block, after, _ := strings.Cut(rest, "```")
		list, page = append(list, block), after
	}
}

// How long it takes from a push to its signature in a registry that is at rest, and for
// each of many that come at once.
func BenchmarkSigning(b *testing.B) {
	for _, at := range []int{1, 8} {
		b.Run(fmt.Sprintf("%d-at-once", at), func(b *testing.B) { benchmarkSigning(b, at) })
	}
}

func benchmarkSigning(b *testing.B, at int) {
	s, _ := signingShell(b, releaseProfile)
	door, image := s.OCI(b), ociImage(b, 150)
	for _, blob := range image.Blobs() {
		if err := door.PushBlob(b.Context(), "team/app", blob); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	b.ResetTimer()
	for range b.N {
		list := make([]digest.Digest, at)
		for i := range list {
			n++
			body := append(bytes.Clone(image.Manifest), bytes.Repeat([]byte(" "), n)...)
			list[i] = digest.FromBytes(body)
			if err := door.PushManifest(b.Context(), "team/app", list[i].String(), image.MediaType, body); err != nil {
				b.Fatal(err)
			}
		}
		for _, d := range list {
			for slices.Contains(signingStates(b, s, "team/app", d), "IN_PROGRESS") {
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(n), "ms/image")
}
