package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/table"
)

// signingRow is how far an image has come to be signed by one profile. It goes with the
// image.
type signingRow struct {
	State     SigningState
	Code      string `json:",omitempty"`
	Reason    string `json:",omitempty"`
	UpdatedAt time.Time
	// Due is the time of its row in signingsDue, while it waits, and Tries how often it
	// was tried in vain.
	Due       time.Time     `json:",omitzero"`
	Tries     int           `json:",omitempty"`
	Signature digest.Digest `json:",omitzero"` // once it is there
}

// SigningState says how far an image has come to be signed.
type SigningState string

// The states (model: SigningStatus).
const (
	SigningInProgress SigningState = "IN_PROGRESS"
	SigningComplete   SigningState = "COMPLETE"
	SigningFailed     SigningState = "FAILED"
)

// Why an image is not signed. ECR's own codes are not known (ECR reference, policies.md
// section 10).
const (
	UnsignedByPolicy  = "AccessDenied"            // who pushed it may not sign with the profile
	UnsignedByAbsence = "SigningProfileNotFound"  // the server has no such profile
	UnsignedByProfile = "SigningProfileNotUsable" // its key cannot be read, or its certificate has ended
	UnsignedByLimit   = "LimitExceeded"           // a quota has no room for the signature
	UnsignedByRemoval = "ImageNotFound"           // the repository was deleted meanwhile
	UnsignedByRefusal = "Refused"                 // any other refusal; the reason says which
	UnsignedByFault   = "InternalFailure"         // the server failed to, time and again
)

// SigningStatus is how far an image has come to be signed by a profile.
type SigningStatus struct {
	Profile   string // its ARN
	State     SigningState
	UpdatedAt time.Time
	// FailureCode is one of the Unsigned constants, and FailureReason a sentence;
	// both are "" unless it failed.
	FailureCode, FailureReason string
	Signature                  digest.Digest // of its manifest, zero unless it is there
}

func (row signingRow) public(profile string) SigningStatus {
	return SigningStatus{
		Profile: profile, State: row.State, UpdatedAt: row.UpdatedAt, FailureCode: row.Code, FailureReason: row.Reason, Signature: row.Signature,
	}
}

// SigningStatuses says of each profile that was to sign an image when it was pushed how
// far that has come, in order of ARN, whatever the configuration says now; and of which
// image, by digest. There are none for an image that no rule matched.
// Refusals: RepositoryNotFound, ImageNotFound, TagMismatch.
func (s *Service) SigningStatuses(ctx context.Context, name Name, ref Ref) (d digest.Digest, list []SigningStatus, err error) {
	err = s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, img stored) error {
		d, list = img.digest, nil
		for f, err := range signings.Scan(r, table.Select{Prefix: repo.key(d.String())}) {
			if err != nil {
				return err
			}
			list = append(list, f.Row.public(f.Key[4]))
		}
		return nil
	})
	return d, list, err
}

// SigningProfile is a profile that this server signs with.
type SigningProfile struct {
	ARN string
	// Accounts may sign with it beside its own, which the ARN names, as far as they let
	// their identities.
	Accounts []string
}

// signAction is what who pushes an image needs on a profile that is to sign it (ECR
// reference, policies.md section 10).
const signAction = "signer:SignPayload"

// IsSigningProfile says whether a text is the ARN of a signing profile.
func IsSigningProfile(arn string) bool { return len(arn) <= 200 && isProfile(arn) }

func isProfile(arn string) bool { return signingProfileSyntax.MatchString(arn) }

// profileResource is what says who may sign with a profile beside its own account.
func (s *Service) profileResource(arn string) (of auth.Resource, err error) {
	all := s.live.Load().SigningProfiles
	i := slices.IndexFunc(all, func(p SigningProfile) bool { return p.ARN == arn })
	if i < 0 || len(all[i].Accounts) == 0 {
		return auth.Resource{}, nil
	}
	quoted := make([]string, len(all[i].Accounts))
	for j, account := range all[i].Accounts {
		quoted[j] = fmt.Sprintf("%q", account)
	}
	text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":[%s]},"Action":"*"}]}`, strings.Join(quoted, ","))
	doc, err := policy.ParseRepository(text, endpoint.Partition(strings.Split(arn, ":")[3]))
	return auth.Resource{Policies: []policy.Attached{{Name: "accounts of the signing profile " + arn, Document: doc}}}, err
}

// MaySign says whether a profile may sign what is pushed: nil, an *auth.Denied, or the
// fault that kept it from being decided. A nil MaySign is that of the server, which may.
type MaySign func(ctx context.Context, profile string) error

// MaySignAs has an authorizer decide for a principal. A profile is of the account that
// its ARN names.
func MaySignAs(a auth.Authorizer, by auth.Principal) MaySign {
	return func(ctx context.Context, profile string) error {
		account := strings.Split(profile, ":")[4]
		return a.Authorize(ctx, auth.Check{Principal: by, Action: signAction, Resource: profile, Account: account})
	}
}

// signer is a profile that is to sign what is pushed.
type signer struct {
	profile string
	denied  string // why who pushes may not have it sign, "" if he may
}

// signers are the profiles that are to sign what is pushed by the rules as the push
// found them. They are asked for before the transaction, since deciding reads.
func (s *Service) signers(ctx context.Context, name Name, p Push, m manifest.Manifest) (list []signer, err error) {
	if p.Origin != nil || !signable(m, p.Tags) {
		return nil, nil
	}
	rules, err := s.signingRules(ctx, name.id)
	if err != nil {
		return nil, err
	}
	for _, profile := range profiles(rules, name) {
		by := signer{profile: profile}
		if p.MaySign != nil {
			err := p.MaySign(ctx, profile)
			var denied *auth.Denied
			switch {
			case errors.As(err, &denied):
				by.denied = denied.Error()
			case err != nil:
				return nil, err
			}
		}
		list = append(list, by)
	}
	return list, nil
}

// planSignings notes that an image is to be signed, or that it cannot be. It is part of
// the transaction that puts the image there, so none is lost. What is signed, or waits,
// stays as it is.
func (s *Service) planSignings(tx storage.Tx, p pushing) error {
	for _, by := range p.signers {
		row, err := signings.Get(tx, p.repo.key(p.digest.String(), by.profile)...)
		if ignoreNotFound(err) != nil {
			return err
		}
		if err == nil && row.State != SigningFailed {
			continue
		}
		row = signingRow{State: SigningInProgress}
		if by.denied != "" {
			row = signingRow{State: SigningFailed, Code: UnsignedByPolicy, Reason: by.denied}
		}
		if err := s.putSigning(tx, p.repo, p.digest, by.profile, row); err != nil {
			return err
		}
	}
	return nil
}

// putSigning writes a new status, and if it waits its place at the end of the queue.
func (s *Service) putSigning(tx storage.Tx, repo repository, d digest.Digest, profile string, row signingRow) error {
	key := repo.key(d.String(), profile)
	row.UpdatedAt = s.now().UTC()
	if row.State == SigningInProgress {
		row.Due = row.UpdatedAt
		if err := signingsDue.Put(tx, dueRow{repo.name.path}, dueKey(row.Due, key)...); err != nil {
			return err
		}
	}
	return signings.Put(tx, row, key...)
}

// signingsOf is how far an image has come, by profile; nil if nothing was to sign it.
func (r repository) signingsOf(rd storage.Reader, d digest.Digest) (all map[string]signingRow, err error) {
	for f, err := range signings.Scan(rd, table.Select{Prefix: r.key(d.String())}) {
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = map[string]signingRow{}
		}
		all[f.Key[4]] = f.Row
	}
	return all, nil
}

// signingsAsTheyWere gives an image that comes back from the trash what was known of its
// signatures. What waited waits again.
func (s *Service) signingsAsTheyWere(tx storage.Tx, repo repository, d digest.Digest, were map[string]signingRow) error {
	for profile, row := range were {
		err := signings.Put(tx, row, repo.key(d.String(), profile)...)
		if row.State == SigningInProgress {
			err = s.putSigning(tx, repo, d, profile, signingRow{State: SigningInProgress, Tries: row.Tries})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetSignings removes what is known of an image's signatures, and of what is left to
// sign.
func (r repository) forgetSignings(tx storage.Tx, d digest.Digest) error {
	all, err := r.signingsOf(tx, d)
	for profile, row := range all {
		f := table.Found[signingRow]{Key: r.key(d.String(), profile), Row: row}
		err = errors.Join(err, deleteSigning(tx, f))
	}
	return err
}

// deleteSigning removes a status with its place in the queue.
func deleteSigning(tx storage.Tx, f table.Found[signingRow]) error {
	if f.Row.State == SigningInProgress {
		if err := signingsDue.Delete(tx, dueKey(f.Row.Due, f.Key)...); err != nil {
			return err
		}
	}
	return signings.Delete(tx, f.Key...)
}

// SignatureType is the media type of a signature of the Notary Project, as an artifact
// type and as that of its config (Notary Project, signature-specification.md).
const SignatureType = "application/vnd.cncf.notary.signature"

// evidence are media types of layers that say something of another image: signatures and
// attestations of cosign, and the attestations that BuildKit puts beside its platforms
// (cosign, SIGNATURE_SPEC.md; BuildKit, attestation-storage.md).
var evidence = []string{
	"application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json", "application/vnd.in-toto+json",
}

// signable says whether a manifest is of an image that is signed: what refers to another
// one is not (ECR reference, policies.md section 10), nor the list of what does, which
// older clients keep under a tag; and nothing can refer to an image of schema 1 in a way
// that its clients understand.
func signable(m manifest.Manifest, named []Tag) bool {
	says := func(d manifest.Descriptor) bool { return slices.Contains(evidence, d.MediaType) }
	switch {
	case m.Subject != nil, manifest.IsSchema1(m.MediaType), m.ArtifactType == SignatureType:
		return false
	case m.Config != nil && m.Config.MediaType == SignatureType, slices.ContainsFunc(m.Layers, says):
		return false
	}
	return !slices.ContainsFunc(named, func(tag Tag) bool { return tellsOfAnother(tag, m.IsIndex()) })
}

// tellsOfAnother says whether what has a tag tells of another image, by whose digest older
// clients call it: an index of its referrers, or what cosign attaches to it.
func tellsOfAnother(tag Tag, index bool) bool {
	base, suffix, _ := strings.Cut(tag.s, ".")
	algorithm, encoded, _ := strings.Cut(base, "-")
	d, err := digest.Parse(algorithm + ":" + encoded)
	if err != nil || fallbackTag(d).s != base {
		return false
	}
	switch suffix {
	case "sig", "att", "sbom":
		return true
	}
	return suffix == "" && index
}
