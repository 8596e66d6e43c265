package bucket_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/bucket"
)

// service is as much of S3 as a target asks for: objects in memory, conditional writes,
// uploads in parts. It refuses a body that is not as signed.
type service struct {
	t  testing.TB
	mu sync.Mutex

	objects map[string][]byte // by the path with the bucket
	written map[string]time.Time
	parts   map[string]map[int][]byte // by the id of the upload
	keys    map[string]string         // of uploads
	broken  int                       // how many reads break off in the middle
}

// serve starts a service, and opens a target in it.
func serve(t testing.TB, lasts time.Duration) (*service, func() *bucket.Target) {
	t.Helper()
	s := &service{
		t: t, objects: map[string][]byte{}, written: map[string]time.Time{}, parts: map[string]map[int][]byte{}, keys: map[string]string{},
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "absent", "AWS_SHARED_CREDENTIALS_FILE": "absent",
	} {
		t.(*testing.T).Setenv(name, value)
	}
	return s, func() *bucket.Target {
		target, err := bucket.OpenWith(t.Context(), bucket.Options{URL: "s3://backups/some/prefix/", Endpoint: h.URL}, 8, lasts)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
}

func etag(body []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(body)) }

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	sum := sha256.Sum256(body)
	if err != nil || r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		http.Error(w, "not as signed", http.StatusForbidden)
		return
	}
	q, key := r.URL.Query(), r.URL.Path
	switch {
	case r.Method == http.MethodGet && q.Has("list-type"):
		s.list(w, key, q.Get("prefix"), q.Get("continuation-token"))
	case r.Method == http.MethodGet && q.Has("uploads"):
		s.uploads(w, key)
	case r.Method == http.MethodPost && q.Has("uploads"):
		id := fmt.Sprint("upload-", len(s.keys))
		s.keys[id], s.parts[id] = key, map[int][]byte{}
		answer(w, "InitiateMultipartUploadResult", "<UploadId>"+id+"</UploadId>")
	case r.Method == http.MethodPut && q.Has("partNumber"):
		n, _ := strconv.Atoi(q.Get("partNumber"))
		s.parts[q.Get("uploadId")][n] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodPost:
		s.complete(w, q.Get("uploadId"), body)
	case r.Method == http.MethodDelete && q.Has("uploadId"):
		delete(s.parts, q.Get("uploadId"))
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete:
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		s.put(w, r, key, body)
	default:
		s.get(w, r, key)
	}
}

func answer(w http.ResponseWriter, root, inner string) {
	fmt.Fprintf(w, "%s<%s>%s</%s>", xml.Header, root, inner, root)
}

// put writes an object on its conditions.
func (s *service) put(w http.ResponseWriter, r *http.Request, key string, body []byte) {
	old, there := s.objects[key]
	if r.Header.Get("If-None-Match") == "*" && there || r.Header.Get("If-Match") != "" && (!there || r.Header.Get("If-Match") != etag(old)) {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	s.objects[key], s.written[key] = body, time.Now()
	w.Header().Set("ETag", etag(body))
}

func (s *service) get(w http.ResponseWriter, r *http.Request, key string) {
	body, ok := s.objects[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", etag(body))
	w.Header().Set("Last-Modified", s.written[key].UTC().Format(http.TimeFormat))
	from := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return
	}
	if s.broken > 0 && len(body)-from > 1 {
		s.broken--
		_, _ = w.Write(body[from : from+(len(body)-from)/2])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body[from:])
}

// list shows two objects at a time.
func (s *service) list(w http.ResponseWriter, bucket, prefix, after string) {
	root := strings.TrimSuffix(bucket, "/") + "/"
	var inner strings.Builder
	n, more := 0, false
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		name := strings.TrimPrefix(key, root)
		if !strings.HasPrefix(name, prefix) || name <= after {
			continue
		}
		if more = n == 2; more {
			break
		}
		n++
		fmt.Fprintf(&inner, "<Contents><Key>%s</Key><Size>%d</Size></Contents><NextContinuationToken>%s</NextContinuationToken>", name, len(s.objects[key]), name)
	}
	answer(w, "ListBucketResult", fmt.Sprintf("%s<IsTruncated>%v</IsTruncated>", inner.String(), more))
}

func (s *service) uploads(w http.ResponseWriter, bucket string) {
	inner := ""
	for id := range s.parts {
		inner += fmt.Sprintf("<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", strings.TrimPrefix(s.keys[id], strings.TrimSuffix(bucket, "/")+"/"), id)
	}
	answer(w, "ListMultipartUploadsResult", inner)
}

func (s *service) complete(w http.ResponseWriter, id string, body []byte) {
	var asked struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &asked); err != nil {
		s.t.Errorf("completed by %s: %v", body, err)
	}
	var whole []byte
	for _, p := range asked.Part {
		part := s.parts[id][p.PartNumber]
		if etag(part) != p.ETag {
			s.t.Errorf("part %d has the tag %s", p.PartNumber, p.ETag)
		}
		whole = append(whole, part...)
	}
	s.objects[s.keys[id]] = whole
	delete(s.parts, id)
	answer(w, "CompleteMultipartUploadResult", "<ETag>"+etag(whole)+"</ETag>")
}
