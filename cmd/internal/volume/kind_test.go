package volume_test

import (
	"testing"

	"github.com/seed-78150930/berth/cmd/internal/volume"
)

func TestShared(t *testing.T) {
	for magic, want := range map[int64]string{ // by the numbers of statfs(2)
		0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x517b: "SMB", 0x01021997: "9p", 0x65735546: "FUSE",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x794c7630: "", 0x01021994: "", 0: "", 1: "",
	} {
		if got := volume.Shared(volume.KindOf(magic)); got != want {
			t.Errorf("%#x is %q (%s), want %q", magic, got, volume.KindOf(magic), want)
		}
	}
	for kind, want := range map[string]string{"fuse.sshfs": "FUSE", "nfs4": "NFS", "ext4": "", "": ""} {
		if got := volume.Shared(kind); got != want {
			t.Errorf("%s is %q, want %q", kind, got, want)
		}
	}
}

func TestKindOfThisFolder(t *testing.T) {
	if got := volume.Kind("/does/not/exist"); got != "" {
		t.Errorf("a folder that is not there is on %q", got)
	}
	if got := volume.Shared(volume.Kind("/proc")); got != "" {
		t.Errorf("/proc is on %q", got)
	}
}
