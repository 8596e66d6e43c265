package server_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestRouting(t *testing.T) {
	h := dev(t)
	tests := []struct {
		path   string
		status int
		oci    bool // the OCI door answers
	}{
		{"/v2", 401, true},
		{"/v2/", 401, true},
		{"/v2/a/manifests/1", 401, true},
		{"/v2//a", 401, true},
		{"/v2/../healthz", 401, true},
		{"/v2/%2e%2e/healthz", 401, true},
		{"/v2/a%2fb/tags/list", 401, true},
		{"/layers/x", 403, false},
		{"/healthz", 200, false},
		{"/readyz", 200, false},
		{"/v2x", 404, false},
		{"/V2/", 404, false},
		{"//v2/", 404, false},
		{"/%762/", 404, false},
		{"/v2%2f", 404, false},
		{"/./v2/", 404, false},
		{"/x/../v2/", 404, false},
		{"/layers", 404, false},
		{"/healthz/", 404, false},
		{"/favicon.ico", 404, false},
		{"//", 404, false},
		{"/%2f", 404, false},
	}
	for _, tt := range tests {
		w := h.dial()
		w.send("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", tt.path)
		resp, err := http.ReadResponse(w.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		oci := resp.Header.Get("Docker-Distribution-Api-Version") != ""
		if resp.StatusCode != tt.status || oci != tt.oci && tt.status != 403 {
			t.Errorf("%s: %d, by the OCI door: %v; want %d, %v", tt.path, resp.StatusCode, oci, tt.status, tt.oci)
		}
		if resp.Header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: no request id", tt.path)
		}
	}
}

func TestAWSProtocolsAreToldApart(t *testing.T) {
	h := dev(t)
	if status, answer := h.call("DescribeRegistry", "{}"); status != http.StatusOK || !strings.Contains(answer, `"registryId":"000000000000"`) {
		t.Errorf("JSON: %d %s", status, answer)
	}
	for path, want := range map[string]string{"/": "MissingAuthenticationToken", "/?Action=GetCallerIdentity&Version=2011-06-15": "<ErrorResponse"} {
		if got := h.get(path); got.status/100 != 4 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s, want %s", path, got.status, got.body, want)
		}
	}
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestRequestIDIsInHeaderAndLog(t *testing.T) {
	h := dev(t)
	seen := map[string]bool{}
	for _, path := range []string{"/", "/v2/", "/nowhere", "/?Action=X", "/layers/x"} {
		req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amzn-Requestid", "mine")
		req.Header.Set("X-Request-Id", "mine")
		got := h.do(req)
		id := got.header.Get("X-Amzn-Requestid")
		if !uuid.MatchString(id) || seen[id] {
			t.Errorf("%s: request id %q", path, id)
		}
		seen[id] = true
		if !strings.Contains(h.log.String(), "msg=request id="+id) {
			t.Errorf("%s: the log lacks %s", path, id)
		}
	}
}

func TestPanicIsAnsweredAndTold(t *testing.T) {
	h := dev(t)
	h.OpenDoor(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			_, _ = w.Write([]byte("half"))
		}
		panic("a nil map, say")
	}))
	got := h.get("/v2/")
	id := got.header.Get("X-Amzn-Requestid")
	if got.status != http.StatusInternalServerError || got.body != "internal error, request "+id+"\n" {
		t.Errorf("answer %d %q", got.status, got.body)
	}
	for _, want := range []string{`panic="a nil map, say"`, "request_test.go", "id=" + id, "status=500"} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, h.log)
		}
	}
	if resp, err := http.Get(h.url + "/"); err == nil {
		resp.Body.Close()
		t.Errorf("an answer that broke off came as %s", resp.Status)
	}
	if got := h.get("/healthz").status; got != http.StatusOK {
		t.Errorf("afterwards the server answers %d", got)
	}
}

func TestAbortIsNoFault(t *testing.T) {
	h := dev(t)
	h.OpenDoor(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if resp, err := http.Get(h.url + "/v2/"); err == nil {
		resp.Body.Close()
		t.Errorf("answer %s, want none", resp.Status)
	}
	if strings.Contains(h.log.String(), "level=ERROR") {
		t.Errorf("the log has a fault:\n%s", h.log)
	}
}

// A door can do no better than to fail when its client goes away or the server
// stops. The log tells the two apart.
func TestFaultForLackOfAClientIsNone(t *testing.T) {
	for why, want := range map[string]string{"client": "status=499", "server": "status=500"} {
		t.Run(why, func(t *testing.T) {
			h := dev(t, "shutdown-timeout", "1ms")
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			stopped := make(chan error, 1)
			h.OpenDoor(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if why == "client" {
					leave()
				} else {
					go func() { stopped <- h.stop() }()
				}
				<-r.Context().Done()
				w.WriteHeader(http.StatusInternalServerError)
			}))
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/v2/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, err := h.client.Do(req); err == nil {
				resp.Body.Close()
			}
			awaitLog(t, h, want)
			if why == "server" {
				<-stopped
			}
		})
	}
}

func TestLogTellsWhoAskedWhat(t *testing.T) {
	h := dev(t, "log-format", "json")
	req, err := http.NewRequest(http.MethodPost, h.url+"/v2/team/app/blobs/uploads/?digest=sha256:0", strings.NewReader("12345"))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("AWS", h.password())
	req.Header.Set("X-Forwarded-For", "203.0.113.9")
	req.Header.Set("User-Agent", "tester\nlevel=ERROR"[:6])
	h.do(req)
	for _, want := range []string{`"method":"POST"`, `"path":"/v2/team/app/blobs/uploads/"`, `"remote":"127.0.0.1:`, `"agent":"tester"`, `"took":`, `"target":"AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"`} {
		if !strings.Contains(h.log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, h.log)
		}
	}
	if strings.Contains(h.log.String(), "203.0.113.9") {
		t.Error("the log believes a header")
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	h := dev(t, "log-level", "debug")
	password := h.password()
	for _, path := range []string{
		"/v2/", "/?X-Amz-Signature=planted-signature&Action=GetCallerIdentity", "/layers/a/b/c/d?signature=planted-signature", "/v2/a/tags/list?planted-query",
	} {
		req, err := http.NewRequest(http.MethodGet, h.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("AWS", password)
		req.Header.Set("X-Amz-Security-Token", "planted-token")
		req.Header.Set("Cookie", "planted-cookie")
		h.do(req)
	}
	for _, secret := range []string{password, "planted", "Signature=", "Basic "} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log tells %q:\n%s", secret, h.log)
		}
	}
}

func TestLongTextsAreClipped(t *testing.T) {
	h := dev(t)
	h.get("/" + strings.Repeat("long", 1000))
	if strings.Contains(h.log.String(), strings.Repeat("long", 200)) {
		t.Error("a path of 4,000 letters is in the log")
	}
}
