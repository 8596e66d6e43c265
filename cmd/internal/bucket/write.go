package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// defaultPart is how much is sent in one request, and kept in memory for that: a body is
// signed by its hash. maxParts is how many an upload may have (Amazon S3 User Guide,
// "multipart upload limits").
const (
	defaultPart = 16 << 20
	maxParts    = 10_000
)

// Put implements backup.Target. Whatever is larger than a part goes in several.
func (t *Target) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	part := t.part
	if size > part*maxParts {
		part = (size + maxParts - 1) / maxParts
	}
	first, err := readPart(r, min(part, max(size, 0)), part)
	if err == io.EOF {
		err = t.putWhole(ctx, name, first)
	} else if err == nil {
		err = t.putParts(ctx, name, first, r, part)
	}
	if err != nil {
		return t.wrap("write", name, err)
	}
	return nil
}

// readPart reads as much as a part may have; io.EOF says that it is the last.
func readPart(r io.Reader, expected, most int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(expected))
	n, err := b.ReadFrom(io.LimitReader(r, most))
	if err == nil && n < most {
		err = io.EOF
	}
	return b.Bytes(), err
}

func (t *Target) putWhole(ctx context.Context, name string, body []byte) error {
	_, err := t.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &t.bucket, Key: t.key(name), Body: bytes.NewReader(body)})
	return err
}

// putParts sends a part and all that follows. The object is there when they all are.
func (t *Target) putParts(ctx context.Context, name string, part []byte, r io.Reader, size int64) error {
	up, err := t.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &t.bucket, Key: t.key(name)})
	if err != nil {
		return err
	}
	done, err := t.sendParts(ctx, name, up.UploadId, part, r, size)
	if err == nil {
		_, err = t.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &t.bucket, Key: t.key(name), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		})
	}
	if err != nil {
		return errors.Join(err, t.abort(context.WithoutCancel(ctx), t.key(name), up.UploadId))
	}
	return nil
}

func (t *Target) sendParts(ctx context.Context, name string, id *string, part []byte, r io.Reader, size int64) (done []types.CompletedPart, err error) {
	var end error
	for number := int32(1); ; number++ {
		if len(part) > 0 || number == 1 {
			out, err := t.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &t.bucket, Key: t.key(name), UploadId: id, PartNumber: &number, Body: bytes.NewReader(part),
			})
			if err != nil {
				return nil, fmt.Errorf("part %d: %w", number, err)
			}
			done = append(done, types.CompletedPart{
				ETag: out.ETag, PartNumber: aws.Int32(number),
				ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
			})
		}
		if end == io.EOF {
			return done, nil
		}
		if part, end = readPart(r, size, size); end != nil && end != io.EOF {
			return nil, end
		}
	}
}

func (t *Target) abort(ctx context.Context, key, id *string) error {
	_, err := t.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &t.bucket, Key: key, UploadId: id})
	if statusOf(err) == http.StatusNotFound {
		return nil
	}
	return err
}

// Tidy implements backup.Target: it ends the uploads of those who died, whose parts would
// be paid for though nobody sees them.
func (t *Target) Tidy(ctx context.Context) error {
	prefix := t.prefix
	if prefix != "" {
		prefix += "/"
	}
	out, err := t.client.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &t.bucket, Prefix: &prefix})
	if slices.Contains([]int{http.StatusNotFound, http.StatusNotImplemented, http.StatusForbidden}, statusOf(err)) {
		return nil // a service without such a list, or a right that is not given: a rule of the bucket's own may do it
	}
	if err != nil {
		return t.wrap("look for unfinished uploads", "", err)
	}
	for _, u := range out.Uploads {
		if err := t.abort(ctx, u.Key, u.UploadId); err != nil {
			return t.wrap("end an unfinished upload", aws.ToString(u.Key), err)
		}
	}
	return nil
}
