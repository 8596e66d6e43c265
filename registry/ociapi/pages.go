package ociapi

import (
	"encoding/base64"
	"math"
	"net/http"
	"net/url"
	"strings"

	"github.com/distribution/distribution/v3/registry/api/errcode"
)

const (
	// maxPage is the largest page of a list whose n is larger; a Link leads on.
	maxPage = 10_000
	// listStep is how much of a list without n is read at a time.
	listStep = 1_000
)

// asked is the part of a list that a request asks for.
type asked struct {
	n    int // entries; -1 for all
	last string
}

// limit is how many entries to read at once.
func (a asked) limit() int {
	if a.n < 0 {
		return listStep
	}
	return min(a.n, maxPage)
}

// readAsked reads n and last.
func (s *Server) readAsked(q url.Values) (a asked, err error) {
	if a.last, err = s.readPlace(q); err != nil {
		return a, err
	}
	n, given, err := only(q, "n")
	switch {
	case err != nil:
		return a, err
	case s.does(boundedPages):
		a.n, err = boundedPage(n, given)
		return a, err
	case !given:
		a.n = -1
		return a, nil
	}
	if !isNumber(n) || number(n) > math.MaxInt32 {
		return a, refuse(http.StatusBadRequest, errcode.ErrorCodePaginationNumberInvalid, "n is a number from 0 to %d", math.MaxInt32)
	}
	a.n = int(number(n))
	return a, nil
}

// The pages of ECR's lists (ECR reference, registry-http.md section 6).
const defaultBounded, maxBounded = 100, 1000

func boundedPage(n string, given bool) (int, error) {
	switch {
	case !given:
		return defaultBounded, nil
	case !isNumber(n) || number(n) < 1:
		return 0, badPage("Member must have value greater than or equal to 1")
	case number(n) > maxBounded:
		return 0, badPage("Member must have value less than or equal to 1000")
	}
	return int(number(n)), nil
}

func badPage(why string) error {
	return refuse(http.StatusBadRequest, errcode.ErrorCodePaginationNumberInvalid, "%s", why).of("maxResults")
}

// placeMark begins what an opaque place stands for.
const placeMark = "\x01"

// place is the value of last that goes on behind an entry.
func (s *Server) place(entry string) string {
	if s.does(opaquePlaces) {
		return base64.RawURLEncoding.EncodeToString([]byte(placeMark + entry))
	}
	return entry
}

// readPlace reads the entry that a list goes on behind, "" for its beginning.
func (s *Server) readPlace(q url.Values) (string, error) {
	last, given, err := only(q, "last")
	if err != nil || !given || !s.does(opaquePlaces) {
		return last, err
	}
	text, err := base64.RawURLEncoding.DecodeString(last)
	entry, ok := strings.CutPrefix(string(text), placeMark)
	if err != nil || !ok || s.place(entry) != last {
		return "", refuse(http.StatusBadRequest, errcode.ErrorCodePaginationNumberInvalid, "Invalid next token provided").of("NextToken")
	}
	return entry, nil
}
