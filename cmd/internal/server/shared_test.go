package server_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/server"
)

// TestSharedFileSystemIsWarnedOf starts servers on file systems that others may have.
func TestSharedFileSystemIsWarnedOf(t *testing.T) {
	for kind, want := range map[string]string{"nfs": "file_system=NFS", "smb3": "file_system=SMB", "9p": "file_system=9p", "fuse": "file_system=FUSE", "ext4": "", "": ""} {
		data := filepath.Join(t.TempDir(), "data")
		h := watchedHouse(t, map[string]string{"dev": "true", "data": data}, server.Watch{Kind: func(dir string) string {
			if dir != data {
				t.Errorf("asked about %s", dir)
			}
			return kind
		}})
		awaitLog(t, h, "msg=ready")
		if warned := strings.Contains(h.log.String(), "file_system="); warned != (want != "") || !strings.Contains(h.log.String(), want) {
			t.Errorf("on %q the log says\n%s", kind, h.log)
		}
	}
}
