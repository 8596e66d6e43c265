package ociapi

import (
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
			entries = make([]string, len(page))
			for i, tag := range page {
				entries[i] = tag.String()
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
			page, more, err := s.registry.RepositoryNames(r.Context(), to.id, after, limit, sight)
			entries = make([]string, len(page))
			for i, name := range page {
				entries[i] = to.prefix + name.String()
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
	out := make([]byte, 0, l.length(entries))
	out = append(append(out, l.head...), '[')
	for first := true; ; {
		for _, e := range entries {
			if !first {
				out = append(out, ',')
			}
			first = false
			out = append(append(append(out, '"'), e...), '"') // names and tags are ASCII without quotes
		}
		if next == "" {
			_, err := w.Write(append(out, listEnd...))
			return err
		}
		_, err := w.Write(out)
		if err == nil {
			entries, next, err = l.page(next, listStep)
		}
		if err != nil {
			return err
		}
		out = out[:0]
	}
}

// setNext links to the next page of a list (RFC 8288).
func setNext(w http.ResponseWriter, path string, q url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, q.Encode()))
}
