//go:build recorded

package main

import (
	"os"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/seed-78150930/berth/internal/crash/power"
)

// recorder has bbolt's files go by a disk.
func recorder() (func(*power.Disk), error) {
	var now atomic.Pointer[power.Disk]
	bbolt.RecorderOf = func(*os.File) bbolt.Recorder { return now.Load() }
	return func(d *power.Disk) { now.Store(d) }, nil
}
