// Package peertest has a registry that others wrote, for tests: distribution, in
// the process of the test, with everything in memory.
package peertest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// Stored is Distribution, and what writes the storage folder that it would have into
// a folder.
func Stored(t testing.TB) (url string, write func(dir string)) {
	t.Helper()
	d := &driver{files: map[string]*file{}}
	s := httptest.NewServer(handler(t, d))
	t.Cleanup(s.Close)
	return s.URL, func(dir string) {
		t.Helper()
		d.mu.Lock()
		defer d.mu.Unlock()
		for name, f := range d.files {
			name = filepath.Join(dir, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, f.content, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Handler is such a registry, to be put behind something.
func Handler(t testing.TB) http.Handler {
	t.Helper()
	return handler(t, &driver{files: map[string]*file{}})
}

func handler(t testing.TB, d *driver) http.Handler {
	register()
	c := &configuration.Configuration{Storage: configuration.Storage{driverName: {parameter: d}, "delete": {"enabled": true}}}
	c.HTTP.Secret = "of a test"
	c.Log.AccessLog.Disabled = true
	c.Catalog.MaxEntries = 1000
	return handlers.NewApp(t.Context(), c)
}

const driverName, parameter = "berthtest", "driver"

// register makes the driver known to distribution, which wants that once in a
// process, and silences its logger, of which there is one in a process, too.
var register = sync.OnceFunc(func() {
	factory.Register(driverName, drivers{})
	logrus.SetOutput(io.Discard)
})

// drivers gives each registry the one that is meant for it.
type drivers struct{}

func (drivers) Create(_ context.Context, parameters map[string]any) (storagedriver.StorageDriver, error) {
	return parameters[parameter].(*driver), nil
}
