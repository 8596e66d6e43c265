package ociapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/throttle"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/ociapi"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const (
	account = "123456789012"
	other   = "210987654321"
	region  = "us-east-1"
)

// base is the address that clients use in most tests, whatever the port that
// the server listens on.
const base = "http://localhost:5000"

var here = registry.ID{Account: account, Region: region}

// setup is what a test may choose of a door.
type setup struct {
	registry   registry.Options
	names      endpoint.Options
	authorizer auth.Authorizer
	anonymous  bool
	bearer     bool
	reads      *throttle.Addresses
	guard      *throttle.Guard
	compat     ociapi.Compat
	throttle   *throttle.Limiter
	audit      *audit.Trail
}

// door is a server's OCI door with one key, and all that is behind it.
type door struct {
	t        testing.TB
	handler  http.Handler
	url      string // where it listens; "" if requests go straight to handler
	service  *registry.Service
	index    storage.Index
	blobs    storage.Blobs
	keys     *accounts.Store
	verifier *credentials.Verifier
	key      accounts.Key
	password string
	log      *lockedBuffer

	mu  sync.Mutex
	now time.Time
}

// lockedBuffer is a log that many may write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// open starts a server on a loopback port.
func open(t testing.TB, change ...func(*setup)) *door {
	t.Helper()
	d := build(t, change...)
	server := httptest.NewServer(d.handler)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// build makes a door without a listener.
func build(t testing.TB, change ...func(*setup)) *door {
	t.Helper()
	o := setup{authorizer: auth.RootOnly{}, names: endpoint.Options{Account: "000000000000", Region: region}}
	o.registry.Index, o.registry.Blobs = memory.NewIndex(), memory.NewBlobs()
	for _, c := range change {
		c(&o)
	}
	d := &door{t: t, index: o.registry.Index, blobs: o.registry.Blobs, log: &lockedBuffer{}, now: time.Now()}
	var err error
	d.service, err = registry.New(t.Context(), o.registry)
	must(t, err)
	d.keys, err = accounts.Open(t.Context(), accounts.Options{Index: d.index, SealingKey: bytes.Repeat([]byte{1}, 32)})
	must(t, err)
	d.key, err = d.keys.Create(t.Context(), account)
	must(t, err)
	d.verifier, err = credentials.New(credentials.Options{
		Accounts: d.keys, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}, Now: d.clock, Guard: o.guard,
	})
	must(t, err)
	d.password = d.passwordOf(account, d.key.ID, region)
	d.handler = d.mount(o)
	return d
}

// mount puts the door and its links together as a server does.
func (d *door) mount(o setup) http.Handler {
	d.t.Helper()
	names, err := endpoint.New(o.names)
	must(d.t, err)
	s, err := ociapi.New(ociapi.Options{
		Registry: d.service, Credentials: d.verifier, Authorizer: o.authorizer, Names: names, Compat: o.compat, Throttle: o.throttle, Audit: o.audit, Bearer: o.bearer, Anonymous: o.anonymous, AnonymousReads: o.reads,
		Log:       slog.New(slog.NewTextHandler(d.log, nil)),
		RequestID: func(context.Context) string { return "request-7" },
	})
	must(d.t, err)
	links := s.LayerLinks()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/layers/") {
			links.ServeHTTP(w, r)
			return
		}
		s.ServeHTTP(w, r)
	})
}

func (d *door) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *door) advance(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

// passwordOf issues a registry password of a key's root.
func (d *door) passwordOf(account, keyID, region string) string {
	d.t.Helper()
	p, _, err := d.verifier.Password(context.Background(), rootOf(account, keyID, region))
	must(d.t, err)
	return p
}

func rootOf(account, keyID, region string) auth.Principal {
	return auth.Principal{
		Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, KeyID: keyID, Region: region, Kind: auth.Root,
	}
}

// ctx is the context of a call that the door's user makes past the door.
func (d *door) ctx() context.Context {
	return auth.WithPrincipal(context.Background(), rootOf(account, d.key.ID, region))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// name is a repository's in the registry of most tests.
func name(t testing.TB, path string) registry.Name {
	t.Helper()
	n, err := registry.ParseName(here, path)
	must(t, err)
	return n
}

// create makes repositories.
func (d *door) create(paths ...string) {
	d.t.Helper()
	for _, p := range paths {
		_, err := d.service.CreateRepository(d.ctx(), name(d.t, p), registry.Settings{})
		must(d.t, err)
	}
}

// answer is a response, read whole.
type answer struct {
	request string
	status  int
	header  http.Header
	body    string
}

// option changes a request.
type option func(*http.Request)

func with(key, value string) option {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(key)] = append(r.Header.Values(key), value) }
}

func toHost(host string) option { return func(r *http.Request) { r.Host = host } }

// as shows another password than the door's own; "" shows none.
func as(password string) option {
	return func(r *http.Request) {
		r.Header.Del("Authorization")
		if password != "" {
			r.SetBasicAuth("AWS", password)
		}
	}
}

// body sends bytes with their length.
func body(content string) option {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(content)), int64(len(content))
		if content == "" {
			r.Body = http.NoBody // or the client would not say that it is empty
		}
	}
}

// stream sends bytes without saying how many.
func stream(content io.Reader) option {
	return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(content), -1 }
}

// do makes a request to a path that goes over the wire as it is given, and
// checks what holds for every answer.
func (d *door) do(method, path string, options ...option) answer {
	d.t.Helper()
	r, err := http.NewRequest(method, base, nil)
	must(d.t, err)
	r.SetBasicAuth("AWS", d.password)
	for _, o := range options {
		o(r)
	}
	a := d.send(r, path)
	a.request = method + " " + path
	checkForm(d.t, a, method, path)
	return a
}

// client follows no redirect and keeps no connection that a test broke.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (d *door) send(r *http.Request, path string) answer {
	d.t.Helper()
	if d.url == "" {
		return d.record(r, path)
	}
	r.URL.Host = strings.TrimPrefix(d.url, "http://")
	r.URL.Opaque = path
	resp, err := client.Do(r)
	must(d.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(d.t, err)
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}

// record hands a request to the handler without a network.
func (d *door) record(r *http.Request, path string) answer {
	u, err := r.URL.Parse(base + path)
	must(d.t, err)
	r.URL = u
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return answer{status: w.Code, header: w.Header(), body: w.Body.String()}
}

// envelope is the body of a refusal.
type envelope struct {
	Errors []struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail"`
	} `json:"errors"`
}

var codeForm = regexp.MustCompile(`^[A-Z_]+$`)

// checkForm holds an answer against what is promised of each.
func checkForm(t testing.TB, a answer, method, path string) {
	t.Helper()
	if !strings.HasPrefix(path, "/layers/") && a.header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
		t.Errorf("%s: no Docker-Distribution-Api-Version", a.request)
	}
	if method == http.MethodHead {
		if a.body != "" {
			t.Errorf("%s: a body %q", a.request, a.body)
		}
		return
	}
	if a.status < 400 {
		return
	}
	if isBare(a) {
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type of a refusal %q", a.request, got)
	}
	var e envelope
	if err := strictJSON(a.body, &e); err != nil || len(e.Errors) == 0 {
		t.Fatalf("%s: status %d, no envelope but %q: %v", a.request, a.status, a.body, err)
	}
	for _, e := range e.Errors {
		if !codeForm.MatchString(e.Code) || e.Message == "" {
			t.Errorf("%s: code %q, message %q", a.request, e.Code, e.Message)
		}
	}
}

// isBare says that an answer is one of the two of ECR's that are no JSON.
func isBare(a answer) bool {
	return a.status == http.StatusUnauthorized && a.body == "Not Authorized\n" ||
		a.status == http.StatusNotFound && a.body == "404 page not found\n"
}

// likeECR makes a door that has all quirks.
func likeECR(o *setup) { o.compat = ociapi.ECR }

func strictJSON(s string, v any) error {
	dec := json.NewDecoder(strings.NewReader(s))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// code is the first code of a refusal, "" if it has none.
func (a answer) code() string {
	var e envelope
	if strictJSON(a.body, &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// want fails the test unless an answer has a status and a code ("" for none).
func want(t testing.TB, a answer, status int, code string) {
	t.Helper()
	if a.status != status || a.code() != code {
		t.Errorf("%s: %d %s, want %d %s; body %.300q", a.request, a.status, a.code(), status, code, a.body)
	}
}

// wantHeader compares headers; "" wants there to be none.
func wantHeader(t testing.TB, a answer, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := a.header.Get(pairs[i]); got != pairs[i+1] {
			t.Errorf("%s: %s: %q, want %q", a.request, pairs[i], got, pairs[i+1])
		}
	}
}

// fingerprint is a hash of all rows and blobs.
func (d *door) fingerprint() string {
	d.t.Helper()
	h := sha256.New()
	must(d.t, d.index.View(context.Background(), func(r storage.Reader) error {
		for e, err := range r.Scan(storage.Range{}) {
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%q %q\n", e.Key, e.Value)
		}
		return nil
	}))
	for b, err := range d.blobs.List(context.Background(), "") {
		must(d.t, err)
		fmt.Fprintf(h, "%q %d\n", b.ID, b.Size)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// unchanged fails the test if fn leaves a trace in the store.
func (d *door) unchanged(fn func()) {
	d.t.Helper()
	before := d.fingerprint()
	fn()
	if d.fingerprint() != before {
		d.t.Error("the store has changed")
	}
}

func sha256Of(content string) digest.Digest { return digest.FromBytes(digest.SHA256, []byte(content)) }
func sha512Of(content string) digest.Digest { return digest.FromBytes(digest.SHA512, []byte(content)) }

// start begins an upload and returns its path.
func (d *door) start(repo string) string {
	d.t.Helper()
	a := d.do("POST", "/v2/"+repo+"/blobs/uploads/")
	want(d.t, a, 202, "")
	return pathOf(d.t, a.header.Get("Location"))
}

// pathOf takes scheme and host off a URL of the server.
func pathOf(t testing.TB, location string) string {
	t.Helper()
	if i := strings.Index(location, "/v2/"); i >= 0 {
		return location[i:]
	}
	t.Fatalf("Location %q", location)
	return ""
}

// push uploads a blob whole.
func (d *door) push(repo, content string) v1.Descriptor {
	d.t.Helper()
	dig := sha256Of(content)
	want(d.t, d.do("PUT", d.start(repo)+"?digest="+dig.String(), body(content)), 201, "")
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: dig.OCI(), Size: int64(len(content))}
}

// image writes a manifest of a config and layers that are pushed first.
func (d *door) image(repo string, change func(*v1.Manifest), layers ...string) string {
	d.t.Helper()
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest,
		Config: d.push(repo, "{}"), Layers: []v1.Descriptor{},
	}
	m.Config.MediaType = v1.MediaTypeImageConfig
	for _, l := range layers {
		m.Layers = append(m.Layers, d.push(repo, l))
	}
	if change != nil {
		change(&m)
	}
	return marshal(d.t, m)
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

// indexOf writes an index of manifests.
func indexOf(t testing.TB, manifests ...string) string {
	x := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	for _, m := range manifests {
		x.Manifests = append(x.Manifests, v1.Descriptor{
			MediaType: v1.MediaTypeImageManifest, Digest: sha256Of(m).OCI(), Size: int64(len(m)),
		})
	}
	return marshal(t, x)
}

// put pushes a manifest of the given type.
func (d *door) put(repo, ref, mediaType, content string) answer {
	d.t.Helper()
	return d.do("PUT", "/v2/"+repo+"/manifests/"+ref, with("Content-Type", mediaType), body(content))
}

// tag pushes an image of one layer under a tag and returns its manifest.
func (d *door) tag(repo, tag, layer string) string {
	d.t.Helper()
	m := d.image(repo, nil, layer)
	want(d.t, d.put(repo, tag, v1.MediaTypeImageManifest, m), 201, "")
	return m
}
