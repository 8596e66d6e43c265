package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/registry/digest"
)

// ask sends a request with the password that a server for development takes, and returns
// the answer, which must have the status.
func (s *server) ask(method, to string, status int, body io.Reader, length int64) (header http.Header, answer []byte, err error) {
	if strings.HasPrefix(to, "/") {
		to = s.url + to
	}
	req, err := http.NewRequest(method, to, body)
	if err != nil {
		return nil, nil, err
	}
	req.ContentLength = length
	req.SetBasicAuth("test", "test")
	if method == http.MethodPut && strings.Contains(to, "/manifests/") {
		req.Header.Set("Content-Type", v1.MediaTypeImageManifest)
	}
	return s.do(req, status)
}

func (s *server) do(req *http.Request, status int) (http.Header, []byte, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s %s: %d %.300s", req.Method, req.URL.Path, resp.StatusCode, answer)
	}
	return resp.Header, answer, err
}

func (s *server) get(path string) (status int, err error) {
	req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, err
	}
	req.SetBasicAuth("test", "test")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

// call calls an operation of the JSON API and fills out, if it is not nil.
func (s *server) call(op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, s.url+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	sigv4test.Key{ID: "test", Secret: "test", Region: region, Service: "ecr"}.Sign(req, string(body), time.Now())
	_, answer, err := s.do(req, http.StatusOK)
	if err == nil && out != nil {
		err = json.Unmarshal(answer, out)
	}
	return err
}

// content is a layer of some MiB that is made as it is read: its name, and then the same
// random bytes again and again.
type content struct {
	name string
	mib  int
}

var filling = sync.OnceValue(func() []byte {
	b := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
})

func (c content) size() int64 { return int64(c.mib)<<20 + int64(len(c.name)) }

func (c content) reader() io.Reader {
	all := []io.Reader{strings.NewReader(c.name)}
	for range c.mib {
		all = append(all, bytes.NewReader(filling()))
	}
	return io.MultiReader(all...)
}

func (c content) digest() string {
	h := sha256.New()
	_, _ = io.Copy(h, c.reader()) // neither fails
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// push uploads a layer as docker does: begin, send, finish.
func (s *server) push(repo string, c content) error {
	return s.pushAs(repo, c, c.digest())
}

func (s *server) pushAs(repo string, c content, id string) error {
	begun, _, err := s.ask(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", http.StatusAccepted, nil, 0)
	if err != nil {
		return err
	}
	sent, _, err := s.ask(http.MethodPatch, begun.Get("Location"), http.StatusAccepted, c.reader(), c.size())
	if err != nil {
		return err
	}
	at := sent.Get("Location")
	if strings.Contains(at, "?") {
		at += "&"
	} else {
		at += "?"
	}
	_, _, err = s.ask(http.MethodPut, at+"digest="+id, http.StatusCreated, nil, 0)
	return err
}

// pushImage pushes an image of a config and five layers of 64 KiB, another for each
// number.
func (s *server) pushImage(repo, tag string, n int) error {
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	add := func(mediaType, name string) (v1.Descriptor, error) {
		c := content{name: name + strings.Repeat("-", 1<<16)}
		d, err := digest.Parse(c.digest())
		if err != nil {
			return v1.Descriptor{}, err
		}
		return v1.Descriptor{MediaType: mediaType, Digest: d.OCI(), Size: c.size()}, s.push(repo, c)
	}
	var err error
	if m.Config, err = add(v1.MediaTypeImageConfig, fmt.Sprintf("{%d}", n)); err != nil {
		return err
	}
	for i := range 5 {
		layer, err := add(v1.MediaTypeImageLayer, fmt.Sprintf("layer %d of %d", i, n))
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, layer)
	}
	return s.pushManifest(repo, tag, m)
}

func (s *server) pushManifest(repo, tag string, m v1.Manifest) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, _, err = s.ask(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, http.StatusCreated, bytes.NewReader(body), int64(len(body)))
	return err
}

// many does something n times, with as many at once.
func many(n, atOnce int, do func(i int) error) error {
	errs := make(chan error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for i := range next {
				errs <- do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}
