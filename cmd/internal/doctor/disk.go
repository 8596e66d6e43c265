package doctor

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-78150930/berth/cmd/internal/datadir"
	"github.com/seed-78150930/berth/cmd/internal/shell"
	filesystem "github.com/seed-78150930/berth/cmd/internal/volume"
)

// Little space is less than these: a push of one large image fills it.
const (
	fewBytes = 1 << 30
	noBytes  = 64 << 20 // beside which not even the index can grow
	fewFiles = 10_000   // a blob is one file
	noFiles  = 100
	fullness = 20 // one part in so many that is free is little
)

// noData says why there is no data folder to look at; ok is false then.
func (v *visit) noData(name string) (Finding, bool) {
	switch {
	case v.Host != "" && !v.home:
		return Finding{name, Skipped, "the data folder of that server is not known here (--data names it)", ""}, false
	case v.Data == "":
		return Finding{name, Skipped, "the server keeps nothing", ""}, false
	case !v.exists(v.Data):
		return Finding{name, Skipped, "there is no " + v.Data + " yet: the first start makes it", ""}, false
	}
	return Finding{}, true
}

func checkSpace(_ context.Context, v *visit) []Finding {
	if f, ok := v.noData("disk.space"); !ok {
		return []Finding{f}
	}
	vol, err := v.Volume(v.Data)
	if err != nil {
		return []Finding{{"disk.space", Warn, "the file system of " + v.Data + " does not say how full it is: " + err.Error(), ""}}
	}
	return []Finding{space(v.Data, vol), inodes(v.Data, vol)}
}

func space(dir string, vol Volume) Finding {
	f := Finding{"disk.space", OK, fmt.Sprintf("%s of %s are free for %s", size(vol.Free), size(vol.Size), dir), ""}
	switch {
	case vol.Free < noBytes:
		f.Status, f.Mend = Fail, freeSome(dir)
	case vol.Free < fewBytes, vol.Free < vol.Size/fullness && vol.Free < 20*fewBytes:
		f.Status, f.Mend = Warn, freeSome(dir)
	}
	return f
}

func freeSome(dir string) string {
	return "df -h " + shell.Quote(dir) + ", then delete images or enlarge the disk"
}

func inodes(dir string, vol Volume) Finding {
	f := Finding{"disk.inodes", OK, fmt.Sprintf("%d of %d inodes are free for %s", vol.FreeFiles, vol.Files, dir), ""}
	switch {
	case vol.Files == 0:
		f.Found = "the file system of " + dir + " makes inodes as it needs them"
	case vol.FreeFiles < noFiles:
		f.Status, f.Mend = Fail, "df -i "+shell.Quote(dir)+", then delete files"
	case vol.FreeFiles < fewFiles:
		f.Status, f.Mend = Warn, "df -i "+shell.Quote(dir)+", then delete files"
	}
	return f
}

// size is a number of bytes for people.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatUint(n, 10) + " B"
	}
	x, i := float64(n)/1024, 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", x, units[i])
}

// checkOpenFiles compares how many files the server may have open with the
// connections that it lets in.
func checkOpenFiles(_ context.Context, v *visit) []Finding {
	most := v.Config.Connections
	if v.Host != "" && !v.home || most == 0 {
		return []Finding{{"files", Skipped, "the limits of the server are not known here", ""}}
	}
	limit, whose, err := v.openFiles()
	if err != nil {
		return []Finding{{"files", Warn, "the limit of open files is not known: " + err.Error(), ""}}
	}
	f := Finding{"files", OK, fmt.Sprintf("%s may have %d files open, and limits.connections is %d", whose, limit, most), ""}
	// A connection takes one, and another while a layer comes or goes.
	need := 2*uint64(most) + spareFiles
	switch {
	case limit < uint64(most)+spareFiles:
		f.Status = Fail
	case limit < need:
		f.Status = Warn
	}
	if f.Status != OK {
		f.Mend = fmt.Sprintf("LimitNOFILE=%d in the server's unit (ulimit -Hn %[1]d in its shell), or limits.connections: %d", need, (max(limit, 2*spareFiles)-spareFiles)/2)
	}
	return []Finding{f}
}

// spareFiles are for the index, the log, the sockets and what Go needs.
const spareFiles = 100

// openFiles is the limit of the running server, or that of one that is started
// by who asks.
func (v *visit) openFiles() (limit uint64, whose string, err error) {
	if v.Status != nil {
		limits := v.read(fmt.Sprintf("/proc/%d/limits", v.Status.PID))
		for line := range strings.Lines(limits) {
			if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
				soft, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
				limit, err = strconv.ParseUint(soft, 10, 64)
				return limit, "the server", err
			}
		}
	}
	limit, err = v.MaxOpenFiles()
	return limit, "a program that is started here", err
}

// What fsync takes. A disk that turns has 120 turns a second; a flash disk
// without a capacitor takes most of a millisecond; the fastest with one, some
// twenty microseconds.
const (
	incredible = 15 * time.Microsecond
	doubtful   = 60 * time.Microsecond
	slow       = 50 * time.Millisecond
	syncs      = 200
	syncTime   = time.Second
)

// checkFsync says what is known of whether the disk keeps what it says that it
// has: nothing short of a power cut proves it.
func checkFsync(ctx context.Context, v *visit) []Finding {
	if f, ok := v.noData("disk.fsync"); !ok {
		return []Finding{f, {"disk.media", Skipped, f.Found, ""}, {"disk.locks", Skipped, f.Found, ""}}
	}
	vol, err := v.Volume(v.Data)
	if err != nil {
		vol = Volume{}
	}
	m := v.mount(v.Data)
	if m.kind == "" {
		m.kind = filesystem.KindOf(vol.Magic)
	}
	return []Finding{v.measure(ctx, m), v.medium(m), v.locks(m)}
}

// locks says whether a second server is kept out of the data folder: tried where
// request bodies come in, and by what the file system is.
func (v *visit) locks(m mount) Finding {
	f := Finding{Check: "disk.locks", Status: OK}
	dir := filepath.Join(v.Data, "tmp")
	if !v.exists(dir) {
		f.Status, f.Found = Skipped, "there is no "+dir+" yet: the first start makes it"
		return f
	}
	var none *datadir.NoLocksError
	err := v.Locks(dir)
	name := filesystem.Shared(m.kind)
	switch {
	case errors.As(err, &none):
		f.Status, f.Found, f.Mend = Fail, err.Error(), moveData
	case err != nil:
		f.Status, f.Found, f.Mend = Warn, "locks cannot be tried: "+err.Error(), "run this as the user that the server runs as"
	case name != "":
		f.Status, f.Found, f.Mend = Warn, "locks work here, but whether they keep out servers on other machines is up to "+name, moveData
	default:
		f.Found = "a lock on a file keeps out whoever comes second"
	}
	return f
}

// measure appends and syncs for a second at most, where request bodies come in.
func (v *visit) measure(ctx context.Context, m mount) Finding {
	dir := filepath.Join(v.Data, "tmp")
	if !v.exists(dir) {
		return Finding{"disk.fsync", Skipped, "there is no " + dir + " yet: the first start makes it", ""}
	}
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	took, err := v.Append(ctx, dir, syncs)
	if err != nil {
		return Finding{"disk.fsync", Warn, "it cannot be measured: " + err.Error(), "run this as the user that the server runs as"}
	}
	if len(took) == 0 {
		return Finding{"disk.fsync", Warn, "not one append was synced within " + syncTime.String(), "look for what else uses the disk: iostat -x 1"}
	}
	return weigh(took, m)
}

// weigh says what measured times mean.
func weigh(took []time.Duration, m mount) Finding {
	slices.Sort(took)
	half, last := took[len(took)/2], took[len(took)*99/100]
	f := Finding{"disk.fsync", OK, fmt.Sprintf("%d appends of 4 KiB were written and synced in %s each (99%% within %s), some %.0f a second",
		len(took), round(half), round(last), float64(time.Second)/float64(max(half, 1))), ""}
	switch {
	case inMemory(m.kind):
		f.Status, f.Mend = Fail, moveData
		f.Found += ", to memory"
	case half < incredible:
		f.Status, f.Mend = Warn, askPower
		f.Found += ": no disk is known to be so fast, so something answers before the disk has it"
	case half < doubtful:
		f.Status, f.Mend = Warn, askPower
		f.Found += ": only disks with a capacitor (power-loss protection) are so fast; any other answers before it has it"
	case half > slow:
		f.Status = Warn
		f.Found += ": each push waits for several of them"
		f.Mend = "put the data folder on a faster disk"
	}
	return f
}

func round(d time.Duration) string { return d.Round(max(d/100, time.Microsecond)).String() }

const (
	moveData = "stop the server, move the data folder to a disk, and start it with --data there"
	askPower = "make sure that the disk has power-loss protection and, in a virtual machine, that the host's cache mode is not \"unsafe\""
)
