package ecrapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
)

// errToken refuses a nextToken. Why is not said.
var errToken = invalid("NextToken", "Invalid next token provided")

// tokenMAC is how many bytes of the authentication code a token carries.
const tokenMAC = 16

// nextToken is the token with which a list goes on at a place, "" if that is
// "". It holds all that is needed, so it has no lifetime, and is good
// for the same operation on the same registry with the same members alone
// (model: nextToken), except that pages may be of another size.
func (a *API) nextToken(c *call, in any, place string) (string, error) {
	if place == "" {
		return "", nil
	}
	mac, err := a.tokenMAC(c, in, place)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(mac, place...)), nil
}

// place is where the list goes on that a request asks for, "" for its begin.
func (a *API) place(c *call, in any, token *string) (string, error) {
	if token == nil {
		return "", nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(*token)
	if err != nil || len(b) <= tokenMAC {
		return "", errToken
	}
	place := string(b[tokenMAC:])
	mac, err := a.tokenMAC(c, in, place)
	if err != nil {
		return "", err
	}
	if !hmac.Equal(mac, b[:tokenMAC]) {
		return "", errToken
	}
	return place, nil
}

func (a *API) tokenMAC(c *call, in any, place string) ([]byte, error) {
	query := reflect.New(reflect.TypeOf(in).Elem()).Elem()
	query.Set(reflect.ValueOf(in).Elem())
	query.FieldByName("NextToken").SetZero()
	query.FieldByName("MaxResults").SetZero()
	b, err := json.Marshal([]any{c.op, c.id.Account, c.id.Region, query.Interface(), place})
	if err != nil {
		return nil, fmt.Errorf("make page token: %w", err)
	}
	h := hmac.New(sha256.New, a.pageKey)
	h.Write(b)
	return h.Sum(nil)[:tokenMAC], nil
}

// pageSize is how many results a page has.
func pageSize(maxResults *int64, standard int) int {
	if maxResults == nil {
		return standard
	}
	return int(*maxResults)
}

// noPages refuses a page of things that were asked for by name.
func noPages(names string, nextToken *string, maxResults *int64) error {
	switch {
	case nextToken != nil:
		return invalid("nextToken", "Member must be null when "+names+" is specified")
	case maxResults != nil:
		return invalid("maxResults", "Member must be null when "+names+" is specified")
	}
	return nil
}
