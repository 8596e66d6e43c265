package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// killings is at how many places a backup, and a restore, are killed.
const killings = 6

// A backup that is killed leaves the backups before as they were, and the next one
// goes on. A restore that is killed leaves nothing that a server would open, and says
// so; the next one begins anew.
func TestSDKKillDuringBackup(t *testing.T) {
	b := startBacked(t)
	b.push(t, "v1", 3)
	first := b.backup(t, "target")
	b.push(t, "v2", 40)
	b.killBackups(t, first)
	second := b.backup(t, "target")
	b.shell.Run("berth", "backup", "verify", "target")

	b.server.Stop()
	keys := filepath.Join(b.server.Dir, "old", "keys")
	if err := os.Rename(b.server.Data(), filepath.Dir(keys)); err != nil {
		t.Fatal(err)
	}
	b.killRestores(t, keys)
	if got := b.restore(t, keys); got != second {
		t.Errorf("backup %s was restored, want %s", got, second)
	}
	b.server.Launch()
	b.check(t, b.server.OCI(t))
}

// backed is a server with images that are backed up.
type backed struct {
	ledger
	server *harness.Server
	shell  *harness.Shell
}

func startBacked(t *testing.T) *backed {
	t.Helper()
	s := harness.Start(t)
	s.CreateRepository(t, "crash/oci")
	return &backed{server: s, shell: s.Shell(t)}
}

// push pushes an image of so many layers and notes it.
func (b *backed) push(t *testing.T, tag string, layers int) {
	t.Helper()
	w := work{repo: "crash/oci", tag: tag, image: harness.NewImage(t, harness.DockerManifest, b.nextSeed(), layers, 32<<10)}
	if err := b.server.OCI(t).PushImage(t.Context(), w.repo, w.tag, w.image); err != nil {
		t.Fatal(err)
	}
	for _, blob := range w.image.Blobs() {
		b.noteBlob(w.repo, blob)
	}
	b.noteImage(w)
}

// backup makes a backup and returns its id.
func (b *backed) backup(t *testing.T, to string, args ...string) string {
	t.Helper()
	var made struct{ ID string }
	decode(t, b.shell.Run("berth", append([]string{"backup", to, "--json"}, args...)...), &made)
	return made.ID
}

// restore makes the server's data folder of the last backup and returns the id of that.
func (b *backed) restore(t *testing.T, keys string) string {
	t.Helper()
	var done struct{ Backup string }
	decode(t, b.shell.Run("berth", "restore", "target", b.server.Data(), "--keys", keys, "--json"), &done)
	return done.Backup
}

// took is how long something takes that is let end.
func took(fn func()) time.Duration {
	begun := time.Now()
	fn()
	return time.Since(begun)
}

// killBackups kills backups at several places, and has the first restored after each.
func (b *backed) killBackups(t *testing.T, first string) {
	t.Helper()
	whole := took(func() { b.backup(t, "rehearsal") })
	killed := 0
	for i := range killings {
		if b.shell.KillAfter(whole*time.Duration(i+1)/(killings+1), "berth", "backup", "target") {
			killed++
		}
		b.shell.Run("berth", "restore", "target", fmt.Sprintf("rest%d", i), "--backup", first, "--keys", filepath.Join(b.server.Data(), "keys"))
	}
	if t.Logf("%d of %d backups were killed, which take %v", killed, killings, whole); killed == 0 {
		t.Error("no backup was killed")
	}
}

// killRestores kills restores at several places, and has a server look at what is left.
func (b *backed) killRestores(t *testing.T, keys string) {
	t.Helper()
	whole := took(func() { b.restore(t, keys) })
	killed, refused := 0, 0
	for i := range killings {
		if err := os.RemoveAll(b.server.Data()); err != nil {
			t.Fatal(err)
		}
		if b.shell.KillAfter(whole*time.Duration(i+1)/(killings+1), "berth", "restore", "target", b.server.Data(), "--keys", keys) {
			killed++
		}
		draft := filepath.Join(b.server.Dir, ".data.restoring")
		if _, err := os.Lstat(draft); err != nil {
			continue // it came to an end, or not to its beginning
		}
		refused++
		said := b.shell.Refused("berth", "serve", "--listen", "127.0.0.1:0", "--data", b.server.Data())
		if !strings.Contains(said, "run berth restore again, or remove "+draft) {
			t.Errorf("a server says of a restore that was killed: %s", said)
		}
	}
	if t.Logf("%d of %d restores were killed, which take %v, %d in the middle", killed, killings, whole, refused); killed == 0 {
		t.Error("no restore was killed")
	}
	if err := os.RemoveAll(b.server.Data()); err != nil {
		t.Fatal(err)
	}
}
