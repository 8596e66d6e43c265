package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/ecrapi"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/ociapi"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

var here = registry.ID{Account: account, Region: region}

// config is what histories differ in besides their steps.
type config struct {
	Compat ociapi.Compat
	Create bool // a push makes repositories that are missing
	Reads  bool // pulls are events
	Trash  bool // what is deleted lies in the trash
}

func (c config) asECR() bool { return c.Compat == ociapi.ECR }

func (c config) String() string {
	return fmt.Sprintf("compat %s, create on push: %t, pulls are events: %t, a trash: %t", c.Compat, c.Create, c.Reads, c.Trash)
}

// world is a registry in memory with both doors, and the one who calls.
type world struct {
	config
	options  registry.Options
	index    storage.Index
	blobs    storage.Blobs
	verifier *credentials.Verifier
	names    *endpoint.Names

	service  *registry.Service
	oci, api http.Handler
	stop     func()

	key      sigv4test.Key
	password string
	renew    time.Time // when the password is to be replaced
}

// open starts a world. It is to be closed.
func open(c config, change ...func(*registry.Options)) (*world, error) {
	w := &world{config: c, index: memory.NewIndex(), blobs: memory.NewBlobs()}
	w.key = sigv4test.Key{ID: "AKIAHISTORY", Secret: "the secret of histories", Region: region, Service: "ecr"}
	w.options = registry.Options{
		Index: w.index, Blobs: w.blobs, RestoreTime: restoreTime, UploadExpiry: uploadExpiry, PullTimeFlush: flushEvery, LifecycleInterval: time.Second, ReadEvents: c.Reads,
		EventRetention: 1000 * time.Hour, Limits: registry.Limits{Images: mostImages, Tags: mostTags, SmallestPart: 1},
	}
	if c.Create {
		w.options.CreateOnPush = registry.CreateAlways
	}
	if c.Trash {
		w.options.TrashWindow = 1000 * time.Hour
	}
	for _, fn := range change {
		fn(&w.options)
	}
	store, err := accounts.Open(context.Background(), accounts.Options{
		Index: w.index, SealingKey: bytes.Repeat([]byte{1}, 32),
		Static: []accounts.Static{{ID: w.key.ID, Secret: accounts.NewSecret(w.key.Secret), Account: account}},
	})
	if err != nil {
		return nil, err
	}
	if w.names, err = endpoint.New(endpoint.Options{Account: account, Region: region}); err != nil {
		return nil, err
	}
	w.verifier, err = credentials.New(credentials.Options{Accounts: store, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}})
	if err != nil {
		return nil, err
	}
	return w, w.start()
}

// start opens the domain, the doors on it, and lets it do its work in the
// background.
func (w *world) start() (err error) {
	if w.service, err = registry.New(context.Background(), w.options); err != nil {
		return err
	}
	w.oci, err = ociapi.New(ociapi.Options{
		Registry: w.service, Credentials: w.verifier, Authorizer: auth.RootOnly{}, Names: w.names, Compat: w.Compat,
	})
	if err != nil {
		return err
	}
	w.api, err = ecrapi.New(ecrapi.Options{
		Registry: w.service, Credentials: w.verifier, Authorizer: auth.RootOnly{}, Names: w.names, PageKey: []byte("a key that tokens are made with"),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.service.Run(ctx) }) // it returns nil
	w.stop = func() {
		cancel()
		running.Wait()
	}
	return nil
}

// close stops the domain as a server does that ends in order.
func (w *world) close() error {
	w.stop()
	return w.service.Close(context.Background())
}

// answer is a response of either door.
type answer struct {
	status int
	header http.Header
	body   string
}

// at asks the OCI door.
func (w *world) at(method, path, mediaType, body string) answer {
	return w.ask(w.request(method, path, mediaType, body))
}

// request is one to the OCI door.
func (w *world) request(method, path, mediaType, body string) *http.Request {
	r := httptest.NewRequest(method, "http://localhost:5000"+path, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return r
}

// ask sends a request to the OCI door under a password that is good.
func (w *world) ask(r *http.Request) answer {
	if now := time.Now(); now.After(w.renew) {
		root := auth.Principal{Account: account, ARN: caller, UserID: account, KeyID: w.key.ID, Region: region, Kind: auth.Root}
		password, until, err := w.verifier.Password(context.Background(), root)
		if err != nil {
			return answer{body: err.Error()}
		}
		w.password, w.renew = password, now.Add(until.Sub(now)/2)
	}
	r.SetBasicAuth("AWS", w.password)
	return serve(w.oci, r)
}

// serve asks a door. A panic is an answer too, or the history could not be shrunk.
func serve(h http.Handler, r *http.Request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			a = answer{status: http.StatusInternalServerError, body: fmt.Sprintf("panic: %v", p)}
		}
	}()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

// refusal is what the OCI door said, "" if the status is the one that says
// success.
func (a answer) refusal(success int) string {
	if a.status == success {
		return ""
	}
	var e struct{ Errors []struct{ Code string } }
	if json.Unmarshal([]byte(a.body), &e) == nil && len(e.Errors) > 0 {
		return fmt.Sprintf("%d %s", a.status, e.Errors[0].Code)
	}
	return fmt.Sprintf("%d %s", a.status, strings.TrimSpace(a.body))
}

// members are those of a JSON object.
type members map[string]any

// call asks the API, and says what exception came of it, "" if none.
func (w *world) call(operation string, in members, out any) string {
	text, err := json.Marshal(in)
	if err != nil {
		return err.Error()
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost:5000/", bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	w.key.Sign(r, string(text), time.Now())
	a := serve(w.api, r)
	if a.status != http.StatusOK {
		var e struct {
			Type string `json:"__type"`
		}
		if err := json.Unmarshal([]byte(a.body), &e); err != nil {
			return fmt.Sprintf("%d %s", a.status, a.body)
		}
		return fmt.Sprintf("%d %s", a.status, e.Type)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(a.body), out); err != nil {
			return fmt.Sprintf("%s: %v in %s", operation, err, a.body)
		}
	}
	return ""
}

// countBlobs says how many blobs lie in the store.
func (w *world) countBlobs() (n int, err error) {
	for _, err := range w.blobs.List(context.Background(), "") {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
