package ociapi_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/auth/accounts"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
	"github.com/seed-78150930/berth/storage/memory"
)

func TestUploadInChunks(t *testing.T) {
	d := open(t)
	d.create("team/app")
	a := d.do("POST", "/v2/team/app/blobs/uploads/")
	want(t, a, 202, "")
	id := a.header.Get("Docker-Upload-UUID")
	path := "/v2/team/app/blobs/uploads/" + id
	wantHeader(t, a, "Location", base+path, "Range", "0-0")
	want(t, d.do("HEAD", path), 204, "")

	for i, step := range []struct {
		place, content, progress string
	}{
		{"0-3", "0123", "0-3"},
		{"", "45", "0-5"}, // without Content-Range it goes to the end
		{"6-6", "6", "0-6"},
	} {
		options := []option{body(step.content)}
		if step.place != "" {
			options = append(options, with("Content-Range", step.place))
		}
		a := d.do("PATCH", path, options...)
		want(t, a, 202, "")
		wantHeader(t, a, "Location", base+path, "Range", step.progress, "Docker-Upload-UUID", id)
		a = d.do("GET", path)
		want(t, a, 204, "")
		wantHeader(t, a, "Location", base+path, "Range", step.progress, "Docker-Upload-UUID", id)
		if a.body != "" {
			t.Errorf("step %d: status with a body %q", i, a.body)
		}
	}
	dig := sha256Of("0123456789").String()
	a = d.do("PUT", path+"?digest="+dig, with("Content-Range", "7-9"), body("789"))
	want(t, a, 201, "")
	wantHeader(t, a, "Location", base+"/v2/team/app/blobs/"+dig, "Docker-Content-Digest", dig, "Content-Length", "0")
	if got := d.do("GET", pathOf(t, a.header.Get("Location"))); got.body != "0123456789" {
		t.Errorf("pulled %q", got.body)
	}
	want(t, d.do("GET", path), 404, "BLOB_UPLOAD_UNKNOWN")
}

// TestUploadWays: whichever way a blob comes, it is there afterwards.
func TestUploadWays(t *testing.T) {
	d := open(t)
	d.create("team/app")
	uploads := "/v2/team/app/blobs/uploads/"
	for i, start := range []string{"", "?digest-algorithm=sha256", "?digest-algorithm=sha512"} {
		for j, way := range []string{"put", "patch and put", "streamed patch", "streamed put"} {
			for k, algorithm := range []string{"sha256", "sha512"} {
				content := fmt.Sprint("content", i, j, k)
				dig := sha256Of(content)
				if algorithm == "sha512" {
					dig = sha512Of(content)
				}
				a := d.do("POST", uploads+start)
				want(t, a, 202, "")
				path := pathOf(t, a.header.Get("Location"))
				last := []option{}
				switch way {
				case "put":
					last = append(last, body(content))
				case "streamed put":
					last = append(last, stream(strings.NewReader(content)))
				case "patch and put":
					want(t, d.do("PATCH", path, body(content)), 202, "")
				case "streamed patch":
					want(t, d.do("PATCH", path, stream(strings.NewReader(content))), 202, "")
				}
				want(t, d.do("PUT", path+"?digest="+dig.String(), last...), 201, "")
				if got := d.do("GET", "/v2/team/app/blobs/"+dig.String()); got.body != content {
					t.Errorf("%s, %s, %s: pulled %q", start, way, algorithm, got.body)
				}
			}
		}
	}
}

func TestUploadInOnePost(t *testing.T) {
	d := open(t)
	d.create("team/app")
	for _, content := range []string{"all at once", ""} {
		for _, dig := range []string{sha256Of(content).String(), sha512Of(content).String()} {
			a := d.do("POST", "/v2/team/app/blobs/uploads/?digest="+dig, body(content))
			want(t, a, 201, "")
			wantHeader(t, a, "Location", base+"/v2/team/app/blobs/"+dig, "Docker-Content-Digest", dig)
			if got := d.do("GET", "/v2/team/app/blobs/"+dig); got.status != 200 || got.body != content {
				t.Errorf("pulled %d %q", got.status, got.body)
			}
		}
	}
}

func TestStartUploadRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	dig := sha256Of("x").String()
	tests := []struct {
		path   string
		status int
		code   string
	}{
		{"team/none/blobs/uploads/", 404, "NAME_UNKNOWN"},
		{"team/none/blobs/uploads/?digest=" + dig, 404, "NAME_UNKNOWN"},
		{"team/none/blobs/uploads/?mount=" + dig + "&from=team/app", 404, "NAME_UNKNOWN"},
		{"Team/app/blobs/uploads/", 400, "NAME_INVALID"},
		{"team/app/blobs/uploads/?digest=sha256:1", 400, "DIGEST_INVALID"},
		{"team/app/blobs/uploads/?digest=", 400, "DIGEST_INVALID"},
		{"team/app/blobs/uploads/?digest=" + dig + "&digest=" + dig, 400, "UNSUPPORTED"},
		{"team/app/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"},
		{"team/app/blobs/uploads/?mount=..%2f..%2fetc", 400, "DIGEST_INVALID"},
		{"team/app/blobs/uploads/?mount=", 400, "DIGEST_INVALID"},
		{"team/app/blobs/uploads/?digest=%zz", 400, "UNSUPPORTED"},
	}
	d.unchanged(func() {
		for _, tt := range tests {
			want(t, d.do("POST", "/v2/"+tt.path), tt.status, tt.code)
		}
	})
}

func TestUploadUnknown(t *testing.T) {
	d := open(t, func(s *setup) { s.authorizer = auth.AuthorizerFunc(anyone{}.Authorize) })
	d.create("team/app", "team/other")
	mine := d.start("team/app")
	id := mine[strings.LastIndex(mine, "/")+1:]
	digest := "?digest=" + sha256Of("").String()
	colleague := d.colleague()
	tests := []struct {
		path    string
		options []option
	}{
		{"/v2/team/app/blobs/uploads/00000000-0000-4000-8000-000000000000", nil},
		{"/v2/team/app/blobs/uploads/" + strings.ToUpper(id), nil},
		{"/v2/team/app/blobs/uploads/..", nil},
		{"/v2/team/app/blobs/uploads/%2e%2e%2f" + id, nil},
		{"/v2/team/app/blobs/uploads/a%00b", nil},
		{"/v2/team/app/blobs/uploads/" + strings.Repeat("a", 5000), nil},
		{"/v2/team/other/blobs/uploads/" + id, nil},          // of another repository
		{mine, []option{as(colleague)}},                      // of another user
		{"/v2/team/app/blobs/uploads/" + id + "%20", nil},    // never decoded
		{"/v2/team/app/blobs/uploads/sha256:" + id[:8], nil}, // no id at all
	}
	d.unchanged(func() {
		for _, tt := range tests {
			for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
				path := tt.path
				if method == "PUT" {
					path += digest
				}
				want(t, d.do(method, path, tt.options...), 404, "BLOB_UPLOAD_UNKNOWN")
				want(t, d.do("PATCH", path, append(tt.options, with("Content-Range", "5-2"))...), 404, "BLOB_UPLOAD_UNKNOWN")
			}
		}
	})
	want(t, d.do("GET", mine), 204, "")
}

// colleague issues a password of another identity of the same account.
func (d *door) colleague() string {
	d.t.Helper()
	_, err := d.keys.CreateUser(d.t.Context(), account, accounts.NewUser{Name: "colleague"})
	must(d.t, err)
	key, err := d.keys.CreateFor(d.t.Context(), account, "colleague")
	must(d.t, err)
	return d.passwordOf(account, key.ID, region)
}

func TestContentRange(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	want(t, d.do("PATCH", path, body("0123456789")), 202, "")
	digest := "?digest=" + sha256Of("0123456789").String()
	tests := []struct {
		places  []string
		content option
	}{
		{[]string{"11-12"}, body("xx")}, // a gap
		{[]string{"9-10"}, body("xx")},  // an overlap
		{[]string{"0-9"}, body("0123456789")},
		{[]string{"12-11"}, body("")},
		{[]string{"10-9"}, body("")},
		{[]string{"10-11"}, body("x")},   // less than it says
		{[]string{"10-11"}, body("xxx")}, // more
		{[]string{"10-11"}, body("")},
		{[]string{"10"}, body("x")},
		{[]string{"10-"}, body("x")},
		{[]string{"-10"}, body("x")},
		{[]string{"-"}, body("x")},
		{[]string{""}, body("x")},
		{[]string{"bytes 10-10/11"}, body("x")},
		{[]string{"bytes=10-10"}, body("x")},
		{[]string{"10-10/*"}, body("x")},
		{[]string{" 10-10x"}, body("x")},
		{[]string{"+10-10"}, body("x")},
		{[]string{"10--10"}, body("x")},
		{[]string{"0xa-0xa"}, body("x")},
		{[]string{"10-9223372036854775807"}, body("x")},
		{[]string{"9223372036854775808-9223372036854775808"}, body("x")},
		{[]string{"99999999999999999999999-99999999999999999999999"}, stream(strings.NewReader("x"))},
		{[]string{"18446744073709551626-18446744073709551626"}, body("x")}, // 10 after an overflow of 64 bits
		{[]string{"10-10", "10-10"}, body("x")},
	}
	d.unchanged(func() {
		for _, tt := range tests {
			for _, method := range []string{"PATCH", "PUT"} {
				options := []option{tt.content}
				for _, p := range tt.places {
					options = append(options, with("Content-Range", p))
				}
				target := path
				if method == "PUT" {
					target += digest
				}
				a := d.do(method, target, options...)
				a.request += fmt.Sprintf(" %q", tt.places)
				want(t, a, 416, "BLOB_UPLOAD_INVALID")
				wantHeader(t, a, "Range", "0-9", "Location", base+path)
			}
		}
	})
	want(t, d.do("PUT", path+digest), 201, "")
}

// anyone may all.
type anyone struct{}

func (anyone) Authorize(context.Context, auth.Check) error { return nil }

// TestStreamedChunk: of a body without a length Content-Range alone says how
// long it is, and it must be so.
func TestStreamedChunk(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	a := d.do("PATCH", path, with("Content-Range", "0-3"), stream(strings.NewReader("0123")))
	want(t, a, 202, "")
	a = d.do("PATCH", path, with("Content-Range", "4-7"), stream(strings.NewReader("45")))
	want(t, a, 400, "SIZE_INVALID")
	wantHeader(t, a, "Range", "0-5", "Location", base+path)
	a = d.do("PATCH", path, with("Content-Range", "6-7"), stream(strings.NewReader("6789")))
	want(t, a, 400, "SIZE_INVALID")
	wantHeader(t, a, "Range", "0-7", "Location", base+path)
	want(t, d.do("PUT", path+"?digest="+sha256Of("01234567").String()), 201, "")
}

func TestFinishUploadRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	want(t, d.do("PATCH", path, body("content")), 202, "")
	d.unchanged(func() {
		for _, query := range []string{
			"", "?digest=", "?digest=sha256:0", "?digest=sha384:" + strings.Repeat("0", 96), "?digest=content",
			"?digest=" + strings.ToUpper(sha256Of("content").String()), "?DIGEST=" + sha256Of("content").String(),
		} {
			want(t, d.do("PUT", path+query, body("more")), 400, "DIGEST_INVALID")
		}
	})
	want(t, d.do("PUT", path+"?digest="+sha256Of("content").String()), 201, "")
}

// TestNothingStays of an upload that is refused as a whole.
func TestNothingStays(t *testing.T) {
	uploads, wrong := "/v2/team/app/blobs/uploads/", "?digest="+sha256Of("something else").String()
	tests := map[string]func(t *testing.T, d *door){
		"PUT with a wrong digest": func(t *testing.T, d *door) {
			path := d.start("team/app")
			want(t, d.do("PUT", path+wrong, body("content")), 400, "DIGEST_INVALID")
			want(t, d.do("GET", path), 404, "BLOB_UPLOAD_UNKNOWN")
		},
		"POST with a wrong digest": func(t *testing.T, d *door) {
			want(t, d.do("POST", uploads+wrong, body("content")), 400, "DIGEST_INVALID")
		},
		"POST over the limit": func(t *testing.T, d *door) {
			want(t, d.do("POST", uploads+"?digest="+sha256Of("01234567890").String(), body("01234567890")), 413, "SIZE_INVALID")
		},
		"streamed POST over the limit": func(t *testing.T, d *door) {
			a := d.do("POST", uploads+"?digest="+sha256Of("01234567890").String(), stream(strings.NewReader("01234567890")))
			want(t, a, 413, "SIZE_INVALID")
		},
		"cancelled": func(t *testing.T, d *door) {
			path := d.start("team/app")
			want(t, d.do("PATCH", path, body("content")), 202, "")
			want(t, d.do("DELETE", path), 204, "")
		},
	}
	for what, fn := range tests {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := build(t, func(s *setup) { s.registry.Limits = registry.Limits{Layer: 10} })
				d.create("team/app")
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- d.service.Run(ctx) }()
				d.unchanged(func() {
					fn(t, d)
					synctest.Wait() // until the bytes are cleared away
				})
				want(t, d.do("HEAD", "/v2/team/app/blobs/"+sha256Of("content").String()), 404, "")
				stop()
				must(t, <-done)
			})
		})
	}
}

func TestCancelUpload(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	want(t, d.do("PATCH", path, body("content")), 202, "")
	a := d.do("DELETE", path)
	want(t, a, 204, "")
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		want(t, d.do(method, path), 404, "BLOB_UPLOAD_UNKNOWN")
	}
}

// TestOneWriterPerUpload: while one request adds bytes, others are refused and
// told how far the upload is; it then goes on as if they had not been.
func TestOneWriterPerUpload(t *testing.T) {
	d := build(t) // without a network a write to the pipe ends when the upload has it
	d.create("team/app")
	path := d.start("team/app")
	digest := "?digest=" + sha256Of("first, second").String()
	in, out := io.Pipe()
	first := make(chan answer)
	go func() { first <- d.do("PATCH", path, stream(in)) }()
	_, err := out.Write([]byte("first"))
	must(t, err)
	for _, a := range []answer{
		d.do("PATCH", path, body("other")),
		d.do("PATCH", path, with("Content-Range", "0-4"), body("other")),
		d.do("PUT", path+digest),
		d.do("DELETE", path),
	} {
		want(t, a, 416, "BLOB_UPLOAD_INVALID")
	}
	want(t, d.do("GET", path), 204, "")
	_, err = out.Write([]byte(", second"))
	must(t, err)
	out.Close()
	want(t, <-first, 202, "")
	want(t, d.do("PUT", path+digest), 201, "")
}

// TestUploadSurvivesRestart: what was checkpointed can be carried on with by a
// new process over the same store.
func TestUploadSurvivesRestart(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	want(t, d.do("PATCH", path, body("first half")), 202, "")
	must(t, d.service.Close(t.Context()))

	again := open(t, func(s *setup) { s.registry.Index, s.registry.Blobs = d.index, d.blobs })
	a := again.do("GET", path)
	want(t, a, 204, "")
	wantHeader(t, a, "Range", "0-9")
	want(t, again.do("PATCH", path, with("Content-Range", "10-15"), body(", rest")), 202, "")
	want(t, again.do("PUT", path+"?digest="+sha256Of("first half, rest").String()), 201, "")
}

func TestUploadLimits(t *testing.T) {
	d := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Layer: 10, Uploads: 2} })
	d.create("team/app")
	path := d.start("team/app")
	d.unchanged(func() { want(t, d.do("PATCH", path, body("01234567890")), 413, "SIZE_INVALID") })
	a := d.do("PATCH", path, stream(strings.NewReader("01234567890")))
	want(t, a, 413, "SIZE_INVALID")
	wantHeader(t, a, "Range", "0-9") // the byte after the limit is not there

	second := d.start("team/app")
	d.unchanged(func() {
		want(t, d.do("POST", "/v2/team/app/blobs/uploads/"), 429, "TOOMANYREQUESTS")
		want(t, d.do("POST", "/v2/team/app/blobs/uploads/?digest="+sha256Of("").String()), 429, "TOOMANYREQUESTS")
	})
	want(t, d.do("DELETE", second), 204, "")
	want(t, d.do("PUT", path+"?digest="+sha256Of("0123456789").String()), 201, "")
	d.start("team/app")
}

func TestContentEncodingRefused(t *testing.T) {
	d := open(t)
	d.create("team/app")
	path := d.start("team/app")
	dig := sha256Of("content").String()
	d.unchanged(func() {
		for _, e := range []string{"gzip", "zstd", "identity, gzip", "x"} {
			gzip, content := with("Content-Encoding", e), body("content")
			want(t, d.do("PATCH", path, gzip, content), 415, "UNSUPPORTED")
			want(t, d.do("PUT", path+"?digest="+dig, gzip, content), 415, "UNSUPPORTED")
			want(t, d.do("POST", "/v2/team/app/blobs/uploads/?digest="+dig, gzip, content), 415, "UNSUPPORTED")
			want(t, d.do("PUT", "/v2/team/app/manifests/1", gzip, content), 415, "UNSUPPORTED")
		}
	})
	want(t, d.do("PUT", path+"?digest="+dig, with("Content-Encoding", "identity"), body("content")), 201, "")
}

// fullDisk has no room for bytes.
type fullDisk struct{ storage.Blobs }

func (fullDisk) Append(context.Context, string, int64, io.Reader) (int64, error) {
	return 0, fmt.Errorf("write: %w", storage.ErrFull)
}

// fullIndex has no room for rows once it is full.
type fullIndex struct {
	storage.Index
	full *atomic.Bool
}

func (x fullIndex) Update(ctx context.Context, fn func(storage.Tx) error) error {
	if x.full.Load() {
		return fmt.Errorf("commit: %w", storage.ErrFull)
	}
	return x.Index.Update(ctx, fn)
}

func TestStoreFull(t *testing.T) {
	d := open(t, func(s *setup) { s.registry.Blobs = fullDisk{memory.NewBlobs()} })
	d.create("team/app")
	path := d.start("team/app")
	d.unchanged(func() {
		want(t, d.do("PATCH", path, body("content")), 507, "UNAVAILABLE")
		want(t, d.do("PUT", path+"?digest="+sha256Of("content").String(), body("content")), 507, "UNAVAILABLE")
	})
}

func TestIndexFull(t *testing.T) {
	var full atomic.Bool
	d := open(t, func(s *setup) { s.registry.Index = fullIndex{memory.NewIndex(), &full} })
	d.create("team/app", "team/from")
	dig := d.push("team/from", "shared").Digest.String()
	m := d.tag("team/app", "1", "layer")
	full.Store(true)
	d.unchanged(func() {
		want(t, d.put("team/app", "2", imageType, m), 507, "UNAVAILABLE")
		want(t, d.do("POST", "/v2/team/app/blobs/uploads/?from=team/from&mount="+dig), 507, "UNAVAILABLE")
		want(t, d.do("DELETE", "/v2/team/app/manifests/1"), 507, "UNAVAILABLE")
	})
	if a := d.do("GET", "/v2/team/app/manifests/1"); a.body != m {
		t.Errorf("pulled %d %q", a.status, a.body)
	}
}
