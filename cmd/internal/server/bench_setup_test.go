package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

// doorway is a house with a client of the root of its account at each door.
type doorway struct {
	testing.TB
	house    *house
	key      sigv4test.Key
	password string // a registry password of key
	client   *http.Client
}

// openDoorway starts a server, in memory unless the settings say otherwise,
// and logs in to it.
func openDoorway(t testing.TB, settings map[string]string) *doorway {
	t.Helper()
	return openWatched(t, settings, server.Watch{})
}

// openWatched is openDoorway where something is counted.
func openWatched(t testing.TB, settings map[string]string, w server.Watch) *doorway {
	t.Helper()
	flags := map[string]string{"data": config.Memory}
	maps.Copy(flags, settings)
	d := &doorway{TB: t, house: watchedHouse(t, flags, w)}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	d.client = &http.Client{Transport: transport}
	key, err := admin.CreateKey.Ask(t.Context(), d.house, admin.OfUser{})
	d.must(err)
	d.key = sigv4test.Key{ID: key.ID, Secret: key.Secret.Reveal(), Region: "us-east-1", Service: "ecr"}
	d.password = d.logIn()
	return d
}

func (d *doorway) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// exchange sends a request and reads the answer whole.
func (d *doorway) exchange(r *http.Request) (response, error) {
	resp, err := d.client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(body)}, err
}

func (d *doorway) do(r *http.Request) response {
	d.Helper()
	a, err := d.exchange(r)
	d.must(err)
	return a
}

// request is a bare one to a path of the server, or to a whole URL.
func (d *doorway) request(method, to string, body []byte) *http.Request {
	d.Helper()
	if strings.HasPrefix(to, "/") {
		to = d.house.url + to
	}
	r, err := http.NewRequestWithContext(d.Context(), method, to, bytes.NewReader(body))
	d.must(err)
	return r
}

// v2 is a request to the OCI door, logged in.
func (d *doorway) v2(method, to string, body []byte) *http.Request {
	d.Helper()
	r := d.request(method, to, body)
	r.SetBasicAuth("AWS", d.password)
	return r
}

// operation is a request to the ECR door, signed.
func (d *doorway) operation(op string, in any) *http.Request {
	d.Helper()
	body, err := json.Marshal(in)
	d.must(err)
	r := d.request(http.MethodPost, "/", body)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	d.key.Sign(r, string(body), time.Now())
	return r
}

// members are a request of the JSON API.
type members = map[string]any

// call carries out an operation, fills out, which may be nil, with the answer
// and returns "", or the exception, such as "400 ImageNotFoundException".
func (d *doorway) call(op string, in members, out any) (exception string) {
	d.Helper()
	a := d.do(d.operation(op, in))
	if a.status != http.StatusOK {
		var failed struct {
			Type string `json:"__type"`
		}
		d.decode(a.body, &failed)
		return fmt.Sprintf("%d %s", a.status, failed.Type)
	}
	if out != nil {
		d.decode(a.body, out)
	}
	return ""
}

// mustCall is call for what cannot be refused.
func (d *doorway) mustCall(op string, in members, out any) {
	d.Helper()
	if exception := d.call(op, in, out); exception != "" {
		d.Fatalf("%s %v: %s", op, in, exception)
	}
}

func (d *doorway) decode(body string, out any) {
	d.Helper()
	if err := json.Unmarshal([]byte(body), out); err != nil {
		d.Fatalf("answer %.300q: %v", body, err)
	}
}

// logIn asks for a registry password.
func (d *doorway) logIn() string {
	d.Helper()
	var out struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	d.mustCall("GetAuthorizationToken", members{}, &out)
	if len(out.AuthorizationData) != 1 {
		d.Fatalf("%d authorization tokens, want one", len(out.AuthorizationData))
	}
	password, ok := strings.CutPrefix(string(out.AuthorizationData[0].AuthorizationToken), "AWS:")
	if !ok {
		d.Fatal("the authorization token is not AWS and a password")
	}
	return password
}

func (d *doorway) createRepository(name string) {
	d.Helper()
	d.mustCall("CreateRepository", members{"repositoryName": name}, nil)
}

// openBench starts a server over bbolt and files on disk, whose access log is
// off, with a repository "team/app".
func openBench(b *testing.B) *doorway {
	b.Helper()
	d := openDoorway(b, map[string]string{"data": filepath.Join(b.TempDir(), "data"), "log-level": "warn"})
	d.createRepository("team/app")
	return d
}

// measure has one client, and then many at once, do what do does. It is called
// with another number each time.
func measure(b *testing.B, do func(n uint64) error) {
	b.Helper()
	var n atomic.Uint64
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := do(n.Add(1)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("many", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := do(n.Add(1)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// ok sends a request that must be answered with a status, and returns the
// answer.
func (d *doorway) ok(r *http.Request, status int) (response, error) {
	a, err := d.exchange(r)
	if err == nil && a.status != status {
		err = fmt.Errorf("%s %s: %d %.300s", r.Method, r.URL, a.status, a.body)
	}
	return a, err
}

// pushBlob uploads as docker does: is it there, begin, send, finish.
func (d *doorway) pushBlob(repo, id string, content []byte) error {
	if _, err := d.ok(d.v2(http.MethodHead, "/v2/"+repo+"/blobs/"+id, nil), http.StatusNotFound); err != nil {
		return err
	}
	begun, err := d.ok(d.v2(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil), http.StatusAccepted)
	if err != nil {
		return err
	}
	sent, err := d.ok(d.v2(http.MethodPatch, begun.header.Get("Location"), content), http.StatusAccepted)
	if err != nil {
		return err
	}
	_, err = d.ok(d.v2(http.MethodPut, sent.header.Get("Location")+"?digest="+id, nil), http.StatusCreated)
	return err
}

func (d *doorway) pushManifest(repo, tag string, body []byte) error {
	r := d.v2(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, body)
	r.Header.Set("Content-Type", v1.MediaTypeImageManifest)
	_, err := d.ok(r, http.StatusCreated)
	return err
}

// smallImage is an image of a config and five layers of 64 KiB, another for
// each number.
type smallImage struct {
	ids      []string // digests of the blobs
	blobs    [][]byte
	manifest []byte
}

func (d *doorway) smallImage(n uint64) (img smallImage) {
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	add := func(mediaType string, content []byte) v1.Descriptor {
		blob := describe(mediaType, content)
		img.ids, img.blobs = append(img.ids, blob.Digest.String()), append(img.blobs, content)
		return blob
	}
	m.Config = add(v1.MediaTypeImageConfig, fmt.Appendf(nil, `{"n":%d}`, n))
	for i := range uint64(5) {
		layer := make([]byte, 64<<10)
		_, _ = rand.NewChaCha8([32]byte(fmt.Appendf(nil, "%16d%16d", n, i))).Read(layer) // never fails
		m.Layers = append(m.Layers, add(v1.MediaTypeImageLayerGzip, layer))
	}
	img.manifest = d.encode(m)
	return img
}

// size is that of all that travels.
func (img smallImage) size() (n int64) {
	for _, b := range append(img.blobs, img.manifest) {
		n += int64(len(b))
	}
	return n
}

func (d *doorway) pushImage(repo, tag string, img smallImage) error {
	for i, b := range img.blobs {
		if err := d.pushBlob(repo, img.ids[i], b); err != nil {
			return err
		}
	}
	return d.pushManifest(repo, tag, img.manifest)
}

// oneConfig pushes a config, and returns a function that makes images of it
// alone, each unlike the others.
func (d *doorway) oneConfig(repo string) func(n uint64) []byte {
	d.Helper()
	config := []byte("{}")
	d.must(d.pushBlob(repo, sha256Of(config), config))
	return func(n uint64) []byte {
		return d.encode(v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
			Config: describe(v1.MediaTypeImageConfig, config), Layers: []v1.Descriptor{},
			Annotations: map[string]string{"n": strconv.FormatUint(n, 10)},
		})
	}
}

// pushMany pushes images with a tag each, many at once so that they share
// commits.
func (d *doorway) pushMany(repo string, count int) {
	d.Helper()
	image, next := d.oneConfig(repo), make(chan int)
	failed := make(chan error, count)
	var pushers sync.WaitGroup
	for range 64 {
		pushers.Go(func() {
			for i := range next {
				if err := d.pushManifest(repo, tagOf(i), image(uint64(i))); err != nil {
					failed <- err
				}
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	pushers.Wait()
	close(failed)
	d.must(<-failed)
}

func tagOf(i int) string { return fmt.Sprintf("v%05d", i) }
