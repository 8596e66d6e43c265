//go:build !recorded

package main

import (
	"errors"

	"github.com/seed-78150930/berth/internal/crash/power"
)

// recorder says that this is not the kit, but a program that was built without it.
func recorder() (func(*power.Disk), error) {
	return nil, errors.New("built without the recorder of bbolt's writes")
}
