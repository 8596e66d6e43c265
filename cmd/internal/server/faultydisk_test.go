package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/admin"
	"github.com/seed-78150930/berth/storage/disk"
)

// faultyDisk has the files of layers, and fails in one way while it is told so.
type faultyDisk struct {
	disk.OS
	fault  atomic.Pointer[fault]
	failed atomic.Int64 // how often it did
}

// fault is what fails, "open", "write", "sync" or "folder sync", with what, and whether
// it would go well the next time.
type fault struct {
	op   string
	err  syscall.Errno
	once bool
}

func (d *faultyDisk) fail(op, name string) error {
	if f := d.fault.Load(); f != nil && f.op == op {
		d.failed.Add(1)
		if f.once {
			d.fault.Store(nil)
		}
		return &fs.PathError{Op: op, Path: name, Err: f.err}
	}
	return nil
}

func (d *faultyDisk) OpenFile(name string, flag int, mode fs.FileMode) (disk.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := d.fail("open", name); err != nil {
			return nil, err
		}
	}
	f, err := d.OS.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	what := "sync"
	if flag == os.O_RDONLY {
		what = "folder sync"
	}
	return &faultyFile{f, d, what}, nil
}

type faultyFile struct {
	disk.File
	disk *faultyDisk
	sync string // the operation that a sync of it is
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.disk.fail("write", f.Name()); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f *faultyFile) Sync() error {
	if err := f.disk.fail(f.sync, f.Name()); err != nil {
		return err
	}
	return f.File.Sync()
}

// onFaultyDisk is a development server over files on a disk that is told to fail.
func onFaultyDisk(t testing.TB, settings map[string]string) (*house, *faultyDisk) {
	t.Helper()
	d := &faultyDisk{}
	flags := map[string]string{"dev": "true", "data": filepath.Join(t.TempDir(), "data"), "metrics.listen": "127.0.0.1:0"}
	maps.Copy(flags, settings)
	return newHouseOn(t, flags, d), d
}

// upload sends a layer by the JSON API, and returns what its last operation answers.
func (h *house) upload(layer string) (status int, answer string) {
	h.t.Helper()
	var begun struct{ UploadID string }
	status, answer = h.call("InitiateLayerUpload", `{"repositoryName":"app"}`)
	if err := json.Unmarshal([]byte(answer), &begun); status != http.StatusOK || err != nil {
		return status, answer
	}
	status, answer = h.call("UploadLayerPart", fmt.Sprintf(`{"repositoryName":"app","uploadId":%q,"partFirstByte":0,"partLastByte":%d,"layerPartBlob":%q}`,
		begun.UploadID, len(layer)-1, base64.StdEncoding.EncodeToString([]byte(layer))))
	if status != http.StatusOK {
		return status, answer
	}
	return h.call("CompleteLayerUpload", fmt.Sprintf(`{"repositoryName":"app","uploadId":%q,"layerDigests":[%q]}`, begun.UploadID, digestOf(layer)))
}

// A disk that is full, by its own word or by a quota, or that takes no writes, refuses
// them at both doors and keeps what was there to be read. When it takes them again they
// go on, and nobody has to do anything.
func TestDiskThatRefuses(t *testing.T) {
	const readOnly = "it is read-only"
	for name, c := range map[string]struct {
		fault
		status    int
		exception string
		reason    string // that is told while it lasts, "" if no write is refused but those that fail
	}{
		"no space":                 {fault{"write", syscall.ENOSPC, false}, refusedFull, refusedFor, ""},
		"beyond a quota":           {fault{"write", syscall.EDQUOT, false}, refusedFull, refusedFor, ""},
		"beyond a quota of inodes": {fault{"open", syscall.EDQUOT, false}, refusedFull, refusedFor, ""},
		"read-only":                {fault{"open", syscall.EROFS, false}, http.StatusMethodNotAllowed, readOnly, "unwritable"},
		"no permission":            {fault{"open", syscall.EACCES, false}, http.StatusMethodNotAllowed, readOnly, "unwritable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, d := onFaultyDisk(t, nil)
			if status := h.push("app", 1); status != http.StatusCreated {
				t.Fatal(status)
			}
			d.fault.Store(&c.fault)
			if r := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf("new"), "application/octet-stream", "new"); r.status != c.status {
				t.Errorf("a layer at /v2/: %d %s, want %d", r.status, r.body, c.status)
			}
			if status, answer := h.upload("new"); status != http.StatusInternalServerError || !strings.Contains(answer, "ServerException") || !strings.Contains(answer, c.exception) {
				t.Errorf("a layer at the API: %d %s, want ServerException with %q", status, answer, c.exception)
			}
			if c.reason != "" {
				if log := h.log.String(); !strings.Contains(log, "no writes are taken until the disk takes them") {
					t.Errorf("the log does not say that writes are refused:\n%s", log)
				}
			}
			h.wantReads("app", 1)
			d.fault.Store(nil)
			await(t, "writes do not go on once the disk takes them", func() bool { return h.push("app", 2) == http.StatusCreated })
			if status, answer := h.upload("new"); status != http.StatusOK {
				t.Errorf("a layer at the API once the disk takes it: %d %s", status, answer)
			}
			h.wantSound()
			if metric(t, metricsOf(t, h), `berth_writes_refused{reason="failed"}`) != "0" {
				t.Error("the store is said to have failed")
			}
		})
	}
}

// A sync that fails, and a write of which nobody knows what it left, end all writes
// until the server is started anew: nothing is acknowledged any more, nothing is tried
// again, and it is told in the log, by the metrics, by the status and at both doors.
// What was acknowledged before is there, also after a new start.
func TestFailedSync(t *testing.T) {
	for name, f := range map[string]fault{
		"of a file":           {"sync", syscall.EIO, true},
		"for want of room":    {"sync", syscall.ENOSPC, true},
		"of a folder":         {"folder sync", syscall.EIO, true},
		"a write that failed": {"write", syscall.EIO, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			h, d := onFaultyDisk(t, map[string]string{"data": dir})
			if status := h.push("app", 1); status != http.StatusCreated {
				t.Fatal(status)
			}
			d.fault.Store(&f)
			r := h.v2("POST", "/v2/app/blobs/uploads/?digest="+digestOf("new"), "application/octet-stream", "new")
			if r.status != http.StatusServiceUnavailable {
				t.Errorf("a layer that was not synced: %d %s", r.status, r.body)
			}
			h.wantRefused("app", http.StatusServiceUnavailable, "after a failure of its store")
			h.wantFailed()
			h.wantReads("app", 1)
			if n := d.failed.Load(); n != 1 {
				t.Errorf("it failed %d times, want once", n)
			}
			if r := h.v2("GET", "/v2/app/blobs/"+digestOf("new"), "", ""); r.status != http.StatusNotFound {
				t.Errorf("GET of the layer that was refused: %d", r.status)
			}
			if err := h.stop(); err != nil {
				t.Errorf("a stop after a failure: %v", err)
			}
			h, _ = onFaultyDisk(t, map[string]string{"data": dir})
			h.wantReads("app", 1)
			if r := h.v2("GET", "/v2/app/blobs/"+digestOf("new"), "", ""); r.status != http.StatusNotFound {
				t.Errorf("GET of the layer that was refused, after a new start: %d", r.status)
			}
			if status := h.push("app", 2); status != http.StatusCreated {
				t.Errorf("a push after a new start: %d", status)
			}
			h.wantSound()
		})
	}
}

// wantFailed expects everything that tells of a store that failed to do so.
func (h *house) wantFailed() {
	h.t.Helper()
	if r := h.get("/readyz"); r.status != http.StatusServiceUnavailable {
		h.t.Errorf("readyz: %d", r.status)
	}
	if r := h.get("/healthz"); r.status != http.StatusOK {
		h.t.Errorf("healthz: %d, and reads go on", r.status)
	}
	st, err := h.Status(h.t.Context())
	if err != nil || st.Ready || len(st.Refused) != 1 || st.Refused[0].Reason != "failed" {
		h.t.Errorf("status %+v, %v", st, err)
	}
	scrape := metricsOf(h.t, h)
	for sample, want := range map[string]string{`berth_writes_refused{reason="failed"}`: "1", "berth_ready": "0"} {
		if got := metric(h.t, scrape, sample); got != want {
			h.t.Errorf("%s is %s, want %s", sample, got, want)
		}
	}
	if log := h.log.String(); strings.Count(log, "THE STORE FAILED") != 1 {
		h.t.Errorf("want one line that says that the store failed:\n%s", log)
	}
}

// wantSound expects that all that is stored agrees with the rest.
func (h *house) wantSound() {
	h.t.Helper()
	found, err := admin.ShowFaults.Ask(h.t.Context(), h, admin.FaultQuestion{})
	if err != nil || found.Total != 0 || !found.Compared {
		h.t.Errorf("faults %+v, %v", found, err)
	}
}
