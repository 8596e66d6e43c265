package stsapi

import (
	"encoding/xml"
	"strconv"
	"time"

	"github.com/seed-78150930/berth/auth/credentials"
)

// action is an operation of STS.
type action struct {
	permission string // IAM action
	open       bool   // needs no permission
	run        func(*API, call) (answer, error)
}

// actions are those that this server knows. AWS asks no permission for either,
// and lets no policy deny them (STS API reference).
var actions = map[string]action{
	"GetCallerIdentity": {permission: "sts:GetCallerIdentity", open: true, run: (*API).getCallerIdentity},
	"GetSessionToken":   {permission: "sts:GetSessionToken", open: true, run: (*API).getSessionToken},
}

type callerIdentity struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Arn     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
	metadata
}

func (a *API) getCallerIdentity(c call) (answer, error) {
	return &callerIdentity{Arn: c.by.ARN, UserID: c.by.UserID, Account: c.by.Account}, nil
}

type sessionToken struct {
	XMLName         xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetSessionTokenResponse"`
	AccessKeyID     string   `xml:"GetSessionTokenResult>Credentials>AccessKeyId"`
	SecretAccessKey string   `xml:"GetSessionTokenResult>Credentials>SecretAccessKey"`
	SessionToken    string   `xml:"GetSessionTokenResult>Credentials>SessionToken"`
	Expiration      string   `xml:"GetSessionTokenResult>Credentials>Expiration"`
	metadata
}

// getSessionToken issues a temporary key to one who used a permanent one. No
// identity has a device for a second factor, so no code of one is right.
func (a *API) getSessionToken(c call) (answer, error) {
	if c.temporary {
		return nil, refuse(accessDenied, "Cannot call GetSessionToken with session credentials")
	}
	if c.params.Has("SerialNumber") || c.params.Has("TokenCode") {
		return nil, refuse(accessDenied, "MultiFactorAuthentication failed, unable to validate MFA code.")
	}
	duration, err := durationOf(c)
	if err != nil {
		return nil, err
	}
	s, err := a.credentials.GetSessionToken(c.ctx, c.by, duration)
	if err != nil {
		return nil, err
	}
	return &sessionToken{
		AccessKeyID:     s.KeyID,
		SecretAccessKey: s.Secret.Reveal(),
		SessionToken:    s.Token,
		Expiration:      s.Expires.UTC().Format(time.RFC3339),
	}, nil
}

// durationOf is the time that a session shall last.
func durationOf(c call) (time.Duration, error) {
	text, err := param(c.params, "DurationSeconds")
	if err != nil || text == "" {
		return credentials.DefaultSession, err
	}
	const least, most = int(credentials.MinSession / time.Second), int(credentials.MaxSession / time.Second)
	switch seconds, err := strconv.Atoi(text); {
	case err != nil:
		return 0, refuse(validationError, "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: Member must be a whole number")
	case seconds < least:
		return 0, refuse(validationError, "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to %d", seconds, least)
	case seconds > most:
		return 0, refuse(validationError, "1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value less than or equal to %d", seconds, most)
	default:
		return time.Duration(seconds) * time.Second, nil
	}
}
