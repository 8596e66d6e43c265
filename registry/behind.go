package registry

import (
	"context"
	"errors"
)

// behind puts slices of an upload on disk, one at a time, while the next one comes, so
// that a long stream is not held up by the disk. It is of one stream, which ends when all
// of it is there. What comes last, being no whole slice, has nothing beside it.
type behind struct {
	s           *Service
	u           *session
	checkpoints bool

	added
	done  chan struct{} // closed when what follows is known; nil while nothing is under way
	lost  error         // why the slice is not on disk
	point *point        // a checkpoint that comes with it, if that was due
	err   error         // of that one
}

// settle has a slice put on disk once the one before is, and with it where the upload
// stands, if that is due. It tells what became of the one before.
func (b *behind) settle(ctx context.Context, more added) error {
	err := b.wait()
	if more.settle == nil {
		return err
	}
	b.added, b.done, b.lost, b.point, b.err = more, make(chan struct{}), nil, nil, nil
	if err == nil && b.checkpoints && b.u.unsaved() >= slice {
		b.point, err = b.u.pointAt(b.s.now())
	}
	if at := b.u.row.Offset; at-more.before.row.Offset < slice {
		b.run(ctx, at)
	} else {
		go b.run(ctx, at)
	}
	return err
}

// run puts a slice on disk, before anybody is told of it.
func (b *behind) run(ctx context.Context, at int64) {
	defer close(b.done)
	if b.lost = b.added.settle(); b.lost != nil {
		return
	}
	if b.checkpoints {
		b.u.offset.Store(at)
	}
	if b.point != nil {
		b.err = b.s.commitPoint(ctx, b.u, *b.point)
	}
}

// wait ends with the slice that is under way, if any. If that is lost, so is what came
// after it.
func (b *behind) wait() error {
	if b.done == nil {
		return nil
	}
	<-b.done
	b.done = nil
	if b.lost != nil && b.before.row.Offset < b.u.row.Offset { // else the one before is lost too
		return errors.Join(b.lost, b.u.reset(b.before))
	}
	if b.lost != nil || b.point == nil {
		return b.lost
	}
	return b.u.reached(*b.point, b.err)
}
