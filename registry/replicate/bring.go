package replicate

import (
	"context"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/storage"
)

// bring brings one image to its destination, lets its lane rest, or gives it up.
func (w *Worker) bring(ctx context.Context, r registry.Replica) {
	err := w.send(ctx, r)
	if err == nil {
		w.rests.end(r)
		w.counts.done(r.To)
		return
	}
	if ctx.Err() != nil {
		return
	}
	if storage.Refuses(err) { // which is none of the image's doing, and counts as no try
		pause(ctx, firstRest)
		return
	}
	if w.passes(r, err) {
		return
	}
	f := refusalOf(err)
	if f == nil {
		tries := w.rests.begin(r, w.now(), "this server failed to read it, and its log says why")
		w.tellFault(r, tries, err)
		if tries < maxTries {
			return
		}
		f = &refused{registry.FailedByFault, "The server failed to replicate the image, and its log says why"}
	}
	if err := w.registry.FailReplica(ctx, r, f.code, f.reason); err != nil {
		w.log.Error("give up an image that is not replicated", "error", err)
		w.rests.begin(r, w.now(), "this server failed to note that it was refused")
		return
	}
	w.counts.failed(r.To)
	w.rests.end(r)
}

func (w *Worker) send(ctx context.Context, r registry.Replica) error {
	if w.remote == nil {
		return w.registry.ReceiveReplica(ctx, r)
	}
	return w.remote.bring(ctx, r)
}

// passes lets everything rest that goes to a destination which cannot be reached, and
// the lane in which that was seen for longer each time. There is no end to that.
func (w *Worker) passes(r registry.Replica, err error) bool {
	least, outage := outageOf(err)
	if !outage {
		return false
	}
	why := reasonOf(err)
	w.tellFault(r, w.rests.begin(r, w.now(), why), err)
	w.rests.outage(w.now(), least, why)
	return true
}

func (w *Worker) tellFault(r registry.Replica, tries int, err error) {
	w.log.Error("replicate an image", "repository", r.Source.ARN(), "digest", r.Digest.String(),
		"account", r.To.Account, "region", r.To.Region, "try", tries, "error", err)
}
