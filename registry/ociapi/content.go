package ociapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/distribution/distribution/v3/registry/api/errcode"

	"github.com/seed-78150930/berth/registry/digest"
)

// content is what a GET or HEAD is answered with: a layer or a manifest.
type content struct {
	digest    digest.Digest
	size      int64
	mediaType string
	cache     string // Cache-Control
}

// What lies under a digest never changes, but is for the caller's eyes alone.
const cacheForever = "private, max-age=31536000, immutable"

// begin answers but for the body, which is the part that it returns. done says
// that there is none: the conditions or the range of the request say so, and
// the request is answered, or refused with err.
func (c content) begin(w http.ResponseWriter, r *http.Request) (part span, done bool, err error) {
	if done, err := c.checkConditions(w, r); done {
		return part, true, err
	}
	part, partial, ok := c.rangeOf(r)
	if !ok {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", c.size))
		return part, true, refuse(http.StatusRequestedRangeNotSatisfiable, errcode.ErrorCodeRangeInvalid, "there is no such range of bytes")
	}
	h := w.Header()
	c.setIdentity(h)
	setAll(h, header{"Content-Type", c.mediaType}, header{"Content-Length", strconv.FormatInt(part.n, 10)})
	h["Accept-Ranges"] = byteRanges
	if !partial {
		w.WriteHeader(http.StatusOK)
		return part, false, nil
	}
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.n-1, c.size))
	w.WriteHeader(http.StatusPartialContent)
	return part, false, nil
}

// rangeOf is what a request wants of the content, as readRange has it. A Range
// is for GET alone (RFC 9110, section 14.2), and off if its If-Range is not met.
func (c content) rangeOf(r *http.Request) (part span, partial, ok bool) {
	headers := r.Header.Values("Range")
	if v := r.Header.Get("If-Range"); r.Method != http.MethodGet || v != "" && v != etag(c.digest) {
		headers = nil
	}
	return readRange(headers, c.size)
}
