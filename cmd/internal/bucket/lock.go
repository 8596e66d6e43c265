package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-78150930/berth/storage/backup"
)

// The lock is an object that its owner writes anew, again and again. One that was not for
// lockLasts, by the clock of the service, is of somebody who died. All writes to it are
// conditional (Amazon S3 User Guide, "conditional writes"), so two never have it.
const (
	lockName  = "lock"
	lockLasts = 5 * time.Minute
)

// Lock implements backup.Target.
func (t *Target) Lock(ctx context.Context) (context.Context, func() error, error) {
	tag, err := t.putLock(ctx, nil)
	if isTaken(err) {
		tag, err = t.takeOver(ctx)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("lock %s: %w", t, err)
	}
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.keepLock(held, tag, cancel)
	}()
	return held, func() error {
		lost := held.Err() != nil && ctx.Err() == nil
		cancel(nil)
		<-ended
		if lost {
			return nil // it is another's now
		}
		return t.Delete(context.WithoutCancel(ctx), lockName)
	}, nil
}

// putLock writes the lock: anew, or in the place of the one with a tag.
func (t *Target) putLock(ctx context.Context, tag *string) (*string, error) {
	in := &s3.PutObjectInput{Bucket: &t.bucket, Key: t.key(lockName), IfMatch: tag}
	if tag == nil {
		in.IfNoneMatch = aws.String("*")
	}
	host, _ := os.Hostname() // a machine may have none
	in.Body = strings.NewReader(fmt.Sprintf("process %d on %s at %s\n", os.Getpid(), host, time.Now().Format(time.RFC3339Nano)))
	out, err := t.client.PutObject(ctx, in)
	if err != nil {
		return nil, err
	}
	return out.ETag, nil
}

// isTaken says that a lock was there, or that another came first (409: a conflict of two
// conditional writes).
func isTaken(err error) bool {
	status := statusOf(err)
	return status == http.StatusPreconditionFailed || status == http.StatusConflict
}

// takeOver takes the lock of somebody who died.
func (t *Target) takeOver(ctx context.Context) (*string, error) {
	out, err := t.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &t.bucket, Key: t.key(lockName)})
	if err != nil {
		return nil, errors.Join(backup.ErrLocked, err)
	}
	now, ok := middleware.GetServerTime(out.ResultMetadata)
	if !ok {
		now = time.Now()
	}
	written := aws.ToTime(out.LastModified)
	if now.Sub(written) < t.lasts {
		return nil, fmt.Errorf("%w, at %s the last time; if it died, try again in %s",
			backup.ErrLocked, written.Format(time.RFC3339), (t.lasts - now.Sub(written)).Round(time.Second))
	}
	tag, err := t.putLock(ctx, out.ETag)
	if isTaken(err) {
		return nil, backup.ErrLocked
	}
	return tag, err
}

// keepLock writes the lock anew until ctx ends, which it does by cancel if that fails for
// too long or another has it.
func (t *Target) keepLock(ctx context.Context, tag *string, cancel context.CancelCauseFunc) {
	renew := time.NewTicker(t.lasts / 10)
	defer renew.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
		}
		next, err := t.putLock(ctx, tag)
		if err == nil {
			tag, last = next, time.Now()
			continue
		}
		if isTaken(err) || time.Since(last) > t.lasts/2 {
			cancel(fmt.Errorf("the lock of %s is lost: %w", t, err))
		}
	}
}
