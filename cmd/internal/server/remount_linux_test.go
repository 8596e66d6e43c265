package server_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The folder of layers is mounted read-only while the server runs, and writable again.
func TestRemountedReadOnly(t *testing.T) {
	dir := smallDisk(t, "size=24m")
	h := inFolder(t, dir, "metrics.listen", "127.0.0.1:0")
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	blobs := filepath.Join(dir, "data", "blobs")
	if err := syscall.Mount(blobs, blobs, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(blobs, syscall.MNT_DETACH) })
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("", blobs, "", syscall.MS_REMOUNT|syscall.MS_BIND|flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	remount(syscall.MS_RDONLY)
	if r := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf("new"), "application/octet-stream", "new"); r.status != http.StatusMethodNotAllowed {
		t.Errorf("a layer: %d %s", r.status, r.body)
	}
	h.wantRefused("app", http.StatusMethodNotAllowed, "it is read-only")
	h.wantReads("app", 1)
	if r := h.get("/readyz"); r.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", r.status)
	}
	if got := metric(t, metricsOf(t, h), `berth_writes_refused{reason="unwritable"}`); got != "1" {
		t.Errorf("the metrics say %s of it", got)
	}
	remount(0)
	await(t, "writes do not go on once the file system is writable", func() bool { return h.push("app", 2) == http.StatusCreated })
	h.wantReads("app", 2)
	h.wantSound()
}

// A file system finds an error in itself while the server runs and turns read-only, as
// ext4 does: the next write or sync fails. Nothing more is acknowledged, reads go on, and
// once the file system was mended and mounted again all that was acknowledged is there.
func TestFileSystemFindsAnError(t *testing.T) {
	image := filepath.Join(t.TempDir(), "image")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20)); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Skipf("a file system of its own cannot be made and mounted: %s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	dir := t.TempDir()
	run("mkfs.ext4", "-q", image)
	mounted := func() {
		t.Helper()
		run("mount", "-o", "loop,errors=remount-ro", image, dir)
		t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	}
	mounted()
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(run("findmnt", "--noheadings", "--output", "SOURCE", dir)), "trigger_fs_error")
	h := inFolder(t, dir, "metrics.listen", "127.0.0.1:0")
	if status := h.push("app", 1); status != http.StatusCreated {
		t.Fatal(status)
	}
	if err := os.WriteFile(trigger, []byte("1"), 0); err != nil {
		t.Skipf("an error cannot be made: %v", err)
	}
	layer := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf("new"), "application/octet-stream", "new")
	if layer.status != http.StatusMethodNotAllowed && layer.status != http.StatusServiceUnavailable {
		t.Errorf("a layer: %d %s", layer.status, layer.body)
	}
	h.wantRefused("app", layer.status, "The server takes no writes")
	h.wantReads("app", 1)
	if r := h.get("/readyz"); r.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %d", r.status)
	}
	if err := h.stop(); !errors.Is(err, syscall.EROFS) { // of a stop in order nothing can be written
		t.Errorf("a stop while nothing can be written: %v", err)
	}
	h.stop = func() error { return nil }
	run("umount", dir)
	var exit *exec.ExitError
	if out, err := exec.Command("e2fsck", "-fy", image).CombinedOutput(); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) { // 1: errors were corrected
		t.Fatalf("e2fsck: %v: %s", err, out)
	}
	mounted()
	h = inFolder(t, dir)
	h.wantReads("app", 1)
	if status := h.push("app", 2); status != http.StatusCreated {
		t.Errorf("a push after the file system was mended: %d", status)
	}
	h.wantSound()
	if err := h.stop(); err != nil {
		t.Error(err)
	}
}
