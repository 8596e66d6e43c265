package stsapi

import (
	"encoding/xml"
	"time"

	"github.com/seed-78150930/berth/auth/credentials"
)

// temporaryKey is a temporary key as STS shows it.
type temporaryKey struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

func showKey(s credentials.Session) temporaryKey {
	return temporaryKey{s.KeyID, s.Secret.Reveal(), s.Token, s.Expires.UTC().Format(time.RFC3339)}
}

// String hides the secret.
func (temporaryKey) String() string { return "temporary key" }

// GoString hides the secret from %#v.
func (temporaryKey) GoString() string { return "temporary key" }

type assumedRoleUser struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

type assumedRole struct {
	XMLName          xml.Name        `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
	Credentials      temporaryKey    `xml:"AssumeRoleResult>Credentials"`
	AssumedRoleUser  assumedRoleUser `xml:"AssumeRoleResult>AssumedRoleUser"`
	PackedPolicySize *int            `xml:"AssumeRoleResult>PackedPolicySize,omitempty"`
	SourceIdentity   string          `xml:"AssumeRoleResult>SourceIdentity,omitempty"`
	metadata
}

func (a *API) assumeRole(c call) (answer, error) {
	p := &params{Values: c.params}
	r := p.roleRequest()
	r.ExternalID, r.SourceIdentity = p.one(externalID), p.one(sourceIdentity)
	r.Tags, r.Transitive = p.tags(), p.transitive()
	if p.noDevice(); p.err != nil {
		return nil, p.err
	}
	s, err := a.credentials.AssumeRole(c.ctx, c.by, r)
	if err != nil {
		return nil, err
	}
	return &assumedRole{
		Credentials: showKey(s.Session), AssumedRoleUser: assumedRoleUser{s.UserID, s.ARN},
		PackedPolicySize: packedSize(r, s), SourceIdentity: s.SourceIdentity,
	}, nil
}

// packedSize is told where policies or tags were sent.
func packedSize(r credentials.RoleRequest, s credentials.RoleSession) *int {
	if r.Policy == "" && len(r.PolicyARNs)+len(r.Tags) == 0 {
		return nil
	}
	return &s.PackedPercent
}

type webIdentityRole struct {
	XMLName          xml.Name        `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Credentials      temporaryKey    `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	Subject          string          `xml:"AssumeRoleWithWebIdentityResult>SubjectFromWebIdentityToken"`
	AssumedRoleUser  assumedRoleUser `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser"`
	PackedPolicySize *int            `xml:"AssumeRoleWithWebIdentityResult>PackedPolicySize,omitempty"`
	Provider         string          `xml:"AssumeRoleWithWebIdentityResult>Provider"`
	Audience         string          `xml:"AssumeRoleWithWebIdentityResult>Audience"`
	metadata
}

// assumeRoleWithWebIdentity is asked without a signature: the token is what speaks
// for who asks.
func (a *API) assumeRoleWithWebIdentity(c call) (answer, error) {
	p := &params{Values: c.params}
	r := p.roleRequest()
	token := p.one(webToken)
	if p.Has("ProviderId") {
		p.fail("ProviderId is for access tokens of OAuth 2.0, which are not taken; send an OpenID Connect token without it")
	}
	if p.err != nil {
		return nil, p.err
	}
	s, err := a.credentials.AssumeRoleWithWebIdentity(c.ctx, token, a.region, r)
	if err != nil {
		return nil, err
	}
	return &webIdentityRole{
		Credentials: showKey(s.Session), Subject: s.Subject, AssumedRoleUser: assumedRoleUser{s.UserID, s.ARN},
		PackedPolicySize: packedSize(r, s), Provider: s.Provider, Audience: s.Audience,
	}, nil
}

type accessKeyInfo struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetAccessKeyInfoResponse"`
	Account string   `xml:"GetAccessKeyInfoResult>Account"`
	metadata
}

func (a *API) getAccessKeyInfo(c call) (answer, error) {
	p := &params{Values: c.params}
	id := p.one(accessKeyID)
	if p.err != nil {
		return nil, p.err
	}
	account, err := a.credentials.AccountOf(c.ctx, id)
	if err != nil {
		return nil, err
	}
	return &accessKeyInfo{Account: account}, nil
}
