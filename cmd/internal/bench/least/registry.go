package least

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

func digestOf(sum [sha256.Size]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }

// registry answers the protocol of OCI.
func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if rest == "" {
		answer(w, http.StatusOK, struct{}{})
		return
	}
	if rest == "_catalog" {
		s.mu.RLock()
		page, last := pageOf(s.sorted, r.URL.Query())
		s.mu.RUnlock()
		list(w, r, last, map[string]any{"repositories": page})
		return
	}
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		s.tags(w, r, name)
		return
	}
	for _, route := range []struct {
		part   string
		handle func(w http.ResponseWriter, r *http.Request, repo, ref string)
	}{{"/blobs/uploads/", s.upload}, {"/blobs/", s.blob}, {"/manifests/", s.manifest}} {
		if i := strings.LastIndex(rest, route.part); i > 0 {
			route.handle(w, r, rest[:i], rest[i+len(route.part):])
			return
		}
	}
	http.NotFound(w, r)
}

// pageOf is a page of a list in order; last is "" unless more follows.
func pageOf(all []string, q url.Values) (page []string, last string) {
	from := 0
	if after := q.Get("last"); after != "" {
		from, _ = slices.BinarySearch(all, after+"\x00")
	}
	page = all[from:]
	if n, err := strconv.Atoi(q.Get("n")); err == nil && n > 0 && n < len(page) {
		page = page[:n]
		last = page[n-1]
	}
	return slices.Clone(page), last
}

func list(w http.ResponseWriter, r *http.Request, last string, body any) {
	if last != "" {
		q := r.URL.Query()
		q.Set("last", last)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	answer(w, http.StatusOK, body)
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		fail(w, err)
		return
	}
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // who has gone reads nothing
}

func fail(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

func (s *Server) tags(w http.ResponseWriter, r *http.Request, name string) {
	s.mu.RLock()
	repo := s.repos[name]
	if repo == nil {
		s.mu.RUnlock()
		http.NotFound(w, r)
		return
	}
	page, last := pageOf(repo.sorted, r.URL.Query())
	s.mu.RUnlock()
	list(w, r, last, map[string]any{"name": name, "tags": page})
}

func (s *Server) manifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	if r.Method == http.MethodPut {
		s.putManifest(w, r, name, ref)
		return
	}
	s.mu.RLock()
	var m manifest
	repo, ok := s.repos[name]
	if ok {
		if digest, tagged := repo.tags[ref]; tagged {
			ref = digest
		}
		m, ok = repo.manifests[ref]
	}
	s.mu.RUnlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", m.kind)
	h.Set("Content-Length", strconv.Itoa(len(m.body)))
	h.Set("Docker-Content-Digest", ref)
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.body)
	}
}

func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, name, ref string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	tag := ref
	if strings.Contains(ref, ":") {
		tag = ""
	}
	digest, err := s.keep(name, tag, manifest{r.Header.Get("Content-Type"), body})
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Docker-Content-Digest", digest)
	w.Header().Set("Location", "/v2/"+name+"/manifests/"+digest)
	w.WriteHeader(http.StatusCreated)
}

func (s *Server) path(digest string) string {
	return filepath.Join(s.dir, "blobs", filepath.Base(strings.TrimPrefix(digest, "sha256:")))
}

func (s *Server) blob(w http.ResponseWriter, r *http.Request, _, digest string) {
	file, err := os.Open(s.path(digest))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", digest)
	http.ServeContent(w, r, "", time.Time{}, file) // which has the kernel send the file
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request, name, id string) {
	switch r.Method {
	case http.MethodPost:
		s.begin(w, r, name)
	case http.MethodPatch, http.MethodPut:
		s.receive(w, r, name, id)
	default:
		http.Error(w, "no", http.StatusMethodNotAllowed)
	}
}

// begin mounts what there is, or begins an upload.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, name string) {
	if digest := r.URL.Query().Get("mount"); digest != "" {
		if _, err := os.Stat(s.path(digest)); err == nil {
			if _, err := s.keep(name, digest, manifest{}); err != nil {
				fail(w, err)
				return
			}
			w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
			w.WriteHeader(http.StatusCreated)
			return
		}
	}
	id, err := s.newUpload()
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.WriteHeader(http.StatusAccepted)
}

func (s *Server) newUpload() (id string, err error) {
	id = strconv.FormatUint(s.count.Add(1), 10)
	file, err := os.OpenFile(filepath.Join(s.dir, "tmp", id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		s.uploads.Store(id, &upload{file: file, hash: sha256.New()})
	}
	return id, err
}

var errNoUpload = errors.New("there is no such upload")

func (s *Server) receive(w http.ResponseWriter, r *http.Request, name, id string) {
	digest := ""
	if r.Method == http.MethodPut {
		digest = r.URL.Query().Get("digest")
	}
	size, err := s.extend(id, r.Body, digest)
	switch {
	case errors.Is(err, errNoUpload):
		http.NotFound(w, r)
	case err != nil:
		fail(w, err)
	case digest != "":
		w.Header().Set("Location", "/v2/"+name+"/blobs/"+digest)
		w.Header().Set("Docker-Content-Digest", digest)
		w.WriteHeader(http.StatusCreated)
	default:
		w.Header().Set("Location", r.URL.Path)
		w.Header().Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
		w.WriteHeader(http.StatusAccepted)
	}
}

// extend appends to an upload and finishes it if a digest is given.
func (s *Server) extend(id string, content io.Reader, digest string) (size int64, err error) {
	found, ok := s.uploads.Load(id)
	if !ok {
		return 0, errNoUpload
	}
	u := found.(*upload)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.append(content); err != nil || digest == "" {
		return u.size, err
	}
	return u.size, s.finish(u, id, digest)
}

const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// append writes content to the file and hashes it.
func (u *upload) append(content io.Reader) error {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	for {
		n, err := io.ReadFull(content, *b)
		if n > 0 {
			if _, err := u.file.Write((*b)[:n]); err != nil {
				return err
			}
			u.hash.Write((*b)[:n])
			u.size += int64(n)
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// finish gives an upload the name of its digest, durably.
func (s *Server) finish(u *upload, id, digest string) error {
	s.uploads.Delete(id)
	if got := digestOf([sha256.Size]byte(u.hash.Sum(nil))); got != digest {
		return errors.Join(errors.New("the content is "+got), u.file.Close(), os.Remove(u.file.Name()))
	}
	err := u.file.Sync()
	if err := errors.Join(err, u.file.Close()); err != nil {
		return err
	}
	if err := os.Rename(u.file.Name(), s.path(digest)); err != nil {
		return err
	}
	return s.names.do(nil)
}
