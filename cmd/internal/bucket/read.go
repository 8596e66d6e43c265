package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// attempts is how often a read is taken up again without a byte coming in between.
const attempts = 4

// resumed reads an object, over as many connections as it takes.
type resumed struct {
	ctx    context.Context // that of Open, which is the length of the read
	t      *Target
	name   string
	body   io.ReadCloser
	at     int64
	etag   *string
	failed int
}

// open asks for the object from where the read is.
func (r *resumed) open() error {
	in := &s3.GetObjectInput{Bucket: &r.t.bucket, Key: r.t.key(r.name), IfMatch: r.etag}
	if r.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.at))
	}
	out, err := r.t.client.GetObject(r.ctx, in)
	if err != nil {
		return r.t.wrap("read", r.name, err)
	}
	r.body, r.etag = out.Body, out.ETag
	return nil
}

func (r *resumed) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.failed = 0
		}
		if err == nil || err == io.EOF || r.ctx.Err() != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
		if r.failed++; r.failed == attempts {
			return 0, r.t.wrap("read", r.name, err)
		}
		_ = r.body.Close() // it is broken
		if err := r.open(); err != nil {
			r.body = io.NopCloser(failing{err})
			return 0, err
		}
	}
}

func (r *resumed) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// failing is a reader that has failed.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, errors.Join(f.err) }
