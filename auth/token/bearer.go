package token

import "time"

// BearerLife is how long a bearer token holds: long enough for what a client has in
// flight, and short, since clients get another by themselves.
const BearerLife = 5 * time.Minute

// maxBearer is the greatest length of a bearer token, as of a session token's.
const maxBearer = maxSession

// Bearer is what a bearer token says. The token carries it sealed, so that only the
// server can read it, and nothing in it is believed that the server did not seal.
type Bearer struct {
	// Claims say whom it stands for; they are zero for nobody. Their times are those
	// of the bearer token.
	Claims Claims `json:"c"`
	Nobody bool   `json:"n,omitempty"`
	// Service is the host whose registry it is for.
	Service string `json:"s"`
	// Grants are what it was asked for. Whether that is allowed is seen when it is
	// used.
	Grants []Grant `json:"g,omitempty"`
}

// Grant is a resource that a bearer token is for, and what may be done to it, in the
// words of the distribution project's tokens: "repository", "team/app", "pull".
type Grant struct {
	Type    string   `json:"t"`
	Name    string   `json:"n"`
	Actions []string `json:"a"`
}

// SealBearer makes the bearer token of b, which holds from now on for BearerLife, but
// not beyond the time that the Claims of b have as their end, if they have one. The
// error is an ErrTooLong or a fault.
func (r *Ring) SealBearer(b Bearer) (token string, issued, expires time.Time, err error) {
	now := r.now()
	end := now.Add(BearerLife).Unix()
	if b.Claims.Expires != 0 {
		end = min(end, b.Claims.Expires)
	}
	b.Claims.Issued, b.Claims.Expires = now.Unix(), end
	token, err = r.seal(useBearer, b, maxBearer)
	return token, time.Unix(b.Claims.Issued, 0).UTC(), time.Unix(end, 0).UTC(), err
}

// OpenBearer returns what a bearer token for a service says. The error is
// ErrMalformed, ErrForged, also for another service's, ErrExpired, ErrNotYet, or a
// fault.
func (r *Ring) OpenBearer(token, service string) (Bearer, error) {
	var b Bearer
	if err := r.unseal(useBearer, token, maxBearer, &b); err != nil {
		return Bearer{}, err
	}
	if b.Service != service {
		return Bearer{}, ErrForged
	}
	if err := r.checkTimes(b.Claims.Issued, b.Claims.Expires); err != nil {
		return Bearer{}, err
	}
	return b, nil
}
