package ociapi

import (
	"net/http"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry/digest"
)

// etag is the entity tag of content: its digest in quotes.
func etag(d digest.Digest) string { return `"` + d.String() + `"` }

// setIdentity says which content an answer is about, and who may keep it.
func (c content) setIdentity(h http.Header) {
	setAll(h,
		header{"Docker-Content-Digest", c.digest.String()},
		header{"Etag", etag(c.digest)},
		header{"Cache-Control", c.cache},
	)
	// The media type of a manifest is its pusher's choice: a browser must not
	// run what it is led to.
	h["X-Content-Type-Options"], h["Content-Security-Policy"] = noSniffing, noRunning
}

// Values that all answers with content share. Nobody changes them in place.
var noSniffing, noRunning, byteRanges = []string{"nosniff"}, []string{"sandbox"}, []string{"bytes"}

// header is one header of an answer, by its name in canonical form.
type header struct{ name, value string }

// setAll sets headers in one piece of memory.
func setAll(h http.Header, all ...header) {
	values := make([]string, len(all))
	for i, one := range all {
		values[i] = one.value
		h[one.name] = values[i : i+1 : i+1]
	}
}

// checkConditions looks at If-Match and If-None-Match (RFC 9110, section 13).
// done says that the request is answered, or refused with err.
func (c content) checkConditions(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	if list := r.Header.Values("If-Match"); len(list) > 0 && !names(list, c.digest, false) {
		return true, refuse(http.StatusPreconditionFailed, errcode.ErrorCodeUnsupported, "the content is not the one that If-Match names")
	}
	if list := r.Header.Values("If-None-Match"); len(list) > 0 && names(list, c.digest, true) {
		c.setIdentity(w.Header()) // RFC 9110, section 15.4.5: as 200 has it
		w.WriteHeader(http.StatusNotModified)
		return true, nil
	}
	return false, nil
}

// names says whether a list of entity tags has that of d. Ours hold no comma,
// so it does no harm to cut a stranger's at one.
func names(headers []string, d digest.Digest, weak bool) bool {
	for _, h := range headers {
		for tag := range strings.SplitSeq(h, ",") {
			tag = strings.TrimSpace(tag)
			if weak {
				tag = strings.TrimPrefix(tag, "W/")
			}
			if tag == "*" || tag == etag(d) {
				return true
			}
		}
	}
	return false
}
