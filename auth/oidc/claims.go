package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Claims are what a verified token says.
type Claims struct {
	Issuer   string
	Subject  string
	Audience []string // the one of the provider's that it names, first
	AMR      []string // authentication methods (RFC 8176)
	Expires  time.Time
	// Values are all claims that are a text, a truth, a whole number or a list of
	// texts, as texts.
	Values map[string][]string

	issued, notBefore time.Time
}

// readClaims reads names exactly as they are written: encoding/json would take
// "ISS" for "iss" too.
func readClaims(payload []byte) (Claims, error) {
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		return Claims{}, fmt.Errorf("%w: it holds no JSON object", ErrInvalid)
	}
	c := Claims{Values: map[string][]string{}}
	for name, v := range all {
		if values, ok := texts(v); ok {
			c.Values[name] = values
		}
	}
	var err [5]error
	c.Issuer, err[0] = one(all, "iss")
	c.Subject, err[1] = one(all, "sub")
	c.Expires, err[2] = moment(all, "exp", true)
	c.issued, err[3] = moment(all, "iat", true)
	c.notBefore, err[4] = moment(all, "nbf", false)
	c.Audience, c.AMR = c.Values["aud"], c.Values["amr"]
	return c, errors.Join(err[:]...)
}

// texts are the values of a claim, if it has a form that conditions can speak of.
func texts(v any) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case bool:
		return []string{strconv.FormatBool(v)}, true
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}, v == math.Trunc(v) && math.Abs(v) < 1<<53
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			list = append(list, s)
		}
		return list, true
	}
	return nil, false
}

func one(all map[string]any, name string) (string, error) {
	s, _ := all[name].(string)
	if s == "" {
		return "", fmt.Errorf("%w: it has no %s", ErrInvalid, name)
	}
	return s, nil
}

// moment is a NumericDate (RFC 7519, section 2).
func moment(all map[string]any, name string, needed bool) (time.Time, error) {
	v, given := all[name]
	seconds, ok := v.(float64)
	if !given && !needed {
		return time.Time{}, nil
	}
	if !ok || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, fmt.Errorf("%w: it has no %s", ErrInvalid, name)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// check holds the audience against what a provider is trusted for, and puts the one
// that is meant in front; and the beginning, for which package oidc would allow five
// minutes.
func (c *Claims) check(clients []string, now time.Time) error {
	i := slices.IndexFunc(c.Audience, func(a string) bool { return slices.Contains(clients, a) })
	switch {
	case i < 0:
		return fmt.Errorf("%w: its audience is none of the provider's client ids", ErrRejected)
	case now.Add(Leeway).Before(c.issued) || now.Add(Leeway).Before(c.notBefore):
		return fmt.Errorf("%w: it does not hold yet", ErrInvalid)
	}
	c.Audience = slices.Concat(c.Audience[i:i+1], c.Audience[:i], c.Audience[i+1:])
	return nil
}
