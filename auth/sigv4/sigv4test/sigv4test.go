// Package sigv4test signs requests as AWS's clients do, for tests of whatever
// verifies them. It shares no code with package sigv4.
package sigv4test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const timeLayout = "20060102T150405Z"

// Key is an access key and what it is used for.
type Key struct {
	ID, Secret      string
	Token           string // session token, "" for a permanent key
	Region, Service string // scope of its signatures
}

// Sign signs r, whose body is body, by an Authorization header: the host, the
// content type and all headers that begin with X-Amz-. The path of r is "/".
func (k Key) Sign(r *http.Request, body string, at time.Time) {
	at = at.UTC()
	r.Header.Set("X-Amz-Date", at.Format(timeLayout))
	if k.Token != "" {
		r.Header.Set("X-Amz-Security-Token", k.Token)
	}
	names := signedNames(r)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.ID+"/"+k.scope(at)+
		", SignedHeaders="+strings.Join(names, ";")+", Signature="+k.signature(r, names, canonicalQuery(r.URL.Query()), body, at))
}

// Presign signs r, which has no body, by its query, for a time of life. It
// signs the same headers as Sign.
func (k Key) Presign(r *http.Request, at time.Time, life time.Duration) {
	at = at.UTC()
	names := signedNames(r)
	q := r.URL.Query()
	q.Set("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
	q.Set("X-Amz-Credential", k.ID+"/"+k.scope(at))
	q.Set("X-Amz-Date", at.Format(timeLayout))
	q.Set("X-Amz-Expires", strconv.Itoa(int(life.Seconds())))
	q.Set("X-Amz-SignedHeaders", strings.Join(names, ";"))
	if k.Token != "" {
		q.Set("X-Amz-Security-Token", k.Token)
	}
	canonical := canonicalQuery(q)
	r.URL.RawQuery = canonical + "&X-Amz-Signature=" + k.signature(r, names, canonical, "", at)
}

func (k Key) scope(at time.Time) string {
	return strings.Join([]string{at.Format("20060102"), k.Region, k.Service, "aws4_request"}, "/")
}

func (k Key) signature(r *http.Request, names []string, query, body string, at time.Time) string {
	var headers strings.Builder
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = host(r)
		}
		headers.WriteString(name + ":" + value + "\n")
	}
	request := strings.Join([]string{r.Method, "/", query, headers.String(), strings.Join(names, ";"), hash(body)}, "\n")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", at.Format(timeLayout), k.scope(at), hash(request)}, "\n")
	key := "AWS4" + k.Secret
	for part := range strings.SplitSeq(k.scope(at), "/") {
		key = sum(key, part)
	}
	return hex.EncodeToString([]byte(sum(key, toSign)))
}

// host is what will be, or was, the Host header of r.
func host(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

func signedNames(r *http.Request) []string {
	names := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, value := range values {
			// A zero byte keeps "a" before "a-b" while they are sorted.
			pairs = append(pairs, escape(name)+"\x00"+escape(value))
		}
	}
	slices.Sort(pairs)
	return strings.ReplaceAll(strings.Join(pairs, "&"), "\x00", "=")
}

func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func sum(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return string(h.Sum(nil))
}
