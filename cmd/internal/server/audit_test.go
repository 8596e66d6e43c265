package server_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// TestRecordsTellWhoAskedFromWhere calls each door with headers that tell of other
// addresses, as anybody may write them.
func TestRecordsTellWhoAskedFromWhere(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir)
	sent := map[string]string{} // ids of requests by door
	for door, req := range requestsToEachDoor(t, h) {
		for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Forwarded-Host"} {
			req.Header.Set(name, "203.0.113.9")
		}
		sent[door] = h.do(req).header.Get("x-amzn-RequestId")
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "data", "audit", "audit.jsonl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(string(text)) {
		var r struct {
			RequestID, SourceIPAddress string
			AdditionalEventData        struct{ Door string }
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if sent[r.AdditionalEventData.Door] == r.RequestID && r.RequestID != "" {
			found[r.AdditionalEventData.Door] = r.SourceIPAddress
		}
	}
	for door, id := range sent {
		if found[door] != "127.0.0.1" {
			t.Errorf("%s: request %s came from %q", door, id, found[door])
		}
	}
	if report, err := audit.VerifyTrail(file, nil); err != nil || len(report.Breaks) > 0 || report.Records < 4 {
		t.Errorf("%+v, %v", report, err)
	}
	if strings.Contains(string(text), "203.0.113.9") {
		t.Error("an address that a header claims is in the records")
	}
}

// requestsToEachDoor has a request that is answered for each door.
func requestsToEachDoor(t *testing.T, h *house) map[string]*http.Request {
	t.Helper()
	const form = "Action=GetCallerIdentity&Version=2011-06-15"
	post := func(body, kind string) *http.Request {
		req, err := http.NewRequest(http.MethodPost, h.url+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		return req
	}
	ecr, sts := post("{}", "application/x-amz-json-1.1"), post(form, "application/x-www-form-urlencoded")
	ecr.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories")
	sigv4test.Key{ID: "test", Secret: "test", Region: "us-east-1", Service: "ecr"}.Sign(ecr, "{}", time.Now())
	sigv4test.Key{ID: "test", Secret: "test", Region: "us-east-1", Service: "sts"}.Sign(sts, form, time.Now())
	get := func(path string) *http.Request {
		req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		return req
	}
	oci := get("/v2/")
	oci.SetBasicAuth("AWS", h.password())
	return map[string]*http.Request{
		"ecr": ecr, "sts": sts, "oci": oci, "layers": get("/layers/none"), "container-credentials": get("/container-credentials"),
	}
}

func TestTrailThatIsOffRecordsNothing(t *testing.T) {
	dir := t.TempDir()
	h := inFolder(t, dir, "audit.file", "off")
	if status, _ := h.call("DescribeRepositories", "{}"); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "audit")); !os.IsNotExist(err) {
		t.Errorf("a folder for records: %v", err)
	}
}

func TestRequiredTrailOfAServerThatKeepsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "elsewhere", "trail.jsonl")
	h := dev(t, "audit.file", file, "audit.required", "true", "audit.max-size", "1MiB", "audit.keep", "2")
	if got := h.get("/readyz"); got.status != http.StatusOK {
		t.Errorf("not ready: %d", got.status)
	}
	if status, answer := h.call("CreateRepository", `{"repositoryName":"app"}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, answer)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), `"eventName":"CreateRepository"`) {
		t.Errorf("answered before it was recorded: %s, %v", text, err)
	}
}
