package ecrapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed-78150930/berth/auth/audit"
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/storage"
)

// describe notes in a call what its request says by itself, before anything of it
// is believed. A name that is no operation of the API stays out of the records.
func describe(c *audit.Call, r *http.Request, op string) {
	c.ClaimSigned(r)
	c.Event = audit.Unknown
	if _, known := operations[op]; known {
		c.Event = op
	}
}

// aim notes the registry that a request is about, and the resources that it needs
// rights on.
func (c *call) aim(arns []string) {
	c.record.Account, c.record.Region = c.id.Account, c.id.Region
	for _, arn := range arns {
		if arn != "*" && !strings.HasSuffix(arn, ":repository/*") {
			c.record.On(arn, c.id.Account, audit.RepositoryType)
		}
	}
}

// unrecorded refuses a call that must be recorded and cannot be.
func unrecorded(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, storage.ErrFull):
		return except(shape.ServerException, "%s", wording.NoRoom)
	}
	return except(shape.ServerException, "The server cannot record what it does, and does nothing until it can.")
}
