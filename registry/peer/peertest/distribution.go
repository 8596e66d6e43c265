// Package peertest has a registry that others wrote, for tests: distribution, in
// the process of the test, with everything in memory.
package peertest

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/sirupsen/logrus"
)

// Distribution starts an empty registry that ends with the test, and returns its
// URL. It asks nobody who he is, and lets manifests be deleted.
func Distribution(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(Handler(t))
	t.Cleanup(s.Close)
	return s.URL
}

// Handler is such a registry, to be put behind something.
func Handler(t testing.TB) http.Handler {
	t.Helper()
	register()
	c := &configuration.Configuration{Storage: configuration.Storage{driverName: {}, "delete": {"enabled": true}}}
	c.HTTP.Secret = "of a test"
	c.Log.AccessLog.Disabled = true
	c.Catalog.MaxEntries = 1000
	return handlers.NewApp(t.Context(), c)
}

const driverName = "berthtest"

// register makes the driver known to distribution, which wants that once in a
// process, and silences its logger, of which there is one in a process, too.
var register = sync.OnceFunc(func() {
	factory.Register(driverName, drivers{})
	logrus.SetOutput(io.Discard)
})

// drivers makes one for each registry.
type drivers struct{}

func (drivers) Create(context.Context, map[string]any) (storagedriver.StorageDriver, error) {
	return &driver{files: map[string]*file{}}, nil
}
