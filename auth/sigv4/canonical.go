package sigv4

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// checkSingle refuses what may be sent once only: which of two values a reader
// takes would be his own choice.
func checkSingle(r *http.Request) error {
	for _, name := range []string{"X-Amz-Target", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", timeHeader(r)} {
		if len(r.Header.Values(name)) > 1 {
			return refuse(Invalid, "The header '%s' must not be sent more than once.", name)
		}
	}
	if len(r.Header.Values("Host")) > 0 { // net/http moves the one Host to r.Host
		return refuse(Invalid, "The header 'Host' must not be sent more than once.")
	}
	return nil
}

// checkSigned demands that the signature covers what gives the request its
// meaning. What a client leaves out of SignedHeaders anyone may change.
func (s *Signature) checkSigned(r *http.Request) error {
	if !slices.Contains(s.headers, "host") {
		return refuse(Invalid, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	demand := []string{"X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token"}
	if r.Header.Get("Authorization") != "" {
		demand = append(demand, timeHeader(r))
	}
	for _, name := range demand {
		if len(r.Header.Values(name)) > 0 && !slices.Contains(s.headers, strings.ToLower(name)) {
			return refuse(Invalid, "'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	return nil
}

// readBodyHash notes the hash of the body that the request claims. Forms that
// leave the body unsigned, or sign it piece by piece, are S3's alone.
func (s *Signature) readBodyHash(r *http.Request) error {
	values := r.Header.Values("X-Amz-Content-Sha256")
	if len(values) == 0 {
		return nil
	}
	s.bodyHash = values[0]
	if len(s.bodyHash) != 64 || strings.Trim(s.bodyHash, "0123456789abcdef") != "" {
		return refuse(Invalid, "The header 'x-amz-content-sha256' must be the SHA-256 of the body in lower-case hexadecimal digits; unsigned and streaming payloads are not supported.")
	}
	return nil
}

// canonicalRequest is the canonical request without its last line, the hash of
// the body.
func canonicalRequest(r *http.Request, q query, signed []string) (string, error) {
	path, err := canonicalPath(r.URL)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + q.canonical() + "\n")
	for _, name := range signed {
		values := headerValues(r, name)
		if len(values) == 0 {
			return "", refuse(Invalid, "The signed header '%.64s' is not in the request.", name)
		}
		b.WriteString(name + ":" + canonicalValue(values) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n")
	return b.String(), nil
}

// headerValues are the values of a header as sent, those among them that
// net/http takes out of the Header.
func headerValues(r *http.Request, name string) []string {
	switch values := r.Header.Values(name); {
	case name == "host":
		return []string{r.Host}
	case len(values) > 0:
		return values
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding":
		return r.TransferEncoding
	}
	return nil
}

// canonicalValue trims each value, makes one space of several, and joins
// values by a comma.
func canonicalValue(values []string) string {
	var all []string
	for _, v := range values {
		words := strings.FieldsFunc(v, func(c rune) bool { return c == ' ' })
		all = append(all, strings.Join(words, " "))
	}
	return strings.Join(all, ",")
}

// canonicalPath is the path as every service but S3 wants it: normalised, and
// encoded once more than it was sent. A path that is not normal is refused: it
// would share its signature with another one.
func canonicalPath(u *url.URL) (string, error) {
	sent := cmp.Or(u.EscapedPath(), "/")
	if clean := path.Clean(sent); sent != clean && sent != clean+"/" || sent == "//" {
		return "", refuse(Invalid, "The path of the request is not in its normal form.")
	}
	return escape(sent, "/"), nil
}

// query holds the parameters of a query string, decoded, in the order sent.
type query []parameter

type parameter struct{ name, value string }

// parseQuery reads a query string as net/url's ParseQuery does, a plus for a
// space included, but refuses what that drops in silence: a signature must
// not stand for parameters that the rest of the server does not see.
func parseQuery(raw string) (query, error) {
	var q query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil || strings.Contains(pair, ";") {
			return nil, refuse(Incomplete, "The query string is malformed.")
		}
		q = append(q, parameter{n, v})
	}
	return q, nil
}

// get returns the first value of a parameter and how many there are.
func (q query) get(name string) (value string, n int) {
	for _, p := range q {
		if p.name == name {
			if n == 0 {
				value = p.value
			}
			n++
		}
	}
	return value, n
}

func (q query) hasFold(name string) bool {
	return slices.ContainsFunc(q, func(p parameter) bool { return strings.EqualFold(p.name, name) })
}

// canonical is the query string encoded and sorted, without the signature.
func (q query) canonical() string {
	var pairs []parameter
	for _, p := range q {
		if p.name != "X-Amz-Signature" {
			pairs = append(pairs, parameter{escape(p.name, ""), escape(p.value, "")})
		}
	}
	slices.SortFunc(pairs, func(a, b parameter) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

// escape encodes every byte but RFC 3986's unreserved ones and those of keep.
func escape(s, keep string) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9',
			strings.IndexByte("-_.~", c) >= 0, strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
