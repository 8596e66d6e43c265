package server_test

import (
	"net/http"
	"testing"
)

// sink is a ResponseWriter that a server's own cost can be told from.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

func (s *sink) WriteHeader(status int) { s.status = status }

// BenchmarkAnswers has the server alone answer what pulls ask for, without a
// connection or a client.
func BenchmarkAnswers(b *testing.B) {
	d := openBench(b)
	img := d.smallImage(0)
	d.must(d.pushImage("team/app", "latest", img))
	answer := func(method, path string, want int) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			r := d.v2(method, path, nil)
			r.RemoteAddr, r.Body = "127.0.0.1:50000", http.NoBody
			for b.Loop() {
				w := &sink{header: http.Header{}}
				d.house.ServeHTTP(w, r)
				if w.status != want {
					b.Fatalf("%s %s: %d, want %d", method, path, w.status, want)
				}
			}
		}
	}
	b.Run("HeadManifest", answer(http.MethodHead, "/v2/team/app/manifests/latest", http.StatusOK))
	b.Run("GetManifest", answer(http.MethodGet, "/v2/team/app/manifests/"+sha256Of(img.manifest), http.StatusOK))
	b.Run("HeadBlob", answer(http.MethodHead, "/v2/team/app/blobs/"+img.ids[1], http.StatusOK))
	b.Run("GetBlob", answer(http.MethodGet, "/v2/team/app/blobs/"+img.ids[1], http.StatusOK))
	b.Run("TagsPage", answer(http.MethodGet, "/v2/team/app/tags/list?n=100", http.StatusOK))
	b.Run("CatalogPage", answer(http.MethodGet, "/v2/_catalog?n=100", http.StatusOK))
}
