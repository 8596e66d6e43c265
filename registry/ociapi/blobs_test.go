package ociapi_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestPullBlob(t *testing.T) {
	d := open(t)
	d.create("team/app")
	for _, content := range []string{"hello, layer", ""} {
		path := "/v2/team/app/blobs/" + d.push("team/app", content).Digest.String()
		for _, method := range []string{"GET", "HEAD"} {
			a := d.do(method, path)
			want(t, a, 200, "")
			wantHeader(t, a,
				"Content-Length", fmt.Sprint(len(content)), "Content-Type", "application/octet-stream",
				"Docker-Content-Digest", sha256Of(content).String(), "Etag", `"`+sha256Of(content).String()+`"`,
				"Accept-Ranges", "bytes", "Content-Range", "", "Cache-Control", "private, max-age=31536000, immutable")
			if method == "GET" && a.body != content {
				t.Errorf("pulled %q, want %q", a.body, content)
			}
		}
	}
}

func TestPullBlobRefused(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/other")
	d.push("team/other", "only there")
	hex := strings.Repeat("a", 64)
	tests := []struct {
		path   string
		status int
		code   string
	}{
		{"team/app/blobs/sha256:" + hex, 404, "BLOB_UNKNOWN"},
		{"team/app/blobs/" + sha256Of("only there").String(), 404, "BLOB_UNKNOWN"}, // its bytes are kept, for others
		{"team/none/blobs/sha256:" + hex, 404, "NAME_UNKNOWN"},
		{"team/app/blobs/sha256:" + hex[1:], 400, "DIGEST_INVALID"},
		{"team/app/blobs/sha256:" + strings.ToUpper(hex), 400, "DIGEST_INVALID"},
		{"team/app/blobs/sha256:", 400, "DIGEST_INVALID"},
		{"team/app/blobs/sha256:sha256:" + hex, 400, "DIGEST_INVALID"},
		{"team/app/blobs/md5:" + hex[:32], 400, "DIGEST_INVALID"},
		{"team/app/blobs/" + hex, 400, "DIGEST_INVALID"},
		{"team/app/blobs/sha256:..%2f..%2f" + hex, 400, "DIGEST_INVALID"},
		{"team/app/blobs/sha256:%00" + hex, 400, "DIGEST_INVALID"},
	}
	d.unchanged(func() {
		for _, tt := range tests {
			for _, method := range []string{"GET", "DELETE"} {
				want(t, d.do(method, "/v2/"+tt.path), tt.status, tt.code)
			}
			want(t, d.do("HEAD", "/v2/"+tt.path), tt.status, "")
		}
	})
}

func TestColonOfDigestMayBeEncoded(t *testing.T) {
	d := open(t)
	d.create("team/app")
	dig := d.push("team/app", "x").Digest.String()
	for _, colon := range []string{"%3A", "%3a"} {
		want(t, d.do("GET", "/v2/team/app/blobs/"+strings.Replace(dig, ":", colon, 1)), 200, "")
	}
}

func TestRange(t *testing.T) {
	d := open(t)
	d.create("team/app")
	const content = "0123456789"
	path := "/v2/team/app/blobs/" + d.push("team/app", content).Digest.String()
	many := "bytes=" + strings.Repeat("0-0,", 999) + "0-0"
	tests := []struct {
		ranges []string
		status int
		span   string // Content-Range
		body   string
	}{
		{[]string{"bytes=0-3"}, 206, "bytes 0-3/10", "0123"},
		{[]string{"bytes=4-"}, 206, "bytes 4-9/10", "456789"},
		{[]string{"bytes=-2"}, 206, "bytes 8-9/10", "89"},
		{[]string{"bytes=-99"}, 206, "bytes 0-9/10", content},
		{[]string{"bytes=9-99"}, 206, "bytes 9-9/10", "9"},
		{[]string{"bytes=0-99999999999999999999999"}, 206, "bytes 0-9/10", content},
		{[]string{"BYTES= 1-1 "}, 206, "bytes 1-1/10", "1"},
		{[]string{"bytes=5-2"}, 416, "bytes */10", ""},
		{[]string{"bytes=-0"}, 416, "bytes */10", ""},
		{[]string{"bytes=10-"}, 416, "bytes */10", ""},
		{[]string{"bytes=99999999999999999999999-"}, 416, "bytes */10", ""},
		{[]string{"bytes="}, 416, "bytes */10", ""},
		{[]string{"bytes=-"}, 416, "bytes */10", ""},
		{[]string{"bytes=--1"}, 416, "bytes */10", ""},
		{[]string{"bytes=a-b"}, 416, "bytes */10", ""},
		{[]string{"bytes=+1-2"}, 416, "bytes */10", ""},
		{[]string{"bytes=0x1-2"}, 416, "bytes */10", ""},
		{[]string{"lines=0-3"}, 200, "", content},
		{[]string{"bytes"}, 416, "bytes */10", ""},
		{[]string{"bytes=0-3,2-5"}, 200, "", content},
		{[]string{"bytes=0-3", "bytes=2-5"}, 200, "", content},
		{[]string{many}, 200, "", content},
	}
	for _, tt := range tests {
		var options []option
		for _, r := range tt.ranges {
			options = append(options, with("Range", r))
		}
		a := d.do("GET", path, options...)
		a.request += fmt.Sprintf(" %.60q", tt.ranges)
		if tt.status != 416 {
			want(t, a, tt.status, "")
			wantHeader(t, a, "Content-Length", fmt.Sprint(len(tt.body)), "Content-Type", "application/octet-stream")
			if a.body != tt.body {
				t.Errorf("%s: %q, want %q", a.request, a.body, tt.body)
			}
		} else if a.status != 416 {
			t.Errorf("%s: status %d, want 416", a.request, a.status)
		}
		wantHeader(t, a, "Content-Range", tt.span)
		// RFC 9110, section 14.2: a Range is for GET alone.
		head := d.do("HEAD", path, options...)
		want(t, head, 200, "")
		wantHeader(t, head, "Content-Length", "10", "Content-Range", "")
	}
}

func TestRangeOfEmptyBlob(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := "/v2/team/app/blobs/" + d.push("team/app", "").Digest.String()
	for spec, status := range map[string]int{"bytes=0-": 200, "bytes=0-5": 200, "bytes=-5": 200, "bytes=5-2": 416, "bytes=-0": 416} {
		if a := d.do("GET", path, with("Range", spec)); a.status != status {
			t.Errorf("%s: status %d, want %d", spec, a.status, status)
		}
	}
}

func TestConditions(t *testing.T) {
	d := open(t)
	d.create("team/app")
	const content = "0123456789"
	dig := d.push("team/app", content).Digest.String()
	tag, foreign := `"`+dig+`"`, `"sha256:0"`
	tests := []struct {
		header, value string
		status        int
	}{
		{"If-None-Match", tag, 304},
		{"If-None-Match", "W/" + tag, 304},
		{"If-None-Match", foreign + ", " + tag, 304},
		{"If-None-Match", "*", 304},
		{"If-None-Match", foreign, 206},
		{"If-None-Match", dig, 206}, // without quotes it is no entity tag
		{"If-Match", tag, 206},
		{"If-Match", "*", 206},
		{"If-Match", foreign, 412},
		{"If-Match", "W/" + tag, 412}, // RFC 9110, section 13.1.1: strongly compared
		{"If-Range", tag, 206},
		{"If-Range", "W/" + tag, 200},
		{"If-Range", foreign, 200},
		{"If-Range", "Wed, 21 Oct 2015 07:28:00 GMT", 200},
	}
	for _, tt := range tests {
		a := d.do("GET", "/v2/team/app/blobs/"+dig, with("Range", "bytes=2-3"), with(tt.header, tt.value))
		if a.status != tt.status {
			t.Errorf("%s: %s: status %d, want %d", tt.header, tt.value, a.status, tt.status)
		}
		if a.status == 304 {
			wantHeader(t, a, "Etag", tag, "Docker-Content-Digest", dig)
			want(t, d.do("HEAD", "/v2/team/app/blobs/"+dig, with(tt.header, tt.value)), 304, "")
		}
	}
}

func TestDeleteBlob(t *testing.T) {
	d := open(t)
	d.create("team/app", "team/other")
	used := sha256Of("used").String()
	d.tag("team/app", "1", "used")
	d.unchanged(func() { want(t, d.do("DELETE", "/v2/team/app/blobs/"+used), 405, "UNSUPPORTED") })

	loose := d.push("team/app", "loose").Digest.String()
	d.push("team/other", "loose")
	want(t, d.do("DELETE", "/v2/team/app/blobs/"+loose), 202, "")
	want(t, d.do("HEAD", "/v2/team/app/blobs/"+loose), 404, "")
	want(t, d.do("GET", "/v2/team/app/blobs/"+loose), 404, "BLOB_UNKNOWN")
	want(t, d.do("DELETE", "/v2/team/app/blobs/"+loose), 404, "BLOB_UNKNOWN")
	want(t, d.do("GET", "/v2/team/other/blobs/"+loose), 200, "")
}

// fileBlobs opens blobs as files, as a store on disk does.
type fileBlobs struct {
	storage.Blobs
	dir string
}

func (b fileBlobs) Open(ctx context.Context, id string) (io.ReadSeekCloser, error) {
	r, err := b.Blobs.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(b.dir, id)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// readerFrom is a ResponseWriter that notes what it is given to read from.
type readerFrom struct {
	*httptest.ResponseRecorder
	from []io.Reader
}

func (w *readerFrom) ReadFrom(r io.Reader) (int64, error) {
	w.from = append(w.from, r)
	return io.Copy(w.ResponseRecorder, r)
}

// TestSendfile: the server's own writer sends files by itself, if it is handed
// them with nothing but a limit around.
func TestSendfile(t *testing.T) {
	d := build(t, func(s *setup) { s.registry.Blobs = fileBlobs{memory.NewBlobs(), t.TempDir()} })
	d.create("team/app")
	content := strings.Repeat("layer ", 1000)
	dig := d.push("team/app", content).Digest.String()
	for _, span := range []string{"", "bytes=6-11"} {
		r := httptest.NewRequest("GET", "http://localhost:5000/v2/team/app/blobs/"+dig, nil)
		r.SetBasicAuth("AWS", d.password)
		if span != "" {
			r.Header.Set("Range", span)
		}
		w := &readerFrom{ResponseRecorder: httptest.NewRecorder()}
		d.handler.ServeHTTP(w, r)
		if len(w.from) != 1 {
			t.Fatalf("ReadFrom was called %d times", len(w.from))
		}
		limited, ok := w.from[0].(*io.LimitedReader)
		if !ok {
			t.Fatalf("ReadFrom got a %T", w.from[0])
		}
		if _, ok := limited.R.(*os.File); !ok {
			t.Errorf("ReadFrom got a limit around a %T", limited.R)
		}
		if want := content; span == "" && w.Body.String() != want || span != "" && w.Body.String() != want[6:12] {
			t.Errorf("range %q: %d bytes", span, w.Body.Len())
		}
	}
}

// shortBlobs loses the end of each blob.
type shortBlobs struct{ storage.Blobs }

type shortReader struct{ *bytes.Reader }

func (shortReader) Close() error { return nil }

func (b shortBlobs) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return shortReader{bytes.NewReader([]byte("ha"))}, nil
}

func TestDamagedBlobBreaksOff(t *testing.T) {
	d := open(t, func(s *setup) { s.registry.Blobs = shortBlobs{memory.NewBlobs()} })
	d.create("team/app")
	dig := d.push("team/app", "half of it").Digest.String()
	r, err := http.NewRequest("GET", d.url+"/v2/team/app/blobs/"+dig, nil)
	must(t, err)
	r.SetBasicAuth("AWS", d.password)
	if got, err := readAll(r); err == nil {
		t.Errorf("read %q to its end", got)
	}
	if n := strings.Count(d.log.String(), "answer broke off"); n != 1 {
		t.Errorf("logged %d times: %s", n, d.log)
	}
}

// readAll makes a request by a connection of its own: one that was used before
// would be tried again.
func readAll(r *http.Request) ([]byte, error) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
