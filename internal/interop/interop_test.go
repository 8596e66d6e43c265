// Package interop holds the tests that drive a built berth with the programs
// that people point at a registry: Docker, BuildKit, containerd, skopeo, podman,
// crane, regctl, oras, helm, cosign, notation, the AWS CLI, Amazon's SDKs and
// more. `make e2e` builds and runs most of it, `make e2e-all` the whole.
//
// The name of each test holds the programs that it needs, so that a run may
// leave out those a machine lacks with `go test -skip`.
package interop_test

import (
	"flag"
	"net"
	"os"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

var (
	layerSize = flag.Int64("layer", 256<<20, "size in `bytes` of the layer in the memory test")
	kills     = flag.Int("kills", 5, "how often the server is killed in the crash test")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

// No client can leave the machine: there is no other interface to leave by.
func TestNothingButLoopback(t *testing.T) {
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			t.Errorf("the tests have the interface %s beside loopback; only root can shut them off", i.Name)
		}
	}
}

// dockerImage and ociImage are small images, told apart by their seeds.
func dockerImage(t testing.TB, seed uint64) harness.Image {
	t.Helper()
	return harness.NewImage(t, harness.DockerManifest, seed, 2, 64<<10)
}

func ociImage(t testing.TB, seed uint64) harness.Image {
	t.Helper()
	return harness.NewImage(t, v1.MediaTypeImageManifest, seed, 2, 64<<10)
}
