package ociapi_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// raw sends bytes over a connection of its own and reads the answers to their
// end. With half set it sends no more after them, and lets the server see it.
func (d *door) raw(request string, half bool) string {
	d.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	must(d.t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	must(d.t, err)
	if half {
		must(d.t, conn.(*net.TCPConn).CloseWrite())
	}
	// The server may reset what it does not read: what came before counts.
	got, _ := io.ReadAll(conn)
	return string(got)
}

// basic is the Authorization line of the door's user.
func (d *door) basic() string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+d.password)) + "\r\n"
}

// TestSmuggling: where two servers could disagree on where a request ends, it
// is refused and the connection with it. What follows is not taken for a
// request. (What net/http is lenient about, a length beside chunks and folded
// lines, no handler can see: the server's listener refuses it.)
func TestSmuggling(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	inner := "DELETE " + path + " HTTP/1.1\r\nHost: localhost\r\n" + d.basic() + "\r\n"
	head := "Host: localhost:5000\r\n" + d.basic()
	tests := map[string]string{
		"two lengths": "PATCH " + path + " HTTP/1.1\r\n" + head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + inner,
		"bad length":  "PATCH " + path + " HTTP/1.1\r\n" + head + "Content-Length: +0\r\n\r\n" + inner,
		"bad coding":  "PATCH " + path + " HTTP/1.1\r\n" + head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + inner,
		"two codings": "PATCH " + path + " HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"bad chunk":   "PATCH " + path + " HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n" + inner,
		"long chunk":  "PATCH " + path + " HTTP/1.1\r\n" + head + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + inner,
		"space":       "PATCH " + path + " HTTP/1.1\r\n" + head + "Content-Length : 0\r\n\r\n" + inner,
		"NUL":         "PATCH " + path + "\x00 HTTP/1.1\r\n" + head + "Content-Length: 0\r\n\r\n" + inner,
		"two hosts":   "PATCH " + path + " HTTP/1.1\r\nHost: a\r\n" + head + "Content-Length: 0\r\n\r\n" + inner,
	}
	for what, request := range tests {
		got := d.raw(request, true)
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
		if err != nil {
			t.Errorf("%s: answered %q: %v", what, got, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 400 && resp.StatusCode != 501 || !resp.Close || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: answered %q, want one refusal", what, got)
		}
	}
	want(t, d.do("GET", path), 204, "") // nobody has deleted it
}

// TestBodyBreaksOff: what came of a body stays, and the client can go on.
func TestBodyBreaksOff(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	head := "Host: localhost:5000\r\n" + d.basic()
	got := d.raw("PATCH "+path+" HTTP/1.1\r\n"+head+"Content-Length: 100\r\n\r\n01234", true)
	for _, part := range []string{"HTTP/1.1 400 ", "SIZE_INVALID", "Range: 0-4\r\n", "Connection: close\r\n"} {
		if !strings.Contains(got, part) {
			t.Errorf("answered %q, want %q in it", got, part)
		}
	}
	wantHeader(t, d.do("GET", path), "Range", "0-4")

	// A whole upload that breaks off leaves nothing that could be pulled, nor
	// does a PUT; of the latter the upload stays.
	dig := sha256Of("0123456789").String()
	for _, line := range []string{"POST /v2/team/app/blobs/uploads/", "PUT " + path} {
		got := d.raw(fmt.Sprintf("%s?digest=%s HTTP/1.1\r\n%sContent-Length: 10\r\n\r\n56789", line, dig, head), true)
		if !strings.Contains(got, "HTTP/1.1 400 ") || !strings.Contains(got, "SIZE_INVALID") {
			t.Errorf("%s: answered %q", line, got)
		}
		want(t, d.do("HEAD", "/v2/team/app/blobs/"+dig), 404, "")
	}
	wantHeader(t, d.do("GET", path), "Range", "0-9")
	want(t, d.do("PUT", path+"?digest="+dig), 201, "")

	got = d.raw("PUT /v2/team/app/manifests/1 HTTP/1.1\r\n"+head+"Content-Length: 100\r\n\r\n{", true)
	if !strings.Contains(got, "HTTP/1.1 400 ") {
		t.Errorf("manifest: answered %q", got)
	}
}

// TestNothingIsReadUnasked: a client that waits for leave to send its body is
// refused before it has sent it.
func TestNothingIsReadUnasked(t *testing.T) {
	d := open(t)
	d.create("team/app")
	for line, status := range map[string]string{
		"Host: localhost:5000\r\n":             "401 ",
		"Host: localhost:5000\r\n" + d.basic(): "404 ",
	} {
		got := d.raw("PUT /v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000?digest="+someDigest+" HTTP/1.1\r\n"+
			line+"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n", true)
		if !strings.HasPrefix(got, "HTTP/1.1 "+status) {
			t.Errorf("answered %q, want %s first", got, status)
		}
	}
}
