package replicate

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/peer"
	"github.com/seed-78150930/berth/registry/remote"
)

// refused says why an image never comes to its destination. reason is for everyone who
// may see the status of the image: it names the host of the destination, and no address.
type refused struct{ code, reason string }

func (r *refused) Error() string { return r.code + ": " + r.reason }

// outageOf says whether an error is one of the destination as a whole that passes, and
// how long that wants not to be asked.
func outageOf(err error) (least time.Duration, ok bool) {
	e := new(peer.Error)
	if !errors.As(err, &e) || !errors.Is(err, peer.ErrTooMany) && !errors.Is(err, peer.ErrUnavailable) {
		return 0, false
	}
	return e.RetryAfter, true
}

// Codes of quotas, at ECR and at Berth (ECR API reference: LimitExceededException).
var limits = []string{"LimitExceededException", "DENIED_QUOTA", "TOOMANYREQUESTS"}

// refusalOf is why an image never comes to its destination, nil for a fault of this
// server's.
func refusalOf(err error) *refused {
	if r := new(refused); errors.As(err, &r) {
		return r
	}
	if code := registry.CodeOf(err); code == registry.LayerArchived {
		return &refused{registry.FailedByRefusal, "The image is archived"}
	}
	e := new(peer.Error)
	switch {
	case !errors.As(err, &e):
		return nil
	case slices.Contains(limits, e.Code) || e.Status == http.StatusRequestEntityTooLarge:
		return &refused{registry.FailedByLimit, reasonOf(err)}
	case errors.Is(err, peer.ErrDenied):
		return &refused{registry.FailedByPolicy, reasonOf(err)}
	}
	return &refused{registry.FailedByRefusal, reasonOf(err)}
}

// reasonOf says what a destination answered, or that it did not. What was said about a
// connection is left out, since it names addresses.
func reasonOf(err error) string {
	e := new(peer.Error)
	switch {
	case !errors.As(err, &e):
		return "the destination does not answer"
	case errors.Is(err, remote.ErrRefused):
		return e.Host + ": the settings of egress do not let this server connect to its address"
	case e.Status == 0 && errors.Is(err, peer.ErrUnavailable):
		return e.Host + ": it cannot be reached"
	}
	return e.Error()
}
