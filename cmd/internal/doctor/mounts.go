package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/seed-78150930/berth/cmd/internal/shell"
)

// mount is what Linux says of where a folder is.
type mount struct {
	point, kind, source, device string // device is "major:minor"
	options                     []string
}

// mount finds where a folder is in /proc/self/mountinfo (proc(5)); the zero
// value where there is none.
func (v *visit) mount(dir string) mount {
	var best mount
	for line := range strings.Lines(v.read("/proc/self/mountinfo")) {
		m, ok := parseMount(line)
		// A later one on the same point hides the earlier.
		if ok && within(dir, m.point) && len(m.point) >= len(best.point) {
			best = m
		}
	}
	return best
}

// parseMount reads a line: id, parent, device, root, mount point, options,
// optional fields, a dash, kind, source, options of the file system.
func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	a, b := strings.Fields(before), strings.Fields(after)
	if !ok || len(a) < 6 || len(b) < 3 {
		return mount{}, false
	}
	options := append(strings.Split(a[5], ","), strings.Split(b[2], ",")...)
	return mount{point: unescape.Replace(a[4]), kind: b[0], source: unescape.Replace(b[1]), device: a[2], options: options}, true
}

// unescape undoes what the kernel does to names (proc(5)).
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func within(dir, point string) bool {
	return dir == point || strings.HasPrefix(dir, strings.TrimSuffix(point, "/")+"/")
}

func inMemory(kind string) bool { return kind == "tmpfs" || kind == "ramfs" }

// far are kinds whose promise somebody else keeps, and who.
var far = map[string]string{
	"nfs": "the NFS server (with the export option sync)", "nfs4": "the NFS server (with the export option sync)",
	"cifs": "the SMB server", "smb3": "the SMB server", "smbfs": "the SMB server", "9p": "the host of this virtual machine", "virtiofs": "the host of this virtual machine",
	"fuse": "a program", "fuseblk": "a program", "overlay": "the file system below, and it goes with the container",
}

// medium says what is known of what is below the data folder.
func (v *visit) medium(m mount) Finding {
	f := Finding{Check: "disk.media", Status: OK}
	who, isFar := far[m.kind]
	if who == "" && strings.HasPrefix(m.kind, "fuse.") {
		who, isFar = "the program "+strings.TrimPrefix(m.kind, "fuse."), true
	}
	switch {
	case m.kind == "":
		f.Status, f.Found = Skipped, "this system does not say what the data folder is on"
	case inMemory(m.kind):
		f.Status, f.Found, f.Mend = Fail, m.kind+" keeps nothing: everything is gone with the next start of the machine", moveData
	case m.weak() != "":
		f.Status, f.Found = Fail, fmt.Sprintf("%s is mounted with %s: what is synced last may be lost or damaged by a power cut", m.point, m.weak())
		f.Mend = "take " + m.weak() + " out of /etc/fstab, then: sudo mount -o remount,barrier " + shell.Quote(m.point)
	case isFar:
		f.Status, f.Found = Warn, fmt.Sprintf("%s on %s: what fsync promises is kept by %s, which cannot be seen from here", m.kind, m.point, who)
		f.Mend = "put the data folder on a file system of this machine's own disk (of a container: a volume)"
	default:
		f.Found = fmt.Sprintf("%s on %s (%s)%s", m.kind, m.point, m.source, v.cache(m))
	}
	return f
}

// weak is the option that has the file system not wait for the disk, if one is
// set (ext4(5), and older XFS and btrfs).
func (m mount) weak() string {
	for _, o := range []string{"nobarrier", "barrier=0", "nosync"} {
		if slices.Contains(m.options, o) {
			return o
		}
	}
	return ""
}

// cache says what the kernel knows of the disk's own cache.
func (v *visit) cache(m mount) string {
	queue := v.queue(m)
	switch strings.TrimSpace(v.read(queue + "/write_cache")) {
	case "write back":
		how := "by a flush"
		if strings.TrimSpace(v.read(queue+"/fua")) == "1" {
			how = "by a flush or by writing through it (FUA)"
		}
		return "; the disk has a cache that a power cut empties, and the kernel has it written " + how + " at each fsync"
	case "write through":
		return "; the disk says that it has no cache which a power cut empties, so the kernel never has it flushed: right if that is true"
	}
	return "; nothing is known of the disk's own cache"
}

// queue is the folder in /sys of the block device below a mount. A partition
// has that of its disk.
func (v *visit) queue(m mount) string {
	for _, link := range []string{"sys/dev/block/" + m.device, "sys/class/block/" + path.Base(m.source)} {
		to, err := fs.ReadLink(v.Files, link)
		if err != nil {
			continue
		}
		at := path.Join("/", path.Dir(link), to)
		for _, dir := range []string{at, path.Dir(at)} {
			if v.exists(dir + "/queue/write_cache") {
				return dir + "/queue"
			}
		}
	}
	return ""
}
