package least_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
	"github.com/seed-78150930/berth/cmd/internal/bench/least"
)

var key = sigv4test.Key{ID: "AKIALEAST", Secret: "a secret", Region: "us-east-1", Service: "ecr"}

// yardstick is a server, its folder and what opens it.
type yardstick struct {
	*least.Server
	t    testing.TB
	dir  string
	auth string
}

func open(t testing.TB) *yardstick {
	t.Helper()
	y := &yardstick{t: t, dir: filepath.Join(t.TempDir(), "data")}
	var err error
	if y.Server, err = least.New(y.dir, least.Key{ID: key.ID, Secret: accounts.NewSecret(key.Secret)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := y.Close(); err != nil {
			t.Error(err)
		}
	})
	var said struct {
		AuthorizationData []struct{ AuthorizationToken string }
	}
	w := y.call(key, "GetAuthorizationToken", "{}")
	if err := json.Unmarshal(w.Body.Bytes(), &said); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body, err)
	}
	y.auth = "Basic " + said.AuthorizationData[0].AuthorizationToken
	return y
}

func (y *yardstick) call(k sigv4test.Key, op, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://least/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+op)
	k.Sign(r, body, time.Now())
	w := httptest.NewRecorder()
	y.ServeHTTP(w, r)
	return w
}

// do sends a request, which must be answered with a status.
func (y *yardstick) do(method, path string, body []byte, status int) *httptest.ResponseRecorder {
	y.t.Helper()
	r := httptest.NewRequest(method, "http://least"+path, bytes.NewReader(body))
	r.Header.Set("Authorization", y.auth)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	y.ServeHTTP(w, r)
	if w.Code != status {
		y.t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	return w
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestWhatIsGivenIsKept(t *testing.T) {
	y := open(t)
	content := []byte("a layer")
	at := y.do(http.MethodPost, "/v2/a/b/blobs/uploads/", nil, http.StatusAccepted).Header().Get("Location")
	y.do(http.MethodPatch, at, content[:3], http.StatusAccepted)
	y.do(http.MethodPut, at+"?digest="+digestOf(content), content[3:], http.StatusCreated)
	if got := y.do(http.MethodGet, "/v2/a/b/blobs/"+digestOf(content), nil, http.StatusOK).Body; !bytes.Equal(got.Bytes(), content) {
		t.Errorf("it gives back %q", got)
	}
	if file, err := os.ReadFile(filepath.Join(y.dir, "blobs", strings.TrimPrefix(digestOf(content), "sha256:"))); err != nil || !bytes.Equal(file, content) {
		t.Errorf("its file has %q, %v", file, err)
	}
	y.do(http.MethodPost, "/v2/c/blobs/uploads/?from=a/b&mount="+digestOf(content), nil, http.StatusCreated)
	y.do(http.MethodPut, "/v2/a/b/manifests/1", []byte(`{"a":1}`), http.StatusCreated)
	for _, ref := range []string{"1", digestOf([]byte(`{"a":1}`))} {
		if got := y.do(http.MethodGet, "/v2/a/b/manifests/"+ref, nil, http.StatusOK).Body.String(); got != `{"a":1}` {
			t.Errorf("%s is %q", ref, got)
		}
	}
	log, err := os.ReadFile(filepath.Join(y.dir, "log"))
	if err != nil || !bytes.Contains(log, []byte(`{"a":1}`)) || !bytes.Contains(log, []byte(digestOf(content))) {
		t.Errorf("the log lacks the manifest or the mount: %q, %v", log, err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	y := open(t)
	y.do(http.MethodGet, "/v2/a/manifests/1", nil, http.StatusNotFound)
	y.do(http.MethodGet, "/v2/a/tags/list", nil, http.StatusNotFound)
	y.do(http.MethodGet, "/v2/a/blobs/"+digestOf(nil), nil, http.StatusNotFound)
	y.do(http.MethodGet, "/v2/a/blobs/../log", nil, http.StatusNotFound)
	y.do(http.MethodPatch, "/v2/a/blobs/uploads/7", nil, http.StatusNotFound)
	at := y.do(http.MethodPost, "/v2/a/blobs/uploads/", nil, http.StatusAccepted).Header().Get("Location")
	y.do(http.MethodPut, at+"?digest="+digestOf([]byte("x")), []byte("y"), http.StatusInternalServerError)
	wrong := key
	wrong.Secret = "another"
	for op, k := range map[string]sigv4test.Key{"GetAuthorizationToken": wrong, "BatchGetImage": key} {
		if w := y.call(k, op, "{}"); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", op, w.Code, w.Body)
		}
	}
	y.auth = "Basic eA=="
	y.do(http.MethodGet, "/v2/", nil, http.StatusUnauthorized)
	if _, err := least.New(y.dir, least.Key{}); err == nil {
		t.Error("a folder that is in use is taken")
	}
}

// TestManyAtOnce has the log keep what each of many is told is kept.
func TestManyAtOnce(t *testing.T) {
	y := open(t)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			y.do(http.MethodPut, fmt.Sprintf("/v2/a/manifests/t%02d", i), fmt.Appendf(nil, `{"n":%02d}`, i), http.StatusCreated)
		})
	}
	all.Wait()
	log, err := os.ReadFile(filepath.Join(y.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		if n := bytes.Count(log, fmt.Appendf(nil, `{"n":%02d}`, i)); n != 1 {
			t.Errorf("manifest %d is in the log %d times", i, n)
		}
	}
	var page struct{ Tags []string }
	w := y.do(http.MethodGet, "/v2/a/tags/list?n=10&last=t49", nil, http.StatusOK)
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Tags) != 10 || page.Tags[0] != "t50" || w.Header().Get("Link") != `</v2/a/tags/list?last=t59&n=10>; rel="next"` {
		t.Errorf("%v %v, %v", page, w.Header(), err)
	}
}
