package server_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/admin"
)

// smallDisk is a file system of its own, in memory. It takes root to mount one.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("a tmpfs cannot be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// leave fills a disk until so many bytes are free. What fills it is beside the data.
func leave(t *testing.T, disk string, free int64) {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	var s syscall.Statfs_t
	if err := syscall.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	err := os.WriteFile(path, make([]byte, max(0, int64(s.Bavail)*s.Bsize-free)), 0o600)
	if err != nil && !errors.Is(err, syscall.ENOSPC) { // the server may have written too
		t.Fatal(err)
	}
}

func empty(t *testing.T, disk string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
}

const refusedFull, refusedFor = http.StatusInsufficientStorage, "No room left on the server"

// A disk that fills at any point of a push refuses it as full and nothing else; what
// was acknowledged is there, and when there is room again nobody has to do anything.
// Without the mark of disk-stop it is the disk itself that says so, at each write.
func TestDiskFillsAtEachWrite(t *testing.T) {
	disk := smallDisk(t, "size=24m")
	h := inFolder(t, disk, "disk-stop", "0", "disk-low", "0")
	if status := h.push("app", 0); status != http.StatusCreated {
		t.Fatal(status)
	}
	done, n := map[int]int{}, 0
	for _, free := range []int64{0, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10, 64 << 10, 128 << 10} {
		leave(t, disk, free)
		n++
		status := h.push("app", n)
		done[status]++
		if status != http.StatusCreated && status != refusedFull {
			t.Errorf("with %d bytes free: %d", free, status)
		}
		if status == http.StatusCreated {
			h.wantReads("app", n)
		}
		if got, answer := h.call("PutImage", `{"repositoryName":"app","imageTag":"api`+strconv.Itoa(n)+`","imageManifest":`+strconv.Quote(image(1000+n))+`}`); got != http.StatusOK && !strings.Contains(answer, refusedFor) {
			t.Errorf("with %d bytes free: PutImage: %d %s", free, got, answer)
		}
		h.wantReads("app", 0)
	}
	if done[http.StatusCreated] == 0 || done[refusedFull] == 0 {
		t.Errorf("statuses %v, want both", done)
	}
	leave(t, disk, 0)
	if status := h.push("app", n+1); status != refusedFull {
		t.Errorf("a push without a free byte: %d", status)
	}
	empty(t, disk)
	if status := h.push("app", n+1); status != http.StatusCreated {
		t.Errorf("a push once there is room: %d", status)
	}
	if st, err := h.Status(t.Context()); err != nil || !st.Ready || len(st.Refused) > 0 {
		t.Errorf("status %+v, %v", st, err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = inFolder(t, disk)
	h.wantReads("app", 0)
	h.wantReads("app", n+1)
}

// Before the disk is full writes stop, and deletions still make room.
func TestDiskStop(t *testing.T) {
	disk := smallDisk(t, "size=32m")
	h := inFolder(t, disk, "disk-stop", "2MiB", "disk-low", "4MiB")
	big := strings.Repeat("x", 3<<20)
	for _, r := range []response{
		h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf(big), "application/octet-stream", big),
		h.v2("PUT", "/v2/app/manifests/big", "application/vnd.oci.image.manifest.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
			`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"`+digestOf(big)+`","size":3145728},"layers":[]}`),
	} {
		if r.status != http.StatusCreated {
			t.Fatal(r.status, r.body)
		}
	}
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	leave(t, disk, 3<<20)
	time.Sleep(250 * time.Millisecond) // what was measured before holds for a fifth of a second
	// More is said to come than there is room for: not a byte of it is taken.
	if r := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf(big+"y"), "application/octet-stream", big+"y"); r.status != refusedFull {
		t.Errorf("an upload that does not fit: %d %s", r.status, r.body)
	}
	if status := h.push("app", 2); status != http.StatusCreated {
		t.Errorf("a push that fits: %d", status)
	}
	await(t, "the status does not say that room is low", func() bool { st, _ := h.Status(t.Context()); return st.Disk != nil && st.Disk.Low })
	leave(t, disk, 1<<20)
	await(t, "writes do not stop", func() bool {
		st, _ := h.Status(t.Context())
		return len(st.Refused) == 1 && st.Refused[0].Reason == "full"
	})
	h.wantRefused("app", refusedFull, refusedFor)
	h.wantReads("app", 1)
	if r := h.get("/readyz"); r.status != http.StatusOK {
		t.Errorf("readyz: %d, and reads go on", r.status)
	}
	if r := h.v2("DELETE", "/v2/app/manifests/"+digestOf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"`+digestOf(big)+`","size":3145728},"layers":[]}`), "", ""); r.status != http.StatusAccepted {
		t.Errorf("a deletion on a full disk: %d %s", r.status, r.body)
	}
	if _, err := admin.EmptyTrash.Ask(t.Context(), h, admin.TrashQuestion{All: true}); err != nil {
		t.Errorf("the trash is emptied on a full disk: %v", err)
	}
	await(t, "room that was made does not let writes in", func() bool { return h.push("app", 3) == http.StatusCreated })
	if log := h.log.String(); strings.Count(log, "level=ERROR") != 1 {
		t.Errorf("want one line that says that the disk is full:\n%s", log)
	}
}

// No inodes is as no bytes.
func TestNoInodesLeft(t *testing.T) {
	disk := smallDisk(t, "size=24m,nr_inodes=700")
	h := inFolder(t, disk, "disk-stop", "0", "disk-low", "0")
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	if err := os.Mkdir(filepath.Join(disk, "ballast"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		f, err := os.Create(filepath.Join(disk, "ballast", strconv.Itoa(n)))
		if err != nil {
			break
		}
		f.Close()
	}
	if r := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf("new"), "application/octet-stream", "new"); r.status != refusedFull {
		t.Errorf("a layer without an inode: %d %s", r.status, r.body)
	}
	h.wantReads("app", 1)
	empty(t, disk)
	if status := h.push("app", 2); status != http.StatusCreated {
		t.Errorf("a push once there are inodes: %d", status)
	}
}

// A server starts and answers on a disk without a free byte.
func TestStartOnFullDisk(t *testing.T) {
	disk := smallDisk(t, "size=24m")
	h := inFolder(t, disk)
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	leave(t, disk, 0)
	h = inFolder(t, disk)
	h.wantReads("app", 1)
	h.wantRefused("app", refusedFull, refusedFor)
	empty(t, disk)
	await(t, "writes are not let in again", func() bool { return h.push("app", 2) == http.StatusCreated })
}
