package inspect

import (
	"cmp"
	"fmt"
	"time"

	"github.com/seed-78150930/berth/registry/scan"
)

// Limits bound what one scan may take. A zero stands for the default. Those of the
// child as a process are kept on Linux alone; elsewhere the deadline and the counts remain.
type Limits struct {
	Unpacked int64         // bytes of an image's layers, and of archives within them, unpacked
	Kept     int64         // bytes of the files that tell of packages, which is the spool file's size
	File     int64         // bytes of one such file
	Entries  int           // entries of all layers' archives
	Window   int64         // bytes that a zstd frame may refer back
	Nested   int           // how deep archives within archives are opened; the outermost is 0
	Memory   int64         // bytes of the child (RLIMIT_DATA); its collector aims at three quarters
	CPU      time.Duration // the child's processor time, in whole seconds
	Answer   int64         // bytes of the child's answer
}

// Defaults are the limits where nothing else is said.
func Defaults() Limits {
	return Limits{
		Unpacked: 8 << 30, Kept: 2 << 30, File: 512 << 20, Entries: 1_000_000, Window: 8 << 20, Nested: 2,
		Memory: 1 << 30, CPU: 5 * time.Minute, Answer: 128 << 20,
	}
}

// defaultTimeout is how long a scan may take where nothing else is said.
const defaultTimeout = 5 * time.Minute

func (l Limits) orDefaults() Limits {
	d := Defaults()
	return Limits{
		Unpacked: cmp.Or(l.Unpacked, d.Unpacked), Kept: cmp.Or(l.Kept, d.Kept), File: cmp.Or(l.File, d.File),
		Entries: cmp.Or(l.Entries, d.Entries), Window: cmp.Or(l.Window, d.Window), Nested: cmp.Or(l.Nested, d.Nested),
		Memory: cmp.Or(l.Memory, d.Memory), CPU: cmp.Or(l.CPU, d.CPU), Answer: cmp.Or(l.Answer, d.Answer),
	}
}

// The settings by which people know the limits.
const (
	keyUnpacked = "scanning.limits.unpacked"
	keyKept     = "scanning.limits.kept"
	keyFile     = "scanning.limits.file"
	keyEntries  = "scanning.limits.entries"
	keyWindow   = "scanning.limits.zstd-window"
	keyNested   = "scanning.limits.nested"
	keyMemory   = "scanning.limits.memory"
	keyCPU      = "scanning.limits.cpu"
	keyAnswer   = "scanning.limits.answer"
	keyTimeout  = "scanning.timeout"
)

// over is the problem of an image that is over a limit: what it is, and by which setting.
func over(what, key string, limit any) *scan.Problem {
	return scan.NewProblem(scan.OverLimit, "%s: the limit %s is %v", what, key, limit)
}

// size is a number of bytes, written as the configuration has it.
type size int64

func (s size) String() string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprint(int64(s)/u.bytes, u.name)
		}
	}
	return fmt.Sprint(int64(s), " bytes")
}
