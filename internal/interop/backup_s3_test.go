package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// A store is backed up into a bucket twice, what the bucket has is not copied again, and
// it comes back whole. Who may not write there is told so.
func TestVersitygwBackup(t *testing.T) {
	endpoint := harness.StartVersitygw(t, "backups")
	b := startBacked(t)
	b.shell.Set("AWS_ACCESS_KEY_ID", harness.BucketKey)
	b.shell.Set("AWS_SECRET_ACCESS_KEY", harness.BucketSecret)
	reach := []string{"--s3-endpoint", endpoint, "--s3-region", "us-east-1"}
	const bucket = "s3://backups/berth"

	b.push(t, "v1", 3)
	first := b.backup(t, bucket, reach...)
	b.push(t, "v2", 10)
	var second struct{ Copied, Blobs int }
	decode(t, b.shell.Run("berth", append([]string{"backup", bucket, "--json"}, reach...)...), &second)
	if second.Copied != 11 || second.Blobs != 15 { // a config is a blob too
		t.Errorf("the second backup copied %d of %d blobs, want 11 of 15", second.Copied, second.Blobs)
	}
	b.shell.Run("berth", append([]string{"backup", "verify", bucket}, reach...)...)
	if list := b.shell.Run("berth", append([]string{"backup", "list", bucket}, reach...)...); !strings.Contains(list, first) {
		t.Errorf("the list has no %s:\n%s", first, list)
	}

	b.server.Stop()
	keys := filepath.Join(b.server.Dir, "old", "keys")
	if err := os.Rename(b.server.Data(), filepath.Dir(keys)); err != nil {
		t.Fatal(err)
	}
	b.shell.Run("berth", append([]string{"restore", bucket, b.server.Data(), "--keys", keys}, reach...)...)
	b.server.Launch()
	b.check(t, b.server.OCI(t))

	b.shell.Set("AWS_SECRET_ACCESS_KEY", "another secret")
	if said := b.shell.Refused("berth", append([]string{"backup", bucket}, reach...)...); !strings.Contains(said, "SignatureDoesNotMatch") {
		t.Errorf("with a wrong secret it says: %s", said)
	}
}
