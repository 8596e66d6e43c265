package interop_test

import (
	"net/http"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// Every name of the tests leads to the server, by plain HTTP on the port that
// needs no mention.
func TestNamesLead(t *testing.T) {
	harness.NeedNames(t)
	harness.StartTLS(t)
	for _, name := range harness.Names() {
		resp, err := http.Get("http://" + name + "/readyz")
		if err != nil {
			t.Error(err)
			continue
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}
