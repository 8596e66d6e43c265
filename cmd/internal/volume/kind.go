package volume

import "strings"

// kinds are file systems by the number that statfs(2) gives (linux/magic.h, and each
// one's own source).
var kinds = map[int64]string{
	0x01021994: "tmpfs", 0x858458f6: "ramfs", 0x794c7630: "overlay", 0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs",
	0x2fc12fc1: "zfs", 0xf2f52010: "f2fs", 0x6969: "nfs", 0x517b: "smbfs", 0xff534d42: "cifs", 0xfe534d42: "smb3", 0x01021997: "9p",
	0x65735546: "fuse", 0x00c36400: "ceph", 0x5346414f: "afs", 0x0bd00bd0: "lustre",
}

// KindOf is the kind of file system that has a number on Linux, "" for one that is
// not known.
func KindOf(magic int64) string { return kinds[magic] }

// shared are kinds that other machines, or programs, may have files of too.
var shared = map[string]string{
	"nfs": "NFS", "nfs4": "NFS", "smbfs": "SMB", "cifs": "SMB", "smb3": "SMB", "9p": "9p", "virtiofs": "virtiofs",
	"fuse": "FUSE", "fuseblk": "FUSE", "ceph": "Ceph", "afs": "AFS", "lustre": "Lustre",
}

// Shared is what people call a kind of file system on which a lock may not keep out
// everybody who has the files: another machine may have them too, or a program
// answers for them. It is "" for others.
func Shared(kind string) string {
	if strings.HasPrefix(kind, "fuse.") { // as /proc/self/mountinfo has it
		kind = "fuse"
	}
	return shared[kind]
}
