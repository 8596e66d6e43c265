package life

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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
	"github.com/seed-78150930/berth/storage/boltindex"
	"github.com/seed-78150930/berth/storage/disk"
	"github.com/seed-78150930/berth/storage/fsblob"
	"github.com/seed-78150930/berth/storage/gate"
	"github.com/seed-78150930/berth/storage/journal"
)

const (
	account = "123456789012"
	region  = "us-east-1"
)

var key = sigv4test.Key{ID: "AKIACRASH", Secret: "the secret of crashes", Region: region, Service: "ecr"}

// way is how a store is set up in a history.
type way struct {
	name         string
	trash, grace time.Duration
	// loose says that layers are let go of, or out of sight, when no image needs them:
	// then those of images alone are to be there.
	loose bool
}

var ways = []way{
	{name: "no trash", grace: time.Hour},
	{name: "no trash", grace: time.Hour},
	{name: "trash", trash: 7 * 24 * time.Hour, grace: time.Hour, loose: true},
	{name: "no trash, no grace", loose: true},
	{name: "a short trash, no grace", trash: 20 * time.Millisecond, loose: true},
}

// world is a whole server over a folder, without a network: both doors, the domain
// and what it does by itself, the index and the blobs.
type world struct {
	file     *boltindex.Index // nil if the world is of another process
	index    storage.Index
	blobs    storage.Blobs
	gate     *gate.Gate
	service  *registry.Service
	oci, api http.Handler
	password string
	stop     func()
	clean    func() // collects in another process; nil if the world is of this one
}

// open starts a world over the files of a disk. It is to be closed, also if the
// power goes.
func open(files disk.FS, root string, way way) (*world, error) {
	w := &world{stop: func() {}}
	if err := w.open(files, root, way); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.run()
	return w, nil
}

func (w *world) open(files disk.FS, root string, way way) error {
	index, err := boltindex.Open(filepath.Join(root, "index.db"), boltindex.Options{
		Disk: files, Patience: time.Nanosecond, // so that most are used before they are known to be sound
	})
	if err != nil {
		return err
	}
	w.file, w.index = index, index
	kept, err := journal.New(index, filepath.Join(root, "journal"), journal.Options{
		Disk: files, Sound: index.Sound, SyncEvery: 5 * time.Millisecond, Retry: 5 * time.Millisecond, Segment: 16 << 10, Compact: 64 << 10,
	})
	if err != nil {
		return err
	}
	w.index = kept
	blobs, err := fsblob.OpenOn(files, filepath.Join(root, "blobs"))
	if err != nil {
		return err
	}
	w.gate = gate.New(slog.New(slog.DiscardHandler))
	w.index, w.blobs = w.gate.Index(w.index), w.gate.Blobs(blobs)
	w.service, err = registry.New(context.Background(), registry.Options{
		Index: w.index, Blobs: w.blobs, Limits: registry.Limits{SmallestPart: 1}, PullTimeFlush: time.Second,
		TrashWindow: way.trash, GCGrace: way.grace,
	})
	if err != nil {
		return err
	}
	return w.openDoors()
}

func (w *world) openDoors() error {
	names, err := endpoint.New(endpoint.Options{Account: account, Region: region})
	if err != nil {
		return err
	}
	store, err := accounts.Open(context.Background(), accounts.Options{
		Index: w.index, SealingKey: bytes.Repeat([]byte{1}, 32),
		Static: []accounts.Static{{ID: key.ID, Secret: accounts.NewSecret(key.Secret), Account: account}},
	})
	if err != nil {
		return err
	}
	verifier, err := credentials.New(credentials.Options{Accounts: store, TokenKeys: [][]byte{bytes.Repeat([]byte{2}, 32)}})
	if err != nil {
		return err
	}
	w.oci, err = ociapi.New(ociapi.Options{Registry: w.service, Credentials: verifier, Authorizer: auth.RootOnly{}, Names: names})
	if err != nil {
		return err
	}
	w.api, err = ecrapi.New(ecrapi.Options{
		Registry: w.service, Credentials: verifier, Authorizer: auth.RootOnly{}, Names: names, PageKey: []byte("a key that tokens are made with"),
	})
	if err != nil {
		return err
	}
	root := auth.Principal{Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, KeyID: key.ID, Region: region, Kind: auth.Root}
	w.password, _, err = verifier.Password(context.Background(), root)
	return err
}

// run has the domain do its work in the background.
func (w *world) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.service.Run(ctx) }) // it returns nil
	w.stop = func() {
		cancel()
		running.Wait()
	}
}

// close ends the world without an order: what it would still do is up to the disk.
func (w *world) close() (err error) {
	w.stop()
	if w.service != nil {
		err = w.service.Close(context.Background())
	}
	if w.index != nil {
		err = errors.Join(err, w.index.Close())
	}
	return err
}

// answer is a response of either door.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// at asks the OCI door.
func (w *world) at(method, path, mediaType string, body []byte, set ...string) answer {
	r := httptest.NewRequest(method, "http://localhost:5000"+path, bytes.NewReader(body))
	if len(body) == 0 {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	for i := 0; i+1 < len(set); i += 2 {
		r.Header.Set(set[i], set[i+1])
	}
	r.SetBasicAuth("AWS", w.password)
	return serve(w.oci, r)
}

// members are those of a JSON object.
type members map[string]any

// call asks the API. The exception that comes of it is "" if none does, and the
// status with what is no exception.
func (w *world) call(operation string, in members, out any) (exception string) {
	text, err := json.Marshal(in)
	if err != nil {
		panic(err) // of what this package makes up
	}
	r := httptest.NewRequest(http.MethodPost, "http://localhost:5000/", bytes.NewReader(text))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	key.Sign(r, string(text), time.Now())
	a := serve(w.api, r)
	if a.status == http.StatusOK {
		if out != nil && json.Unmarshal(a.body, out) != nil {
			return fmt.Sprintf("%d %s", a.status, a.body)
		}
		return ""
	}
	var e struct {
		Type string `json:"__type"`
	}
	if a.status >= 500 || json.Unmarshal(a.body, &e) != nil {
		return fmt.Sprintf("%d %s", a.status, a.body)
	}
	return e.Type[strings.LastIndex(e.Type, "#")+1:]
}

// serve asks a door. One that breaks an answer off has not given one.
func serve(h http.Handler, r *http.Request) (a answer) {
	rec := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			a = answer{status: http.StatusInternalServerError, body: fmt.Appendf(rec.Body.Bytes(), "%v", p)}
		}
	}()
	h.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}
