package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// CPUOf says how long the process with an id has had a processor for, by what
// Linux tells of it. Elsewhere it is an error.
func CPUOf(pid int) func() (time.Duration, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	return func() (time.Duration, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		return readCPU(text)
	}
}

// tick is the unit of times in /proc: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// readCPU reads the time in user mode and in the kernel (proc_pid_stat(5): the
// 14th and the 15th field; the second is in brackets and may have anything in
// it).
func readCPU(stat []byte) (time.Duration, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("what the kernel says of the process cannot be read")
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}

// ownCPU is the time that this process had a processor for.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
