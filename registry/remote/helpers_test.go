package remote_test

import (
	"net/http"
	"testing"

	"github.com/seed-78150930/berth/registry/remote"
)

// client is a client that asks no proxy of the machine that tests run on.
func client(t testing.TB, o remote.Options) *http.Client {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "")
	}
	c, err := remote.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
