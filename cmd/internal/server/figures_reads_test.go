package server_test

import (
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// TestFigureTransactionsOfAPull counts what a pull asks of the index: one look at the
// image or layer. Who asks, and what they may, is known from before. When anything else
// has changed since, the repository's policy and tags are looked at once more, for all
// requests until the next change.
func TestFigureTransactionsOfAPull(t *testing.T) {
	var c tally
	d := openWatched(t, map[string]string{"data": filepath.Join(t.TempDir(), "data"), "log-level": "warn", "login.bearer": "true"}, c.watch())
	d.createRepository("team/app")
	d.mustCall("SetRepositoryPolicy", members{"repositoryName": "team/app", "policyText": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`}, nil)
	img := d.smallImage(1)
	d.must(d.pushImage("team/app", "latest", img))
	made, err := admin.CreatePassword.Ask(t.Context(), d.house, admin.NewPassword{OfUser: d.bob()})
	d.must(err)
	password := made.Password.Reveal()
	changes := 0
	for who, show := range map[string]func(*http.Request) *http.Request{
		"root by password":   func(r *http.Request) *http.Request { r.SetBasicAuth("AWS", d.password); return r },
		"a user by password": func(r *http.Request) *http.Request { r.SetBasicAuth("AWS", password); return r },
		"a user by bearer":   d.bearing(password, "repository:team/app:pull"),
	} {
		for _, tt := range []struct{ what, method, path string }{
			{"HEAD manifest", http.MethodHead, "/v2/team/app/manifests/latest"},
			{"GET manifest", http.MethodGet, "/v2/team/app/manifests/latest"},
			{"GET manifest by digest", http.MethodGet, "/v2/team/app/manifests/" + sha256Of(img.manifest)},
			{"HEAD blob", http.MethodHead, "/v2/team/app/blobs/" + img.ids[1]},
			{"GET blob", http.MethodGet, "/v2/team/app/blobs/" + img.ids[1]},
		} {
			ask := func() {
				_, err := d.ok(show(d.request(tt.method, tt.path, nil)), http.StatusOK)
				d.must(err)
			}
			ask()
			figure(t, "index transactions of "+tt.what+", "+who, float64(least(&c.views, ask)+least(&c.updates, ask)), 1)
			afterwards := int64(math.MaxInt64)
			for range 5 {
				changes++
				d.createRepository(fmt.Sprint("then/", changes))
				afterwards = min(afterwards, during(&c.views, ask))
			}
			figure(t, "the same right after a change elsewhere", float64(afterwards), 2)
		}
	}
}
