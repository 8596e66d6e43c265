package ociapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-78150930/berth/registry"
)

// list is a list as JSON: an object whose last member, an array of strings,
// is written as it is read.
type list struct {
	head string // the object as far as the array, such as `{"tags":`
	text bool   // it is sent as text/plain
	path string // of the list, for the Link to its next page
	// page reads the entries after a place, at most limit, and says where the
	// next page goes on, "" if there is none. It may be short, or empty.
	page func(after string, limit int) (entries []string, next string, err error)
}

func (s *Server) listTags(w http.ResponseWriter, r *http.Request, to target) error {
	name, err := json.Marshal(to.prefix + to.name.String())
	if err != nil {
		return err
	}
	return s.writeList(w, r, to, list{
		head: fmt.Sprintf(`{"name":%s,"tags":`, name),
		text: s.does(tagsAsText),
		path: to.url("/tags/list"),
		page: func(after string, limit int) (entries []string, next string, err error) {
			page, next, err := s.registry.Tags(r.Context(), to.name, after, limit)
			for _, tag := range page {
				entries = append(entries, tag.String())
			}
			return entries, next, err
		},
	})
}

// listRepositories lists what the caller may see by the names that the client could
// use: with the registry before them where the path has it.
func (s *Server) listRepositories(w http.ResponseWriter, r *http.Request, to target) error {
	sight, err := registry.SightFor(r.Context(), s.authorizer, to.check(describeRepositories))
	if err != nil {
		return err
	}
	return s.writeList(w, r, to, list{
		head: `{"repositories":`,
		path: to.address("/v2/" + to.prefix + catalogPath),
		page: func(after string, limit int) (entries []string, next string, err error) {
			after = strings.TrimPrefix(after, to.prefix)
			page, more, err := s.registry.Repositories(r.Context(), to.id, after, limit, sight)
			for _, repo := range page {
				entries = append(entries, to.prefix+repo.Name.String())
			}
			if more && len(entries) > 0 {
				next = entries[len(entries)-1]
			}
			return entries, next, err
		},
	})
}

// writeList answers with the part of a list that the query asks for. The first
// page is read before anything is sent, so that a refusal can still be told.
func (s *Server) writeList(w http.ResponseWriter, r *http.Request, to target, l list) error {
	ask, err := s.readAsked(to.query)
	if err != nil {
		return err
	}
	entries, next, err := l.page(ask.last, ask.limit())
	if err != nil {
		return err
	}
	if next != "" && ask.n > 0 {
		setNext(w, l.path, url.Values{"n": {strconv.Itoa(ask.n)}, "last": {s.place(next)}})
	}
	if ask.n >= 0 { // no more than that
		next = ""
	}
	w.Header().Set("Content-Type", l.contentType())
	if next == "" { // else nobody knows
		w.Header().Set("Content-Length", strconv.Itoa(l.length(entries)))
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := l.write(w, entries, next); err != nil {
		s.breakOff(r, fmt.Errorf("list %s: %w", l.path, err))
	}
	return nil
}

// length is how many bytes write writes of entries that are all.
func (l list) length(entries []string) int {
	n := len(l.head) + len("[") + len(listEnd) + max(len(entries)-1, 0)*len(",")
	for _, e := range entries {
		n += len(e) + len(`""`)
	}
	return n
}

// listEnd ends the array and the object.
const listEnd = "]}\n"

func (l list) contentType() string {
	if l.text {
		return "text/plain; charset=utf-8"
	}
	return "application/json"
}

// write writes the list: the entries of the first page and, if there is a next one,
// those of all others.
func (l list) write(w http.ResponseWriter, entries []string, next string) error {
	out := bufio.NewWriter(w)
	out.WriteString(l.head + "[")
	separator := ""
	for {
		for _, e := range entries {
			out.WriteString(separator + strconv.Quote(e)) // names and tags are ASCII without quotes
			separator = ","
		}
		if next == "" {
			out.WriteString(listEnd)
			return out.Flush()
		}
		var err error
		if entries, next, err = l.page(next, listStep); err != nil {
			return err
		}
	}
}

// setNext links to the next page of a list (RFC 8288).
func setNext(w http.ResponseWriter, path string, q url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, q.Encode()))
}
