package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

const (
	account = "123456789012"
	limit   = 1 << 20
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fixture is a Verifier with one stored key, and all that a test may turn.
type fixture struct {
	*credentials.Verifier
	accounts *accounts.Store
	index    storage.Index
	now      time.Time
	spoolDir string
	key      sigv4test.Key
}

func key32(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func setUp(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{index: memory.NewIndex(), now: start, spoolDir: filepath.Join(t.TempDir(), "spool")}
	t.Cleanup(func() { f.index.Close() })
	f.accounts = f.openAccounts(t)
	f.Verifier = f.verifier(t, nil)
	k, err := f.accounts.Create(context.Background(), account)
	if err != nil {
		t.Fatal(err)
	}
	f.key = sigv4test.Key{ID: k.ID, Secret: k.Secret.Reveal(), Region: "us-east-1", Service: "ecr"}
	return f
}

func (f *fixture) openAccounts(t *testing.T, static ...accounts.Static) *accounts.Store {
	t.Helper()
	s, err := accounts.Open(context.Background(), accounts.Options{
		Index: f.index, SealingKey: key32(1), Now: f.clock, Static: static,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (f *fixture) clock() time.Time { return f.now }

func (f *fixture) verifier(t *testing.T, change func(*credentials.Options)) *credentials.Verifier {
	t.Helper()
	o := credentials.Options{
		Accounts: f.accounts, TokenKeys: [][]byte{key32(2)}, Now: f.clock, SpoolDir: f.spoolDir, MaxSpools: 2,
		HasRegion: func(r string) bool { return slices.Contains([]string{"us-east-1", "cn-north-1"}, r) },
	}
	if change != nil {
		change(&o)
	}
	v, err := credentials.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (f *fixture) principal() auth.Principal {
	return auth.Principal{
		Account: account, ARN: "arn:aws:iam::" + account + ":root", UserID: account, KeyID: f.key.ID, Region: "us-east-1", Kind: auth.Root,
	}
}

// watched is a body that notes whether it was read.
type watched struct {
	io.Reader
	read bool
}

func (w *watched) Read(p []byte) (int, error) { w.read = true; return w.Reader.Read(p) }
func (w *watched) Close() error               { return nil }

func request(body string) (*http.Request, *watched) {
	r := httptest.NewRequest("POST", "http://localhost:5000/", nil)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
	w := &watched{Reader: strings.NewReader(body)}
	r.Body, r.ContentLength = w, int64(len(body))
	return r, w
}

// signed shows v a request signed with key.
func (f *fixture) signed(t *testing.T, key sigv4test.Key, body string) (auth.Principal, error) {
	t.Helper()
	r, _ := request(body)
	key.Sign(r, body, f.now)
	p, b, err := f.Signed(r, "ecr", limit)
	if err == nil {
		b.Close()
	}
	return p, err
}

// wantError checks a refusal's code and status.
func wantError(t *testing.T, err error, code string, status int) {
	t.Helper()
	var e *credentials.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no refusal, want %s", err, code)
	}
	if e.Code != code || e.Status != status {
		t.Errorf("refused as %s %d (%s), want %s %d", e.Code, e.Status, e.Message, code, status)
	}
}

func (f *fixture) deleteKey(t *testing.T) {
	t.Helper()
	if err := f.accounts.Delete(context.Background(), f.key.ID); err != nil {
		t.Fatal(err)
	}
}

func TestSignedSaysWhoAsks(t *testing.T) {
	f := setUp(t)
	p, err := f.signed(t, f.key, "{}")
	if err != nil || p != f.principal() {
		t.Errorf("Signed = %+v, %v", p, err)
	}
	f.key.Region = "cn-north-1"
	p, err = f.signed(t, f.key, "{}")
	if want := "arn:aws-cn:iam::" + account + ":root"; err != nil || p.ARN != want || p.Region != "cn-north-1" {
		t.Errorf("in China: %+v, %v", p, err)
	}
	if !p.IsRoot() {
		t.Error("is not root")
	}
}

func TestPresigned(t *testing.T) {
	f := setUp(t)
	r := httptest.NewRequest("GET", "http://localhost:5000/?Action=GetCallerIdentity&note=a+b%2Fc", nil)
	f.key.Service = "sts"
	f.key.Presign(r, f.now, time.Minute)
	p, body, err := f.Signed(r, "sts", limit)
	if err != nil || p != f.principal() || body.Size() != 0 {
		t.Fatalf("Signed = %+v, %v", p, err)
	}
	f.now = f.now.Add(61 * time.Second)
	_, _, err = f.Signed(r, "sts", limit)
	wantError(t, err, credentials.InvalidSignature, 400)
}

// TestRefusedBeforeTheBody lists what is refused without reading a byte of the
// body.
func TestRefusedBeforeTheBody(t *testing.T) {
	tests := []struct {
		name  string
		key   func(*sigv4test.Key)
		after func(*fixture, *http.Request)
		code  string
		text  string
	}{
		{name: "unsigned", after: func(_ *fixture, r *http.Request) { r.Header.Del("Authorization") },
			code: credentials.MissingAuthenticationToken, text: "Missing Authentication Token"},
		{name: "garbled", after: func(_ *fixture, r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") },
			code: credentials.IncompleteSignature},
		{name: "header and query", after: func(_ *fixture, r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=x" },
			code: credentials.IncompleteSignature},
		{name: "unknown key", key: func(k *sigv4test.Key) { k.ID = "AKIAABSENT" },
			code: credentials.UnrecognizedClient, text: "The security token included in the request is invalid."},
		{name: "key id with a zero byte", key: func(k *sigv4test.Key) { k.ID = "AKIA\x00" }, code: credentials.UnrecognizedClient},
		{name: "deleted key", after: func(f *fixture, _ *http.Request) { f.accounts.Delete(context.Background(), f.key.ID) },
			code: credentials.UnrecognizedClient},
		{name: "inactive key", after: func(f *fixture, _ *http.Request) { f.accounts.SetActive(context.Background(), f.key.ID, false) },
			code: credentials.UnrecognizedClient},
		{name: "unknown region", key: func(k *sigv4test.Key) { k.Region = "mars-1" },
			code: credentials.InvalidSignature, text: "Credential should be scoped to a valid region."},
		{name: "other service", key: func(k *sigv4test.Key) { k.Service = "sts" },
			code: credentials.InvalidSignature, text: "Credential should be scoped to correct service: 'ecr'."},
		{name: "too late", after: func(f *fixture, _ *http.Request) { f.now = f.now.Add(15*time.Minute + time.Second) },
			code: credentials.InvalidSignature, text: "Signature expired: 20260301T120000Z is now earlier than 20260301T120001Z (20260301T121501Z - 15 min.)"},
		{name: "too early", after: func(f *fixture, _ *http.Request) { f.now = f.now.Add(-15*time.Minute - time.Second) },
			code: credentials.InvalidSignature, text: "Signature not yet current: "},
		{name: "foreign session token", key: func(k *sigv4test.Key) { k.Token = "FwoGZXIvYXdzEXAMPLE//+token==" },
			code: credentials.UnrecognizedClient},
		{name: "unsigned payload", after: func(_ *fixture, r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
			code: credentials.InvalidSignature},
		{name: "encoded body", after: func(_ *fixture, r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
			code: credentials.MalformedHTTPRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := setUp(t)
			key := f.key
			if tt.key != nil {
				tt.key(&key)
			}
			r, body := request("{}")
			key.Sign(r, "{}", f.now)
			if tt.after != nil {
				tt.after(f, r)
			}
			_, _, err := f.Signed(r, "ecr", limit)
			wantError(t, err, tt.code, 400)
			if !strings.HasPrefix(err.Error(), tt.text) {
				t.Errorf("text %q, want %q", err, tt.text)
			}
			if body.read {
				t.Error("the body was read")
			}
		})
	}
}

func TestRefusedAfterTheBody(t *testing.T) {
	f := setUp(t)
	other := f.key
	other.Secret = "x"
	_, err := f.signed(t, other, "{}")
	wantError(t, err, credentials.InvalidSignature, 400)
	if !strings.HasPrefix(err.Error(), "The request signature we calculated does not match the signature you provided.") {
		t.Errorf("text %q", err)
	}
	r, _ := request(`{"force":true}`)
	f.key.Sign(r, "{}", f.now)
	_, _, err = f.Signed(r, "ecr", limit)
	wantError(t, err, credentials.InvalidSignature, 400)
}

func TestOtherServiceHasItsCause(t *testing.T) {
	f := setUp(t)
	f.key.Service = "sts"
	_, err := f.signed(t, f.key, "{}")
	if !errors.Is(err, credentials.ErrOtherService) {
		t.Errorf("error %v", err)
	}
	f.key.Service, f.key.Region = "ecr", "mars-1"
	if _, err = f.signed(t, f.key, "{}"); errors.Is(err, credentials.ErrOtherService) {
		t.Errorf("for another region: %v", err)
	}
}

func TestFaultsAreNoRefusals(t *testing.T) {
	f := setUp(t)
	password, _, err := f.Password(context.Background(), f.principal())
	if err != nil {
		t.Fatal(err)
	}
	query := sign(t, f, link, f.now.Add(time.Hour))
	session := f.session(t, time.Hour)
	f.accounts, err = accounts.Open(context.Background(), accounts.Options{Index: &breaking{Index: f.index}, SealingKey: key32(1), Now: f.clock})
	if err != nil {
		t.Fatal(err)
	}
	f.Verifier = f.verifier(t, nil)
	_, signedErr := f.signed(t, f.key, "{}")
	_, sessionErr := f.signed(t, session, "{}")
	_, basicErr := f.Basic(context.Background(), "AWS", password)
	_, linkErr := f.VerifyLink(context.Background(), link, query)
	for name, err := range map[string]error{"Signed": signedErr, "Signed by a session": sessionErr, "Basic": basicErr, "VerifyLink": linkErr} {
		var refused *credentials.Error
		if err == nil || errors.As(err, &refused) || errors.Is(err, credentials.ErrBadPassword) {
			t.Errorf("%s on a broken disk: %v", name, err)
		}
	}
}

// breaking works once, for Open, and then fails.
type breaking struct {
	storage.Index
	views int
}

func (b *breaking) View(ctx context.Context, fn func(storage.Reader) error) error {
	if b.views++; b.views > 1 {
		return errors.New("input/output error")
	}
	return b.Index.View(ctx, fn)
}

func TestNewChecksOptions(t *testing.T) {
	if _, err := credentials.New(credentials.Options{}); err == nil {
		t.Error("without keys")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := credentials.New(credentials.Options{TokenKeys: [][]byte{key32(1)}, SpoolDir: filepath.Join(file, "x")}); err == nil {
		t.Error("with a folder that cannot be")
	}
	if _, err := credentials.New(credentials.Options{TokenKeys: [][]byte{key32(1)}}); err != nil {
		t.Errorf("with the least: %v", err)
	}
}
