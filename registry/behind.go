package registry

import (
	"context"
	"errors"
)

// behind has the slices of an upload put on disk, one at a time, while the next one comes, so
// that a long stream does not stand still for the disk. It is of one stream, which ends
// with wait.
//
// Only the sync runs beside the stream: where the upload stands is committed by who reads
// it, since a goroutine of its own for that would take a stack of 16 KiB for each upload.
type behind struct {
	s           *Service
	u           *session
	checkpoints bool

	slice added
	at    int64      // where the upload stands with it
	point *point     // a checkpoint that is due with it, nil if none is
	done  chan error // what becomes of it; nil while none is under way
}

// settle begins to put a slice on disk, once the one before is, and tells what became of
// that one. What comes last, being no whole slice, has nothing beside it.
func (b *behind) settle(ctx context.Context, more added) error {
	standing := b.u.row.Offset
	err := b.wait(ctx)
	if more.settle == nil {
		return err
	}
	if b.u.row.Offset != standing { // the one before is lost, and this one with it
		return errors.Join(err, more.settle())
	}
	b.slice, b.at, b.point, b.done = more, standing, nil, make(chan error, 1)
	if err == nil && b.checkpoints && b.u.unsaved() >= slice {
		b.point, err = b.u.pointAt(b.s.now())
	}
	if err != nil || standing-more.before.row.Offset < slice {
		b.done <- more.settle()
		return errors.Join(err, b.wait(ctx))
	}
	go func(done chan<- error) { done <- more.settle() }(b.done)
	return nil
}

// wait ends when the slice that is under way is on disk, with a checkpoint if that is due:
// only now anybody is told of it. If it is lost, so is what came after it.
func (b *behind) wait(ctx context.Context) error {
	if b.done == nil {
		return nil
	}
	err := <-b.done
	b.done = nil
	if err != nil {
		return errors.Join(err, b.u.reset(b.slice.before))
	}
	if b.checkpoints {
		b.u.offset.Store(b.at)
	}
	if b.point == nil {
		return nil
	}
	return b.u.reached(*b.point, b.s.commitPoint(ctx, b.u, *b.point))
}
