// Package least is a yardstick: the least that a server in Go must do for the
// requests that package bench makes, and keep what it is given. It hashes a blob
// while it streams into a file, and syncs the file and the folder that names it
// before it says that it has it. Manifests, tags, repositories and what is mounted
// are in memory and in one log, which is synced before an answer and shared by all
// that wait at the time. Whoever asks must log in, as at a registry.
//
// It is no registry: it checks nothing but digests and signatures, reads back
// nothing of what it kept, and never gives room back.
package least

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-78150930/berth/auth/accounts"
)

// Key is the one that calls of the API are signed with.
type Key struct {
	ID     string
	Secret accounts.Secret
}

// Server answers requests. It is an http.Handler, for many goroutines.
type Server struct {
	dir    string
	key    Key
	basic  string // Authorization that opens the registry
	folder *os.File
	log    *os.File
	names  group // syncs folder
	facts  group // syncs log

	uploads sync.Map // of id to *upload
	count   atomic.Uint64

	mu     sync.RWMutex
	repos  map[string]*repository
	sorted []string // their names
}

type repository struct {
	manifests map[string]manifest // by digest
	tags      map[string]string   // to digests
	sorted    []string            // tags
}

type manifest struct {
	kind string
	body []byte
}

// New returns a server that keeps its blobs and its log in a folder, which must
// be empty or absent.
func New(dir string, key Key) (*Server, error) {
	s := &Server{dir: dir, key: key, repos: map[string]*repository{}}
	s.basic = "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+rand.Text()))
	for _, sub := range []string{"blobs", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	if s.folder, err = os.Open(filepath.Join(dir, "blobs")); err != nil {
		return nil, err
	}
	s.log, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, errors.Join(err, s.folder.Close())
	}
	s.names.commit = func([]byte) error { return s.folder.Sync() }
	s.facts.commit = func(records []byte) error {
		if _, err := s.log.Write(records); err != nil {
			return err
		}
		return s.log.Sync()
	}
	return s, nil
}

// Close closes the files. No request may be under way.
func (s *Server) Close() error { return errors.Join(s.log.Close(), s.folder.Close()) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if op := r.Header.Get("X-Amz-Target"); op != "" {
		s.api(w, r, op[strings.LastIndexByte(op, '.')+1:])
		return
	}
	if !hmac.Equal([]byte(r.Header.Get("Authorization")), []byte(s.basic)) {
		w.Header().Set("Www-Authenticate", `Basic realm="least"`)
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	s.registry(w, r)
}

// upload is a blob on its way.
type upload struct {
	mu   sync.Mutex
	file *os.File
	hash hash.Hash
	size int64
}

// made is a repository, a new one if need be. The caller holds the lock for
// writing.
func (s *Server) made(name string) *repository {
	r, ok := s.repos[name]
	if !ok {
		r = &repository{manifests: map[string]manifest{}, tags: map[string]string{}}
		s.repos[name] = r
		s.sorted = insert(s.sorted, name)
	}
	return r
}

// keep writes a fact to the log, and then has it be so.
func (s *Server) keep(repo, tag string, m manifest) (digest string, err error) {
	if err := s.facts.do(record(repo, tag, m.kind, m.body)); err != nil {
		return "", err
	}
	if m.kind != "" {
		digest = digestOf(sha256.Sum256(m.body))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.made(repo)
	if m.kind == "" { // a repository, or what was mounted
		return "", nil
	}
	r.manifests[digest] = m
	if tag != "" {
		if _, ok := r.tags[tag]; !ok {
			r.sorted = insert(r.sorted, tag)
		}
		r.tags[tag] = digest
	}
	return digest, nil
}

// insert adds a name to a list in order.
func insert(list []string, name string) []string {
	i, ok := slices.BinarySearch(list, name)
	if ok {
		return list
	}
	return slices.Insert(list, i, name)
}
