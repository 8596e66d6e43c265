package admin_test

import (
	"bytes"
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

func TestProfiles(t *testing.T) {
	client := serve(t, admin.InFolder(t.TempDir()), &scripted{})
	for name, d := range map[string]time.Duration{"heap": 0, "goroutine": 0, "mutex": 0, "block": 0, "profile": time.Second} {
		var b bytes.Buffer
		if err := client.Profile(context.Background(), name, d, &b); err != nil || !bytes.HasPrefix(b.Bytes(), []byte{0x1f, 0x8b}) { // gzip
			t.Errorf("%s: %d bytes, %v", name, b.Len(), err)
		}
	}
	if n := runtime.SetMutexProfileFraction(-1); n != 0 {
		t.Errorf("waits for mutexes are still counted, one in %d", n)
	}
	if err := client.Profile(context.Background(), "nonsense", 0, new(bytes.Buffer)); err == nil {
		t.Error("there is a profile of nonsense")
	}
	if err := admin.NewClient(admin.InFolder(t.TempDir())).Profile(context.Background(), "heap", 0, new(bytes.Buffer)); err == nil {
		t.Error("a server that does not run has a profile")
	}
}
