package stsapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/credentials"
)

// call is a request that has been verified.
type call struct {
	ctx       context.Context
	by        auth.Principal
	temporary bool // signed with a temporary key
	params    url.Values
}

// admit verifies who asks and finds the action that he asks for.
//
// What is no action of STS is called so before anything else where the query
// string names it, and also to one who signed for ECR: he sent an operation of
// ECR in the wrong protocol.
func (a *API) admit(r *http.Request) (call, action, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return call{}, action{}, refuse(malformedQuery, "The query string contains a syntax error")
	}
	if _, known := a.actions[query.Get("Action")]; query.Has("Action") && !known {
		_, err := a.action(query)
		return call{}, action{}, err
	}
	if c, act, ok, err := a.unsigned(r, query); ok || err != nil {
		return c, act, err
	}
	p, body, err := a.credentials.Signed(r, "sts", maxBody)
	var elsewhere error
	if errors.Is(err, credentials.ErrOtherService) {
		elsewhere = err
		p, body, err = a.credentials.Signed(r, "ecr", maxBody)
	}
	if err != nil {
		return call{}, action{}, cmp.Or(elsewhere, err)
	}
	defer body.Close()
	params, err := allParams(r, query, body.Reader())
	if err != nil {
		return call{}, action{}, err
	}
	act, err := a.action(params)
	return call{ctx: r.Context(), by: p, temporary: credentials.Temporary(r), params: params}, act, cmp.Or(err, elsewhere)
}

// unsigned is a request that shows no signature for an action that needs none. One
// for another action is left as it was.
func (a *API) unsigned(r *http.Request, query url.Values) (c call, act action, ok bool, err error) {
	if r.Header.Get("Authorization") != "" || query.Has("X-Amz-Signature") || len(r.Header.Values("Content-Encoding")) > 0 {
		return call{}, action{}, false, nil
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return call{}, action{}, false, refuse(kinds[credentials.RequestAborted], "The request was aborted before its body had arrived.")
	}
	if len(text) > maxBody {
		return call{}, action{}, false, refuse(kinds[credentials.RequestEntityTooLarge], "The body of the request is larger than the %d bytes that are accepted.", maxBody)
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	params, err := allParams(r, maps.Clone(query), bytes.NewReader(text))
	if err != nil {
		return call{}, action{}, false, err
	}
	act, err = a.action(params)
	if err != nil || !act.unsigned { // to be refused for want of a signature
		return call{}, action{}, false, nil
	}
	return call{ctx: r.Context(), params: params}, act, true, nil
}

// allParams adds the parameters of a form to those of the query string.
func allParams(r *http.Request, query url.Values, body io.Reader) (url.Values, error) {
	if !isForm(r) {
		return query, nil
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	params, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, refuse(malformedQuery, "The form contains a syntax error")
	}
	for name, values := range query {
		params[name] = append(params[name], values...)
	}
	return params, nil
}

// action finds the action that parameters name, in the one version there is.
func (a *API) action(params url.Values) (action, error) {
	name, err := param(params, "Action")
	if err != nil {
		return action{}, err
	}
	v, err := param(params, "Version")
	if err != nil {
		return action{}, err
	}
	if name == "" {
		return action{}, refuse(missingAction, "The request is missing an action")
	}
	act, ok := a.actions[name]
	if !ok || v != version {
		return action{}, refuse(invalidAction, "Could not find operation %.100s for version %.20s", name, cmp.Or(v, "NO_VERSION_SPECIFIED"))
	}
	return act, nil
}

// param returns a parameter, "" if it was not sent. One sent twice is refused:
// it could mean one thing here and another elsewhere.
func param(params url.Values, name string) (string, error) {
	if len(params[name]) > 1 {
		return "", refuse(validationError, "The parameter %s must be sent once", name)
	}
	return params.Get(name), nil
}
