package admin

import (
	"context"
	"errors"
	"time"
)

// The calls about writes.
var (
	SetReadOnly  = Call[ReadOnly, WriteState]{"set-read-only"}
	ShowReadOnly = Call[None, WriteState]{"show-read-only"}
)

// ReadOnly is an order to take no writes, or the end of one.
type ReadOnly struct {
	On bool `json:"on"`
}

// WriteState says whether writes are taken. Its JSON form is what commands print.
type WriteState struct {
	// Refused are the reasons for which they are not, none if they are.
	Refused []Refused `json:"refused"`
}

// Refused is a reason to take no writes.
type Refused struct {
	Reason string    `json:"reason"` // failed, setting, order, unwritable or full
	Why    string    `json:"why"`
	Since  time.Time `json:"since"`
}

// Disk is what the disk of the data folder was like when it was last measured.
type Disk struct {
	Free      uint64 `json:"free"` // bytes
	Size      uint64 `json:"size"`
	FreeFiles uint64 `json:"freeInodes"`
	Files     uint64 `json:"inodes"` // 0 where they are made as needed
	Low       bool   `json:"low"`
	LowBytes  uint64 `json:"lowBelow"`      // the mark of disk-low
	StopBytes uint64 `json:"refusingBelow"` // the mark of disk-stop
}

// Writes is who can refuse writes, and say why they are refused.
type Writes interface {
	ReadOnly(ctx context.Context, on bool) (WriteState, error)
	WriteState(ctx context.Context) (WriteState, error)
}

// errNoServer says that an order is for a running server.
var errNoServer = errors.New("no server runs, which could take writes or not: the setting read-only is for its start")

func (c *Clerk) answerReadOnly(all answers) {
	answered(all, SetReadOnly, func(ctx context.Context, q ReadOnly) (WriteState, error) {
		if c.Writes == nil {
			return WriteState{}, errNoServer
		}
		return c.Writes.ReadOnly(ctx, q.On)
	})
	answered(all, ShowReadOnly, func(ctx context.Context, _ None) (WriteState, error) {
		if c.Writes == nil {
			return WriteState{}, errNoServer
		}
		return c.Writes.WriteState(ctx)
	})
}
