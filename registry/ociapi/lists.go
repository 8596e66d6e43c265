package ociapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
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
func readAsked(q url.Values) (a asked, err error) {
	if a.last, _, err = only(q, "last"); err != nil {
		return a, err
	}
	a.n = -1
	n, given, err := only(q, "n")
	if err != nil || !given {
		return a, err
	}
	if !isNumber(n) || number(n) > math.MaxInt32 {
		return a, refuse(http.StatusBadRequest, errcode.ErrorCodePaginationNumberInvalid, "n is a number from 0 to %d", math.MaxInt32)
	}
	a.n = int(number(n))
	return a, nil
}

// list is a list as JSON: an object whose last member, an array of strings,
// is written as it is read.
type list struct {
	head string // the object as far as the array, such as `{"tags":`
	path string // of the list, for the Link to its next page
	// page reads the entries after one, at most limit, and says whether there
	// are others.
	page func(after string, limit int) (entries []string, more bool, err error)
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request, to target) error {
	name, err := json.Marshal(to.prefix + to.name.String())
	if err != nil {
		return err
	}
	return s.writeList(w, r, to, list{
		head: fmt.Sprintf(`{"name":%s,"tags":`, name),
		path: to.url("/tags/list"),
		page: func(after string, limit int) (entries []string, more bool, err error) {
			page, more, err := s.registry.Tags(r.Context(), to.name, after, limit)
			for _, tag := range page {
				entries = append(entries, tag.String())
			}
			return entries, more, err
		},
	})
}

// listRepositories lists names as the client could use them: with the registry
// before them where the path has it.
func (s *Server) listRepositories(w http.ResponseWriter, r *http.Request, to target) error {
	return s.writeList(w, r, to, list{
		head: `{"repositories":`,
		path: to.site.URL("/v2/" + to.prefix + catalogPath),
		page: func(after string, limit int) (entries []string, more bool, err error) {
			after = strings.TrimPrefix(after, to.prefix)
			page, more, err := s.registry.Repositories(r.Context(), to.id, after, limit)
			for _, repo := range page {
				entries = append(entries, to.prefix+repo.Name.String())
			}
			return entries, more, err
		},
	})
}

// writeList answers with the part of a list that the query asks for. The first
// page is read before anything is sent, so that a refusal can still be told.
func (s *Server) writeList(w http.ResponseWriter, r *http.Request, to target, l list) error {
	ask, err := readAsked(to.query)
	if err != nil {
		return err
	}
	entries, more, err := l.page(ask.last, ask.limit())
	if err != nil {
		return err
	}
	if more && ask.n > 0 {
		setNext(w, l.path, url.Values{"n": {strconv.Itoa(ask.n)}, "last": {entries[len(entries)-1]}})
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := l.write(w, entries, more && ask.n < 0); err != nil {
		s.breakOff(r, fmt.Errorf("list %s: %w", l.path, err))
	}
	return nil
}

// write writes the list: the entries of the first page and, if onward is set,
// those of all others.
func (l list) write(w http.ResponseWriter, entries []string, onward bool) error {
	out := bufio.NewWriter(w)
	out.WriteString(l.head + "[")
	separator := ""
	for {
		for _, e := range entries {
			out.WriteString(separator + strconv.Quote(e)) // names and tags are ASCII without quotes
			separator = ","
		}
		if !onward {
			out.WriteString("]}\n")
			return out.Flush()
		}
		var err error
		if entries, onward, err = l.page(entries[len(entries)-1], listStep); err != nil {
			return err
		}
	}
}

// setNext links to the next page of a list (RFC 8288).
func setNext(w http.ResponseWriter, path string, q url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, q.Encode()))
}
