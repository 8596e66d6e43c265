package doctor

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// listener names the process that listens on a TCP port, by Linux's tables;
// "" where there are none. Processes of other users are seen by root alone.
func (v *visit) listener(port string) string {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode := listeningInode(v.read(table), n); inode != "" {
			return v.owner(inode)
		}
	}
	return ""
}

// stateListen is TCP_LISTEN in /proc/net/tcp (proc(5)).
const stateListen = "0A"

// listeningInode finds the socket that listens on a port in a table of
// /proc/net, whose columns are: number, local address, remote address, state,
// queues, timers, retransmits, uid, timeout, inode.
func listeningInode(table string, port uint64) string {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(table) {
		col := strings.Fields(line)
		if len(col) > 9 && strings.HasSuffix(col[1], suffix) && col[3] == stateListen {
			return col[9]
		}
	}
	return ""
}

// owner is the process that has a socket open.
func (v *visit) owner(inode string) string {
	want := "socket:[" + inode + "]"
	procs, err := fs.ReadDir(v.Files, "proc")
	if err != nil {
		return ""
	}
	for _, p := range procs {
		if _, err := strconv.Atoi(p.Name()); err == nil && v.holds(p.Name(), want) {
			return fmt.Sprintf("process %s (%s)", p.Name(), strings.TrimSpace(v.read("/proc/"+p.Name()+"/comm")))
		}
	}
	return "a process of another user"
}

func (v *visit) holds(pid, socket string) bool {
	open, err := fs.ReadDir(v.Files, "proc/"+pid+"/fd")
	if err != nil {
		return false
	}
	for _, fd := range open {
		if to, err := fs.ReadLink(v.Files, "proc/"+pid+"/fd/"+fd.Name()); err == nil && to == socket {
			return true
		}
	}
	return false
}
