package stsapi

import (
	"encoding/xml"
	"maps"
	"slices"

	"github.com/seed-78150930/berth/auth/credentials"
)

// action is an operation of STS.
type action struct {
	permission string // IAM action
	// open actions need no permission of an identity's policies by themselves: AWS asks
	// for none, or what they do asks by itself.
	open     bool
	unsigned bool // may be asked without a signature
	run      func(*API, call) (answer, error)
}

// actions are those that this server knows. For the first two AWS asks no
// permission, and lets no policy deny them (STS API reference); who may act as a
// role is for the role's trust policy too.
var actions = map[string]action{
	"GetCallerIdentity":         {permission: "sts:GetCallerIdentity", open: true, run: (*API).getCallerIdentity},
	"GetSessionToken":           {permission: "sts:GetSessionToken", open: true, run: (*API).getSessionToken},
	"AssumeRole":                {permission: "sts:AssumeRole", open: true, run: (*API).assumeRole},
	"AssumeRoleWithWebIdentity": {permission: "sts:AssumeRoleWithWebIdentity", open: true, unsigned: true, run: (*API).assumeRoleWithWebIdentity},
	"GetAccessKeyInfo":          {permission: "sts:GetAccessKeyInfo", run: (*API).getAccessKeyInfo},
}

// Action is what there is to say of an action of STS.
type Action struct {
	Name       string
	Permission string // IAM action that it is authorised as
	// Open says that the action asks no permission: what it does, or a role's trust
	// policy, decides.
	Open bool
}

// Actions are all actions that the door knows, in order of name.
func Actions() (list []Action) {
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		list = append(list, Action{name, actions[name].permission, actions[name].open})
	}
	return list
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
	XMLName     xml.Name     `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetSessionTokenResponse"`
	Credentials temporaryKey `xml:"GetSessionTokenResult>Credentials"`
	metadata
}

// getSessionToken issues a temporary key to one who used a permanent one.
func (a *API) getSessionToken(c call) (answer, error) {
	if c.temporary {
		return nil, refuse(accessDenied, "Cannot call GetSessionToken with session credentials")
	}
	p := &params{Values: c.params}
	duration := p.duration(credentials.MinSession, credentials.MaxSession)
	if p.noDevice(); p.err != nil {
		return nil, p.err
	}
	s, err := a.credentials.GetSessionToken(c.ctx, c.by, duration)
	if err != nil {
		return nil, err
	}
	return &sessionToken{Credentials: showKey(s)}, nil
}
