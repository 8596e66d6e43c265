package sigv4

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxExpires is the longest life of a presigned URL in seconds (AWS Signature
// Version 4, "Authenticating requests: using query parameters").
const maxExpires = 7 * 24 * 60 * 60

// queryCredentials are the parameters that make a URL a presigned one. Any of
// them beside an Authorization header is a second set of credentials.
var queryCredentials = []string{
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Security-Token",
}

// parseCredentials reads the one set of credentials that r shows.
func parseCredentials(r *http.Request, q query) (*Signature, error) {
	header := r.Header.Values("Authorization")
	presigned := slices.ContainsFunc(queryCredentials, q.hasFold)
	switch {
	case len(header) > 1:
		return nil, refuse(Incomplete, "The request has more than one Authorization header.")
	case len(header) == 1 && presigned:
		return nil, refuse(Incomplete, "The request has credentials both in the Authorization header and in the query string.")
	case presigned:
		return parsePresigned(r, q)
	case len(header) == 0:
		return nil, refuse(Missing, "Missing Authentication Token")
	}
	return parseHeader(r, header[0])
}

// parseHeader reads the value of an Authorization header, and the time and
// session token that go with it.
func parseHeader(r *http.Request, value string) (*Signature, error) {
	if strings.TrimSpace(value) == "" {
		return nil, refuse(Incomplete, "Authorization header cannot be empty.")
	}
	scheme, rest, _ := strings.Cut(value, " ")
	if err := checkAlgorithm(scheme); err != nil {
		return nil, err
	}
	fields, err := parseFields(rest)
	if err != nil {
		return nil, err
	}
	s := &Signature{life: MaxSkew, Token: r.Header.Get("X-Amz-Security-Token")}
	if s.Time, err = headerTime(r); err != nil {
		return nil, err
	}
	return s, s.fill(fields["Credential"], fields["SignedHeaders"], fields["Signature"])
}

// parseFields reads "Credential=…, SignedHeaders=…, Signature=…", in any order
// and each once.
func parseFields(list string) (map[string]string, error) {
	fields := map[string]string{"Credential": "", "SignedHeaders": "", "Signature": ""}
	for part := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if before, known := fields[name]; !known || before != "" || value == "" {
			return nil, refuse(Incomplete, "Authorization header takes 'Credential', 'SignedHeaders' and 'Signature', each once and none empty.")
		}
		fields[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			return nil, refuse(Incomplete, "Authorization header requires '%s' parameter.", name)
		}
	}
	return fields, nil
}

// parsePresigned reads the credentials of a presigned URL.
func parsePresigned(r *http.Request, q query) (*Signature, error) {
	if r.Header.Get("X-Amz-Security-Token") != "" {
		return nil, refuse(Incomplete, "The request has credentials both in a header and in the query string.")
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if v, n := q.get(name); n != 1 || v == "" {
			return nil, refuse(Incomplete, "AWS query-string parameters must include '%s' once.", name)
		}
	}
	algorithm, _ := q.get("X-Amz-Algorithm")
	if err := checkAlgorithm(algorithm); err != nil {
		return nil, err
	}
	s, err := presignedTimes(q)
	if err != nil {
		return nil, err
	}
	token, n := q.get("X-Amz-Security-Token")
	if n > 1 {
		return nil, refuse(Incomplete, "AWS query-string parameters must include 'X-Amz-Security-Token' once.")
	}
	s.Token = token
	credential, _ := q.get("X-Amz-Credential")
	headers, _ := q.get("X-Amz-SignedHeaders")
	signature, _ := q.get("X-Amz-Signature")
	return s, s.fill(credential, headers, signature)
}

func presignedTimes(q query) (*Signature, error) {
	date, _ := q.get("X-Amz-Date")
	t, ok := basicTime(date)
	if !ok {
		return nil, badTime
	}
	s := &Signature{Time: t, life: MaxSkew}
	expires, n := q.get("X-Amz-Expires")
	if n == 0 {
		return s, nil
	}
	seconds, err := strconv.ParseUint(expires, 10, 32)
	if err != nil || n > 1 || seconds < 1 || seconds > maxExpires {
		return nil, refuse(Incomplete, "X-Amz-Expires must be a number of seconds from 1 to %d, given once.", maxExpires)
	}
	s.life = time.Duration(seconds) * time.Second
	return s, nil
}

func checkAlgorithm(name string) error {
	if name != algorithm {
		return refuse(Incomplete, "Unsupported AWS 'algorithm': '%.64s'. Only %s is supported.", name, algorithm)
	}
	return nil
}

// fill sets what a header and a presigned URL write alike.
func (s *Signature) fill(credential, headers, signature string) error {
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" {
		return refuse(Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	s.KeyID, s.Date, s.Region, s.Service, s.terminator = parts[0], parts[1], parts[2], parts[3], parts[4]
	s.headers = strings.Split(headers, ";")
	for i, name := range s.headers {
		if name == "" || name != strings.ToLower(name) || i > 0 && s.headers[i-1] >= name {
			return refuse(Incomplete, "SignedHeaders must be lower-case names, sorted, each once, separated by ';'.")
		}
	}
	var err error
	s.mac, err = hex.DecodeString(signature)
	if err != nil || len(s.mac) != 32 || signature != strings.ToLower(signature) {
		return refuse(Incomplete, "Signature must be 64 lower-case hexadecimal digits.")
	}
	return nil
}

var badTime = refuse(Incomplete, "Date must be in ISO-8601 'basic format' or, in a Date header, in that of RFC 1123.")

// headerTime is X-Amz-Date, or else Date.
func headerTime(r *http.Request) (time.Time, error) {
	name := timeHeader(r)
	values := r.Header.Values(name)
	if len(values) == 0 {
		return time.Time{}, refuse(Incomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if t, ok := basicTime(values[0]); ok {
		return t, nil
	}
	if name == "Date" {
		for _, layout := range []string{http.TimeFormat, time.RFC1123Z} {
			if t, err := time.Parse(layout, values[0]); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, badTime
}

// timeHeader names the header that the time of a signature by header is in.
func timeHeader(r *http.Request) string {
	if len(r.Header.Values("X-Amz-Date")) > 0 {
		return "X-Amz-Date"
	}
	return "Date"
}

// basicTime reads ISO 8601 basic, in UTC and to the second. Written again it
// must be the same: time.Parse lets fractions of a second through.
func basicTime(s string) (time.Time, bool) {
	t, err := time.Parse(timeLayout, s)
	return t, err == nil && t.Format(timeLayout) == s
}
