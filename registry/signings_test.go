package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage/memory"
)

// otherProfile is one besides profile.
const otherProfile = profile + "_too"

// sign sets rules of one profile each, for the repositories of its filters.
func sign(t testing.TB, s *registry.Service, filters map[string][]string) {
	t.Helper()
	var c registry.Signing
	for _, arn := range []string{profile, otherProfile} {
		if list, ok := filters[arn]; ok {
			c.Rules = append(c.Rules, registry.SigningRule{Profile: arn, Filters: list})
		}
	}
	must(t, s.PutSigning(alice(t), here, c))
}

// signingStates are those of an image's signatures, each as the last word of the profile, its
// state and its code.
func signingStates(t testing.TB, s *registry.Service, n registry.Name, d digest.Digest) (list []string) {
	t.Helper()
	_, all, err := s.SigningStatuses(alice(t), n, registry.Ref{Digest: d})
	must(t, err)
	for _, status := range all {
		_, word, _ := strings.Cut(status.Profile, "profiles/")
		list = append(list, strings.TrimSpace(word+" "+string(status.State)+" "+status.FailureCode))
	}
	return list
}

func wantStates(t testing.TB, what string, s *registry.Service, n registry.Name, d digest.Digest, want ...string) {
	t.Helper()
	if got := signingStates(t, s, n, d); !slices.Equal(got, want) {
		t.Errorf("%s: the states are %q, want %q", what, got, want)
	}
}

// unsigned are the images that wait and are due.
func unsigned(t testing.TB, s *registry.Service) []registry.Unsigned {
	t.Helper()
	list, _, err := s.Unsigned(context.Background(), 100)
	must(t, err)
	return list
}

// What matches when it is pushed waits once for each profile, whatever the configuration
// says later. What was pushed before waits once it is pushed again.
func TestPushIsToBeSigned(t *testing.T) {
	s := open(t, registry.Options{})
	n, other := create(t, s, "prod/app"), create(t, s, "test/app")
	before := addImage(t, s, n, "before", "one")
	sign(t, s, map[string][]string{profile: {"prod/*", "*/app"}, otherProfile: {"prod/a*"}})
	img, second := addImage(t, s, n, "1", "two"), addImage(t, s, other, "1", "three")
	put(t, s, n, "again", imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "two")}}))
	must(t, s.PutSigning(alice(t), here, registry.Signing{Rules: []registry.SigningRule{{Profile: profile}, {Profile: profile, Filters: []string{"prod/app"}}}}))
	wantStates(t, "pushed before", s, n, before.Digest)
	wantStates(t, "of two rules", s, n, img.Digest, "release_1 IN_PROGRESS", "release_1_too IN_PROGRESS")
	wantStates(t, "of one rule", s, other, second.Digest, "release_1 IN_PROGRESS")
	addImage(t, s, n, "before", "one")
	wantStates(t, "pushed again", s, n, before.Digest, "release_1 IN_PROGRESS")
	if n := len(unsigned(t, s)); n != 4 {
		t.Errorf("%d signatures are waited for, want 4", n)
	}
	if _, err := s.DeleteSigning(alice(t), here); err != nil {
		t.Error(err)
	}
	wantStates(t, "without a configuration", s, n, img.Digest, "release_1 IN_PROGRESS", "release_1_too IN_PROGRESS")
	later := addImage(t, s, n, "later", "four")
	wantStates(t, "pushed without one", s, n, later.Digest)
}

// Indexes are signed, and so are their images, each with its own push. What tells of
// another image is not.
func TestWhatIsSigned(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	sign(t, s, map[string][]string{profile: nil})
	img := addImage(t, s, n, "1", "one")
	wantStates(t, "an image", s, n, img.Digest, "release_1 IN_PROGRESS")
	wantStates(t, "an index", s, n, put(t, s, n, "list", indexOf(t, img)).Digest, "release_1 IN_PROGRESS")
	chart := addBlob(t, s, n, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart")
	helm := imageOf(t, v1.Manifest{Config: addBlob(t, s, n, "application/vnd.cncf.helm.config.v1+json", "{}"), Layers: []v1.Descriptor{chart}})
	wantStates(t, "a chart", s, n, put(t, s, n, "chart", helm).Digest, "release_1 IN_PROGRESS")

	config, subject := addConfig(t, s, n), subjectOf(img)
	list := imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{addBlob(t, s, n, "application/vnd.in-toto+json", "{}")}})
	for what, body := range map[string][]byte{
		"a referrer":                   imageOf(t, v1.Manifest{ArtifactType: "text/sbom", Config: config, Layers: []v1.Descriptor{chart}, Subject: &subject}),
		"a signature without subject":  imageOf(t, v1.Manifest{ArtifactType: registry.SignatureType, Config: config, Layers: []v1.Descriptor{chart}}),
		"one by its config":            imageOf(t, v1.Manifest{Config: addBlob(t, s, n, registry.SignatureType, "{}"), Layers: []v1.Descriptor{chart}}),
		"a signature of cosign":        imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{addBlob(t, s, n, "application/vnd.dev.cosign.simplesigning.v1+json", "{}")}}),
		"an attestation of BuildKit's": list,
	} {
		wantStates(t, what, s, n, put(t, s, n, "", body).Digest)
	}
	fallback := "sha256-" + img.Digest.Encoded()
	wantStates(t, "a list of referrers", s, n, put(t, s, n, fallback, indexOf(t, img, put(t, s, n, "", list))).Digest)
	sbom := imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{addBlob(t, s, n, "text/spdx", "{}")}})
	wantStates(t, "an SBOM that cosign attached", s, n, put(t, s, n, fallback+".sbom", sbom).Digest)
	like := imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{addLayer(t, s, n, "two")}})
	wantStates(t, "an image whose tag looks like it", s, n, put(t, s, n, fallback+".exe", like).Digest, "release_1 IN_PROGRESS")
}

// Who pushes needs the right to sign with each profile; without it the push stands, and
// the next one asks again.
func TestPusherMaySign(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	sign(t, s, map[string][]string{profile: nil, otherProfile: nil})
	config, layer := addConfig(t, s, n), addLayer(t, s, n, "one")
	body := imageOf(t, v1.Manifest{Config: config, Layers: []v1.Descriptor{layer}})
	denied := &auth.Denied{Check: auth.Check{Principal: auth.Principal{ARN: arn("bob")}, Action: "signer:SignPayload", Resource: profile}, Reason: "because of the test"}
	asked := 0
	may := func(_ context.Context, of string) error {
		if asked++; of == profile {
			return denied
		}
		return nil
	}
	done, err := s.PutImage(by(t, "bob"), n, registry.Push{Body: body, MaySign: may})
	must(t, err)
	d := done.Image.Digest
	wantStates(t, "one denied", s, n, d, "release_1 FAILED AccessDenied", "release_1_too IN_PROGRESS")
	if asked != 2 {
		t.Errorf("asked %d times, want 2", asked)
	}
	_, list, err := s.SigningStatuses(alice(t), n, registry.Ref{Digest: d})
	must(t, err)
	if list[0].FailureReason != denied.Error() {
		t.Errorf("the reason is %q, want %q", list[0].FailureReason, denied.Error())
	}
	fault := errors.New("no answer")
	if _, err := s.PutImage(by(t, "bob"), n, registry.Push{Body: body, MaySign: func(context.Context, string) error { return fault }}); !errors.Is(err, fault) {
		t.Errorf("a push that cannot be decided: %v", err)
	}
	if done, err = s.PutImage(alice(t), n, registry.Push{Body: body}); err != nil || !done.Existed {
		t.Errorf("the same image again: %+v, %v", done, err)
	}
	wantStates(t, "by somebody else", s, n, d, "release_1 IN_PROGRESS", "release_1_too IN_PROGRESS")
}

// What another server's replication brings is not signed: its signature comes along.
func TestReplicasAreNotSigned(t *testing.T) {
	s := open(t, registry.Options{})
	n := create(t, s, "team/app")
	sign(t, s, map[string][]string{profile: nil})
	body := imageOf(t, v1.Manifest{Config: addConfig(t, s, n), Layers: []v1.Descriptor{addLayer(t, s, n, "one")}})
	done, err := s.PutImage(alice(t), n, registry.Push{Body: body, Origin: &registry.Origin{Server: "other", At: time.Now()}})
	must(t, err)
	wantStates(t, "from another server", s, n, done.Image.Digest)
}

// What waits goes only with an outcome, and an outcome comes once.
func TestUnsigned(t *testing.T) {
	c := newClock()
	s := open(t, registry.Options{Now: c.now})
	n := create(t, s, "team/app")
	sign(t, s, map[string][]string{profile: nil})
	var images []registry.Image
	for i := range 3 {
		images = append(images, addImage(t, s, n, fmt.Sprint(i), fmt.Sprint(i)))
		c.pass(time.Second)
	}
	waiting := unsigned(t, s)
	for i, u := range waiting {
		if u.Digest != images[i].Digest || u.Repository != n || u.Profile != profile || u.Tries != 0 {
			t.Errorf("%d waits as %+v", i, u)
		}
	}
	ctx := context.Background()
	must(t, s.RetrySigning(ctx, waiting[0], time.Minute))
	must(t, s.NoteSigned(ctx, waiting[1], images[2].Digest))
	must(t, s.FailSigning(ctx, waiting[2], registry.UnsignedByFault, "it broke"))
	must(t, s.FailSigning(ctx, waiting[1], registry.UnsignedByFault, "too late"))
	wantStates(t, "tried", s, n, images[0].Digest, "release_1 IN_PROGRESS")
	wantStates(t, "signed", s, n, images[1].Digest, "release_1 COMPLETE")
	wantStates(t, "failed", s, n, images[2].Digest, "release_1 FAILED InternalFailure")
	list, next, err := s.Unsigned(ctx, 9)
	must(t, err)
	if len(list) != 0 || !next.Equal(c.at.Add(time.Minute)) {
		t.Errorf("%v is due, and something at %v", list, next)
	}
	c.pass(time.Minute)
	if list = unsigned(t, s); len(list) != 1 || list[0].Tries != 1 {
		t.Errorf("after the rest %+v is due", list)
	}
	addImage(t, s, n, "2", "2")
	wantStates(t, "failed, and pushed again", s, n, images[2].Digest, "release_1 IN_PROGRESS")
	addImage(t, s, n, "1", "1")
	wantStates(t, "signed, and pushed again", s, n, images[1].Digest, "release_1 COMPLETE")
	if n, err := s.UnsignedCount(ctx); err != nil || n != 2 {
		t.Errorf("%d wait: %v", n, err)
	}
}

// An image goes with all that is known of its signatures, and comes back with it.
func TestSigningsInTheTrash(t *testing.T) {
	s := openTrash(t, nil)
	n := create(t, s.Service, "team/app")
	sign(t, s.Service, map[string][]string{profile: nil})
	waits, signed := addImage(t, s.Service, n, "waits", "one"), addImage(t, s.Service, n, "signed", "two")
	for _, u := range unsigned(t, s.Service) {
		if u.Digest == signed.Digest {
			must(t, s.NoteSigned(context.Background(), u, waits.Digest))
		}
	}
	s.remove(n, waits.Digest)
	s.remove(n, signed.Digest)
	if list := unsigned(t, s.Service); len(list) > 0 {
		t.Errorf("%v waits, and is deleted", list)
	}
	s.restore(n, waits.Digest)
	s.restore(n, signed.Digest)
	wantStates(t, "restored", s.Service, n, waits.Digest, "release_1 IN_PROGRESS")
	wantStates(t, "restored", s.Service, n, signed.Digest, "release_1 COMPLETE")
	if list := unsigned(t, s.Service); len(list) != 1 {
		t.Errorf("%v waits, want one", list)
	}
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	for _, u := range unsigned(t, s.Service) { // as the worker finds it
		_, err := s.ToSign(context.Background(), u)
		wantCode(t, "of a repository in the trash", err, registry.RepositoryNotFound)
		must(t, s.FailSigning(context.Background(), u, registry.UnsignedByRemoval, "gone"))
	}
	_, err = s.RestoreRepository(alice(t), n, name(t, "team/back"))
	must(t, err)
	wantStates(t, "of a repository that came back", s.Service, name(t, "team/back"), waits.Digest, "release_1 FAILED ImageNotFound")
}

// A repository that is renamed in the trash is signed under its new name.
func TestUnsignedRepositoryIsRenamed(t *testing.T) {
	s := openTrash(t, nil)
	n, back := create(t, s.Service, "team/app"), name(t, "team/back")
	sign(t, s.Service, map[string][]string{profile: nil})
	addImage(t, s.Service, n, "1", "one")
	_, err := s.DeleteRepository(alice(t), n, true)
	must(t, err)
	_, err = s.RestoreRepository(alice(t), n, back)
	must(t, err)
	for _, u := range unsigned(t, s.Service) {
		if u.Repository != back {
			t.Errorf("%v waits", u)
		}
		_, err := s.ToSign(context.Background(), u)
		must(t, err)
	}
}

// An account that is not the profile's signs with it only where the server says so.
func TestResourceOfProfile(t *testing.T) {
	s := open(t, registry.Options{Index: memory.NewIndex(), SigningProfiles: []registry.SigningProfile{{ARN: profile, Accounts: []string{"222222222222"}}, {ARN: otherProfile}}})
	for arn, want := range map[string]int{profile: 1, otherProfile: 0, profile + "_none": 0} {
		of, err := s.Resource(alice(t), arn)
		if err != nil || len(of.Policies) != want {
			t.Errorf("%s has the policies %v, %v", arn, of.Policies, err)
		}
	}
}
