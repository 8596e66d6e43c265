package admin

import (
	"context"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry/sign"
)

// The calls about signing profiles.
var (
	ListSigningProfiles = Call[None, []SigningProfile]{"list-signing-profiles"}
	ShowSigningProfile  = Call[ByID, SigningProfile]{"show-signing-profile"} // by its ARN
)

// SigningProfile is a signing profile. Its JSON form is what commands print.
type SigningProfile struct {
	ARN       string `json:"arn"`
	Generated bool   `json:"generated"`
	// Subject is that of the certificate that signs now, in the form in which trust
	// policies name identities; "" if there is none yet, like all that follows.
	Subject   string    `json:"subject,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"` // when all certificates begin to hold
	NotAfter  time.Time `json:"notAfter,omitzero"`  // when the first of them ends
	Root      string    `json:"rootSubject,omitempty"`
	RootPEM   string    `json:"rootCertificate,omitempty"` // what trust stores take
	Fault     string    `json:"fault,omitempty"`           // why it does not sign
}

func (c *Clerk) answerSigning(all answers) {
	answered(all, ListSigningProfiles, func(ctx context.Context, _ None) ([]SigningProfile, error) { return c.signingProfiles(ctx) })
	answered(all, ShowSigningProfile, c.showSigningProfile)
}

func (c *Clerk) signingProfiles(ctx context.Context) ([]SigningProfile, error) {
	keys, err := c.Signing(ctx)
	if err != nil {
		return nil, err
	}
	list, err := keys.Profiles(ctx)
	return each(list, signingProfile), err
}

func (c *Clerk) showSigningProfile(ctx context.Context, q ByID) (SigningProfile, error) {
	list, err := c.signingProfiles(ctx)
	if err != nil {
		return SigningProfile{}, err
	}
	i := slices.IndexFunc(list, func(p SigningProfile) bool { return p.ARN == q.ID })
	if i < 0 {
		return SigningProfile{}, fmt.Errorf("the configuration has no signing profile %.300q", q.ID)
	}
	if list[i].RootPEM == "" {
		return SigningProfile{}, fmt.Errorf("signing profile %s: %s", q.ID, list[i].Fault)
	}
	return list[i], nil
}

func signingProfile(p sign.Profile) SigningProfile {
	shown := SigningProfile{ARN: p.ARN, Generated: p.Generated, Fault: p.Fault}
	root := p.Root()
	if root == nil {
		return shown
	}
	shown.Subject, shown.Root = p.Chain[0].Subject.String(), root.Subject.String()
	shown.NotBefore, shown.NotAfter = root.NotBefore, root.NotAfter
	for _, cert := range p.Chain {
		if cert.NotBefore.After(shown.NotBefore) {
			shown.NotBefore = cert.NotBefore
		}
		if cert.NotAfter.Before(shown.NotAfter) {
			shown.NotAfter = cert.NotAfter
		}
	}
	shown.RootPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
	return shown
}
