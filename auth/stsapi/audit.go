package stsapi

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
)

// describe notes in a record what its request says by itself, before anything of
// it is believed. An action that only its form names is known later.
func (a *API) describe(record *audit.Call, r *http.Request) *formHead {
	record.ClaimSigned(r)
	note(record, call{params: url.Values{"Action": r.URL.Query()["Action"]}})
	form := &formHead{ReadCloser: r.Body, quiet: a.audit == nil || r.Header.Get("Expect") != ""}
	r.Body = form
	return form
}

// formHead is a body that remembers its beginning, where the action stands, for
// records of requests whose signature was refused.
type formHead struct {
	io.ReadCloser
	head  []byte
	quiet bool // it is not read for the record alone: who sends it waits to be asked, or nothing is recorded
}

const formHeadSize = 4 << 10

func (f *formHead) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.head = append(f.head, p[:min(n, formHeadSize-len(f.head))]...)
	return n, err
}

// name notes the action of a call that was refused before its form was read.
func (f *formHead) name(record *audit.Call) {
	if record.Event != "" {
		return
	}
	if len(f.head) == 0 && !f.quiet {
		_, _ = io.CopyN(io.Discard, f, formHeadSize) // it names the action, or does not
	}
	form, _ := url.ParseQuery(string(f.head))
	if action := form.Get("Action"); actions[action].run != nil {
		record.Event = action
	}
}

// note notes in a record what a call turned out to be. A name that is no action of
// STS stays out of it.
func note(record *audit.Call, c call) {
	record.Principal = c.by
	if action := c.params.Get("Action"); actions[action].run != nil {
		record.Event = action
		record.Parameters = parametersOf(c.params)
	}
	if role := c.params.Get(roleARN.name); role != "" {
		record.On(role, accountIn(role), audit.RoleType)
	}
}

// accountIn is the account of an ARN, "" if it has none.
func accountIn(arn string) string {
	part := strings.SplitN(arn, ":", 6)
	if len(part) < 6 {
		return ""
	}
	return part[4]
}

// shown are the parameters that come into a record, beside lists. Tokens are named
// there, and hidden.
var shown = []string{
	roleARN.name, roleSessionName.name, "DurationSeconds", externalID.name, sessionPolicy.name, sourceIdentity.name, accessKeyID.name,
	webToken.name, "ProviderId", "SerialNumber", "TokenCode",
}

// parametersOf are the parameters of a call under CloudTrail's names.
func parametersOf(values url.Values) audit.Fields {
	all := audit.Fields{}
	for _, name := range shown {
		all = append(all, audit.Field{Name: lowerFirst(name), Value: values.Get(name)})
	}
	p := &params{Values: values}
	var tags, policies []audit.Fields
	for _, place := range p.list("Tags", maxTags) {
		tags = append(tags, audit.Fields{{Name: "key", Value: values.Get(place + ".Key")}, {Name: "value", Value: values.Get(place + ".Value")}})
	}
	for _, place := range p.list("PolicyArns", maxPolicyARNs) {
		policies = append(policies, audit.Fields{{Name: "arn", Value: values.Get(place + ".arn")}})
	}
	return append(all, audit.Field{Name: "tags", Value: tags}, audit.Field{Name: "policyArns", Value: policies})
}

// elements are what a record shows of an answer: nothing, if it does not say.
func (metadata) elements() audit.Fields { return nil }

func (s *sessionToken) elements() audit.Fields { return audit.Fields{s.Credentials.element()} }

func (s *assumedRole) elements() audit.Fields {
	return audit.Fields{s.Credentials.element(), s.AssumedRoleUser.element(), {Name: "packedPolicySize", Value: s.PackedPolicySize}, {Name: "sourceIdentity", Value: s.SourceIdentity}}
}

func (s *webIdentityRole) elements() audit.Fields {
	return audit.Fields{
		s.Credentials.element(), s.AssumedRoleUser.element(), {Name: "packedPolicySize", Value: s.PackedPolicySize},
		{Name: "subjectFromWebIdentityToken", Value: s.Subject}, {Name: "provider", Value: s.Provider}, {Name: "audience", Value: s.Audience},
	}
}

// element is what a record shows of a temporary key. CloudTrail shows the session
// token too, which is half of what one needs to use it.
func (k temporaryKey) element() audit.Field {
	return audit.Field{Name: "credentials", Value: audit.Fields{
		{Name: "accessKeyId", Value: k.AccessKeyID}, {Name: "sessionToken", Value: audit.Hidden}, {Name: "expiration", Value: k.Expiration},
	}}
}

func (u assumedRoleUser) element() audit.Field {
	return audit.Field{Name: "assumedRoleUser", Value: audit.Fields{{Name: "assumedRoleId", Value: u.AssumedRoleID}, {Name: "arn", Value: u.Arn}}}
}

// answered notes an answer that says yes.
func answered(record *audit.Call, a answer) {
	record.Response = a.elements()
	if web, ok := a.(*webIdentityRole); ok {
		record.Federated = &audit.Federated{Provider: web.Provider, Audience: web.Audience, Subject: web.Subject}
	}
}

// unrecorded refuses a call that must be recorded and cannot be.
func unrecorded(err error) error {
	if err == nil {
		return nil
	}
	return refuse(kinds[credentials.ServiceUnavailable], "The server cannot record what it does, and does nothing until it can.")
}
