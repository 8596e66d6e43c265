package ecrapi_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const (
	account = "000000000000"
	other   = "111111111111"
	region  = "us-east-1"
)

// obj and arr are JSON as tests write it.
type (
	obj = map[string]any
	arr = []any
)

// bench is an API over a store in memory, and what stands behind it.
type bench struct {
	testing.TB
	api      *ecrapi.API
	registry *registry.Service
	verifier *credentials.Verifier
	keys     *accounts.Store
	store    storage.Index
	log      *bytes.Buffer
}

// setup is what a test may change about a bench.
type setup struct {
	registry registry.Options
	names    endpoint.Options
	api      ecrapi.Options
	guard    *throttle.Guard
}

func open(t testing.TB, change ...func(*setup)) *bench {
	t.Helper()
	index := memory.NewIndex()
	s := setup{
		registry: registry.Options{Index: index, Blobs: memory.NewBlobs()},
		names:    endpoint.Options{Account: account, Region: region},
		api:      ecrapi.Options{Authorizer: auth.RootOnly{}, PageKey: []byte("a key that tokens are made with")},
	}
	for _, fn := range change {
		fn(&s)
	}
	b := &bench{TB: t, log: new(bytes.Buffer), store: s.registry.Index}
	store, err := accounts.Open(t.Context(), accounts.Options{
		Index: index, SealingKey: bytes.Repeat([]byte{1}, 32),
		Static: []accounts.Static{
			{ID: "AKIAHERE", Secret: accounts.NewSecret("secret-of-here"), Account: account},
			{ID: "AKIAOTHER", Secret: accounts.NewSecret("secret-of-other"), Account: other},
		},
	})
	b.must(err)
	b.keys = store
	names, err := endpoint.New(s.names)
	b.must(err)
	b.verifier, err = credentials.New(credentials.Options{
		Accounts: store, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)},
		HasRegion: names.HasRegion, SpoolDir: t.TempDir(), Guard: s.guard,
	})
	b.must(err)
	b.registry, err = registry.New(t.Context(), s.registry)
	b.must(err)
	s.api.Registry, s.api.Credentials, s.api.Names = b.registry, b.verifier, names
	s.api.Log = slog.New(slog.NewTextHandler(b.log, nil))
	b.api, err = ecrapi.New(s.api)
	b.must(err)
	return b
}

// in is b for a part of a test.
func (b *bench) in(t testing.TB) *bench {
	inner := *b
	inner.TB = t
	return &inner
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// request is one to the API. Zero members are those of a usual request.
type request struct {
	method, url, target, contentType, body string
	host                                   string
	key, secret, region                    string
	unsigned                               bool
}

func (q request) withDefaults() request {
	for _, d := range []struct {
		member *string
		value  string
	}{
		{&q.method, "POST"}, {&q.url, "/"}, {&q.host, "localhost:5000"}, {&q.key, "AKIAHERE"},
		{&q.secret, "secret-of-here"}, {&q.region, region}, {&q.contentType, "application/x-amz-json-1.1"},
	} {
		if *d.member == "" {
			*d.member = d.value
		}
	}
	return q
}

const targetPrefix = "AmazonEC2ContainerRegistry_V20150921."

func (q request) make(ctx context.Context) *http.Request {
	q = q.withDefaults()
	r := httptest.NewRequestWithContext(ctx, q.method, q.url, strings.NewReader(q.body))
	r.Host = q.host
	if q.target != "none" {
		r.Header.Set("X-Amz-Target", q.target)
	}
	if q.contentType != "none" {
		r.Header.Set("Content-Type", q.contentType)
	}
	if !q.unsigned {
		q.sign(r)
	}
	return r
}

// sign signs a request as AWS describes it, for URLs whose query needs no
// encoding.
func (q request) sign(r *http.Request) {
	now := time.Now().UTC()
	r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
	names, lines := "host;x-amz-date", "host:"+r.Host+"\nx-amz-date:"+r.Header.Get("X-Amz-Date")+"\n"
	if q.target != "none" {
		names += ";x-amz-target"
		lines += "x-amz-target:" + q.target + "\n"
	}
	sum := sha256.Sum256([]byte(q.body))
	canonical := strings.Join([]string{q.method, r.URL.Path, r.URL.RawQuery, lines, names, hex.EncodeToString(sum[:])}, "\n")
	scope := now.Format("20060102") + "/" + q.region + "/ecr/aws4_request"
	sum = sha256.Sum256([]byte(canonical))
	toSign := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + q.secret)
	for _, part := range append(strings.Split(scope, "/"), toSign) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", q.key, scope, names, key))
}

func (b *bench) send(q request) *httptest.ResponseRecorder {
	b.Helper()
	w := httptest.NewRecorder()
	b.api.ServeHTTP(w, q.make(b.Context()))
	return w
}

// encode is in as JSON; a string is JSON already.
func (b *bench) encode(in any) string {
	if s, ok := in.(string); ok {
		return s
	}
	j, err := json.Marshal(in)
	b.must(err)
	return string(j)
}

// call carries out an operation that must work.
func (b *bench) call(op string, in any) obj {
	b.Helper()
	w := b.send(request{target: targetPrefix + op, body: b.encode(in)})
	if w.Code != http.StatusOK {
		b.Fatalf("%s %.300s: %d %s", op, b.encode(in), w.Code, w.Body)
	}
	return b.decode(w.Body.Bytes())
}

func (b *bench) decode(body []byte) obj {
	b.Helper()
	var out obj
	if err := json.Unmarshal(body, &out); err != nil {
		b.Fatalf("answer %.300s: %v", body, err)
	}
	return out
}

// refused carries out an operation that must be refused with an exception and
// a message, and returns all of the answer.
func (b *bench) refused(op string, in any, exception, message string) obj {
	b.Helper()
	w := b.send(request{target: targetPrefix + op, body: b.encode(in)})
	out := b.decode(w.Body.Bytes())
	if w.Code != http.StatusBadRequest || out["__type"] != exception || out["message"] != message {
		b.Errorf("%s %.300s:\ngot  %d %s\nwant 400 %s: %s", op, b.encode(in), w.Code, w.Body, exception, message)
	}
	return out
}

// invalid is refused with an InvalidParameterException for a member.
func (b *bench) invalid(op string, in any, at, reason string) {
	b.Helper()
	b.refused(op, in, "InvalidParameterException",
		fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", at, reason))
}

// same compares two pieces of JSON.
func (b *bench) same(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(b.plain(want), b.plain(got)); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// plain is v as JSON reads it.
func (b *bench) plain(v any) (out any) {
	b.Helper()
	j, err := json.Marshal(v)
	b.must(err)
	b.must(json.Unmarshal(j, &out))
	return out
}

func (b *bench) repository(name string) {
	b.Helper()
	b.call("CreateRepository", obj{"repositoryName": name})
}

// sum is the digest of s.
func sum(s string) string { return digest.FromBytes(digest.SHA256, []byte(s)).String() }

// layer uploads a layer by the API alone and returns its digest.
func (b *bench) layer(repo, content string) string {
	b.Helper()
	id := b.call("InitiateLayerUpload", obj{"repositoryName": repo})["uploadId"]
	b.call("UploadLayerPart", obj{
		"repositoryName": repo, "uploadId": id, "partFirstByte": 0, "partLastByte": len(content) - 1,
		"layerPartBlob": base64.StdEncoding.EncodeToString([]byte(content)),
	})
	b.call("CompleteLayerUpload", obj{"repositoryName": repo, "uploadId": id, "layerDigests": arr{sum(content)}})
	return sum(content)
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

func descriptor(mediaType, content string) obj {
	return obj{"mediaType": mediaType, "digest": sum(content), "size": len(content)}
}

// manifest is an image of a config and one layer with these contents; more are
// further members.
func (b *bench) manifest(config, layer string, more obj) string {
	m := obj{
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": descriptor(ociConfig, config), "layers": arr{descriptor(ociLayer, layer)},
	}
	for k, v := range more {
		m[k] = v
	}
	return b.encode(m)
}

// index is an index of manifests.
func (b *bench) index(manifests ...string) string {
	list := arr{}
	for _, m := range manifests {
		mediaType := ociManifest
		if strings.Contains(m, `"manifests"`) {
			mediaType = ociIndex
		}
		list = append(list, descriptor(mediaType, m))
	}
	return b.encode(obj{"schemaVersion": 2, "mediaType": ociIndex, "manifests": list})
}

// image pushes an image whose layer has the given content and returns its
// manifest.
func (b *bench) image(repo, content string, tags ...string) string {
	b.Helper()
	m := b.manifest("{}", content, nil)
	b.layer(repo, content)
	if b.call("BatchCheckLayerAvailability", obj{"repositoryName": repo, "layerDigests": arr{sum("{}")}})["layers"].(arr)[0].(obj)["layerAvailability"] != "AVAILABLE" {
		b.layer(repo, "{}")
	}
	b.push(repo, m, tags...)
	return m
}

// push puts a manifest under each of the tags, or under none.
func (b *bench) push(repo, manifest string, tags ...string) {
	b.Helper()
	if len(tags) == 0 {
		b.call("PutImage", obj{"repositoryName": repo, "imageManifest": manifest})
	}
	for _, tag := range tags {
		b.call("PutImage", obj{"repositoryName": repo, "imageManifest": manifest, "imageTag": tag})
	}
}
