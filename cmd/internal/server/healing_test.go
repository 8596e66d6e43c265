package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/registry/events"
)

// A server that is told of another one which has the same gets what it finds damaged
// from there, by digest, and serves it again.
func TestHealFromAnotherServer(t *testing.T) {
	other := openShelf(t)
	dir := t.TempDir()
	secret, conf := filepath.Join(dir, "other.secret"), filepath.Join(dir, "berth.yml")
	text := fmt.Sprintf("heal-from: [{url: %q, credentials-file: %q}]\negress: {allow: [127.0.0.1], plain-http: [127.0.0.1]}\n", other.house.url, secret)
	for name, text := range map[string]string{secret: "AWS:" + other.password + "\n", conf: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openShelf(t, "config", conf)
	content := strings.Repeat("held by both ", 1000)
	var body []byte
	for _, at := range []*shelf{other, s} {
		p := at.player(ociDoor{at.doorway})
		body = p.image(content)
		p.put("1", v1.MediaTypeImageManifest, body, accepted)
	}
	want := []string{}
	for what, c := range map[string]struct {
		path, bytes string
		damage      func()
	}{
		"layer":    {"/v2/team/app/blobs/" + sha256Of([]byte(content)), content, func() { s.flipLayer(content) }},
		"manifest": {"/v2/team/app/manifests/1", string(body), func() { s.flipManifest(body) }},
	} {
		for _, scrubbed := range []bool{false, true} { // or found by who reads it
			c.damage()
			if scrubbed {
				_, err := admin.RunScrub.Ask(t.Context(), s.house, admin.ScrubRate{})
				s.must(err)
			} else if a := s.do(s.v2(http.MethodGet, c.path, nil)); a.status != http.StatusInternalServerError {
				t.Errorf("GET of a damaged %s: %d", what, a.status)
			}
			await(t, "a damaged "+what+" is not healed", func() bool {
				a := s.do(s.v2(http.MethodGet, c.path, nil))
				return a.status == http.StatusOK && a.body == c.bytes
			})
			want = append(want, events.ContentDamaged, events.ContentHealed)
			s.wantDamages(0, want...)
		}
	}
	s.house.wantSound()
	if log := s.house.log.String(); strings.Contains(log, other.password) {
		t.Error("the log has the password")
	}
}
