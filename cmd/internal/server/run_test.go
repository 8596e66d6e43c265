package server_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/cmd/internal/config"
	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/server"
)

func TestDataOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir)
	if status, answer := h.call("CreateRepository", `{"repositoryName":"team/app"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = inFolder(t, dir)
	if status, answer := h.call("DescribeRepositories", `{}`); status != http.StatusOK || !strings.Contains(answer, `"team/app"`) {
		t.Errorf("%d %s", status, answer)
	}
}

// startUpload begins an upload and a PATCH that says it brings 1000 bytes but
// brings 400. It returns where the upload is.
func startUpload(t testing.TB, h *house) (location string, w *wire) {
	t.Helper()
	password := h.password()
	req, err := http.NewRequest(http.MethodPost, h.url+"/v2/team/app/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", password)
	begun := h.do(req)
	if begun.status != http.StatusAccepted {
		t.Fatalf("upload: %d %s", begun.status, begun.body)
	}
	location = strings.TrimPrefix(begun.header.Get("Location"), h.url)
	w = h.dial()
	w.send("PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\nExpect: 100-continue\r\nAuthorization: %s\r\n\r\n",
		location, h.Address(), req.Header.Get("Authorization"))
	if line, err := w.in.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := w.in.ReadString('\n'); err != nil { // the end of its head
		t.Fatal(err)
	}
	w.send("%s", strings.Repeat("x", 400))
	return location, w
}

func TestRequestUnderWayIsLetEnd(t *testing.T) {
	h := inFolder(t, t.TempDir())
	_, w := startUpload(t, h)
	ended := make(chan error, 1)
	go func() { ended <- h.stop() }()
	awaitLog(t, h, "msg=stopping")
	w.send("%s", strings.Repeat("x", 600))
	if got := w.status(); got != http.StatusAccepted {
		t.Errorf("the upload is answered with %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(h.log.String(), "cut off") {
		t.Error("the request was cut off")
	}
}

func TestUploadsCutOffAreKeptAsFarAsTheyCame(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir, "shutdown-timeout", "50ms")
	var locations []string
	for range 100 {
		location, _ := startUpload(t, h)
		locations = append(locations, location)
	}
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	h = inFolder(t, dir)
	password := h.password()
	for _, location := range locations {
		req, err := http.NewRequest(http.MethodGet, h.url+location, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("AWS", password)
		if got := h.do(req); got.status != http.StatusNoContent || got.header.Get("Range") != "0-399" {
			t.Errorf("%d, Range %q; want 204 and 0-399", got.status, got.header.Get("Range"))
		}
	}
}

// awaitLog waits until the log has a text. It is written without a pause, so
// that looking again and again is all there is to do.
func awaitLog(t testing.TB, h *house, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	for !strings.Contains(h.log.String(), text) {
		if ctx.Err() != nil {
			t.Fatalf("the log has no %q:\n%s", text, h.log)
		}
	}
}

func TestSecondServerIsRefused(t *testing.T) {
	dir := t.TempDir()
	inFolder(t, dir)
	c, err := config.Load(config.Sources{Flags: map[string]string{"listen": "127.0.0.1:0", "data": filepath.Join(dir, "data")}})
	if err != nil {
		t.Fatal(err)
	}
	var inUse *datadir.InUseError
	if _, err := server.New(context.Background(), server.Options{Config: c, Out: &buffer{}, Log: &buffer{}}); !errors.As(err, &inUse) {
		t.Errorf("a second server: %v", err)
	}
	if _, err := server.OpenKeeper(context.Background(), c); !errors.As(err, &inUse) {
		t.Errorf("a command that takes the store: %v", err)
	}
}

func TestFailedStartLeavesNothingOpen(t *testing.T) {
	taken, dir := dev(t), filepath.Join(t.TempDir(), "data")
	flags := map[string]string{"listen": taken.Address(), "data": dir}
	c, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	out := &buffer{}
	if _, err := server.New(context.Background(), server.Options{Config: c, Out: out, Log: &buffer{}}); err == nil {
		t.Fatal("two servers listen on one port")
	}
	h := newHouse(t, map[string]string{"data": dir})
	awaitLog(t, h, "msg=ready")
	if !strings.Contains(h.out.String(), "AWS_SECRET_ACCESS_KEY=") {
		t.Errorf("the root key was made by a start that failed, and is lost:\n%s", h.out)
	}
}

func TestCreateOnPushChangesWhileRunning(t *testing.T) {
	h := dev(t, "create-on-push", "never")
	begin := func() int {
		req, err := http.NewRequest(http.MethodPost, h.url+"/v2/new/blobs/uploads/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("AWS", h.password())
		return h.do(req).status
	}
	if got := begin(); got != http.StatusNotFound {
		t.Errorf("a push to no repository is answered %d", got)
	}
	h.flags["create-on-push"] = "always"
	done, err := h.Reload(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(admin.Reloaded{Changed: []string{"create-on-push"}}, done); diff != "" {
		t.Errorf("reload (-want +got):\n%s", diff)
	}
	if got := begin(); got != http.StatusAccepted {
		t.Errorf("after the reload it is answered %d", got)
	}
}

func TestEverySettingIsReadOrWaits(t *testing.T) {
	h := dev(t)
	for key, value := range map[string]string{
		"limits.manifest": "1MiB", "limits.layer": "1GiB", "repository-uri": "path", "external": "https://berth.example",
		"upload-expiry": "1h", "event-retention": "1h", "shutdown-timeout": "1s", "timeouts.body": "1s", "log-level": "error",
	} {
		h.flags[key] = value
	}
	for _, key := range []string{"listen", "account", "region", "log-format", "timeouts.idle", "data"} {
		h.flags[key] = map[string]string{
			"listen": "127.0.0.1:1", "account": "111111111111", "region": "eu-west-1", "log-format": "json", "timeouts.idle": "1s", "data": "x",
		}[key]
	}
	done, err := h.Reload(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := admin.Reloaded{
		Changed: []string{"repository-uri", "external", "upload-expiry", "event-retention", "limits.manifest", "limits.layer", "log-level", "shutdown-timeout", "timeouts.body"},
		Waiting: []string{"listen", "data", "account", "region", "log-format", "timeouts.idle"},
	}
	if diff := cmp.Diff(want, done); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	status, answer := h.call("CreateRepository", `{"repositoryName":"team/app"}`)
	if status != http.StatusOK || !strings.Contains(answer, h.Address()+"/000000000000/us-east-1/team/app") {
		t.Errorf("repositoryUri is not by path: %s", answer)
	}
}

func TestReadinessIsTheStores(t *testing.T) {
	h := dev(t)
	if got := h.get("/readyz").status; got != http.StatusOK {
		t.Errorf("readyz: %d", got)
	}
	st, err := h.Status(context.Background())
	if err != nil || !st.Ready || st.Data != config.Memory || st.Version != "1.2.3" || st.Address != h.Address() {
		t.Errorf("status %+v, %v", st, err)
	}
}
