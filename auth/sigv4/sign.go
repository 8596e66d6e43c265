package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Key is an access key, and what it signs for.
type Key struct {
	ID, Secret      string
	Token           string // session token of a temporary key, "" for none
	Region, Service string
}

// Sign signs a request with this body by its Authorization header, at a time: its
// host, its content type and the headers that begin with X-Amz-. What is changed
// thereafter breaks the signature. The error is an *Error, of a request that no
// server could verify.
func (k Key) Sign(r *http.Request, body []byte, at time.Time) error {
	at = at.UTC()
	r.Header.Set("X-Amz-Date", at.Format(timeLayout))
	if k.Token != "" {
		r.Header.Set("X-Amz-Security-Token", k.Token)
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	names := toSign(r)
	canonical, err := canonicalRequest(r, q, names)
	if err != nil {
		return err
	}
	s := Signature{
		Date: at.Format(dateLayout), Region: k.Region, Service: k.Service, Time: at,
		terminator: terminator, canonical: canonical,
	}
	sum := s.compute(k.Secret, hex.EncodeToString(hashOf(body)))
	r.Header.Set("Authorization", algorithm+" Credential="+k.ID+"/"+s.scope()+
		", SignedHeaders="+strings.Join(names, ";")+", Signature="+hex.EncodeToString(sum))
	return nil
}

func hashOf(body []byte) []byte {
	sum := sha256.Sum256(body)
	return sum[:]
}

// toSign are the names of the headers that Sign signs, in order.
func toSign(r *http.Request) []string {
	names := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); name == "content-type" || strings.HasPrefix(name, "x-amz-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
