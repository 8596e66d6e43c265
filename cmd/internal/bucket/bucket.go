// Package bucket keeps backups in a bucket of S3, Amazon's or another that speaks its
// protocol.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/seed-78150930/berth/storage/backup"
)

// Options say where a bucket is.
type Options struct {
	// URL is "s3://bucket/prefix".
	URL string
	// Endpoint is the address of a service that is not Amazon's, such as
	// "https://s3.example.com"; "" is Amazon's, or what AWS's configuration names.
	Endpoint string
	// Region is the bucket's; "" is what AWS's configuration names.
	Region string

	// For tests: the size of parts, and how long a lock lasts.
	part  int64
	lasts time.Duration
}

// Target is a backup.Target in a bucket.
type Target struct {
	client         *s3.Client
	bucket, prefix string
	part           int64
	lasts          time.Duration
}

// Is says whether a name is that of a bucket, not of a folder.
func Is(name string) bool { return strings.HasPrefix(name, "s3://") }

// Open finds a bucket, with credentials from where every AWS tool takes them. Nothing is
// asked of it yet.
func Open(ctx context.Context, o Options) (*Target, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a place in a bucket, such as s3://bucket/prefix", o.URL)
	}
	var options []func(*config.LoadOptions) error
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("AWS's configuration: %w", err)
	}
	if c.Region == "" {
		if o.Endpoint == "" {
			return nil, errors.New("which region is the bucket in? --s3-region or AWS_REGION names it")
		}
		c.Region = "us-east-1"
	}
	t := &Target{bucket: u.Host, prefix: strings.Trim(path.Clean("/"+u.Path), "/"), part: o.part, lasts: o.lasts}
	if t.part == 0 {
		t.part = defaultPart
	}
	if t.lasts == 0 {
		t.lasts = lockLasts
	}
	t.client = s3.NewFromConfig(c, func(s *s3.Options) { elsewhere(s, o.Endpoint) })
	return t, nil
}

// elsewhere suits a client to a service that is not Amazon's. Such often know neither names
// of buckets as hosts, nor the trailing checksums that the SDK adds of its own accord.
func elsewhere(s *s3.Options, endpoint string) {
	if endpoint != "" {
		s.BaseEndpoint = aws.String(endpoint)
	}
	if s.BaseEndpoint != nil {
		s.UsePathStyle = true
		s.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		s.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
}

// String implements backup.Target.
func (t *Target) String() string { return "s3://" + path.Join(t.bucket, t.prefix) }

// Close does nothing: there is nothing to let go of.
func (t *Target) Close() error { return nil }

func (t *Target) key(name string) *string { return aws.String(path.Join(t.prefix, name)) }

// List implements backup.Target.
func (t *Target) List(ctx context.Context, folder string) iter.Seq2[backup.File, error] {
	return func(yield func(backup.File, error) bool) {
		prefix := path.Join(t.prefix, folder)
		if prefix != "" {
			prefix += "/"
		}
		pages := s3.NewListObjectsV2Paginator(t.client, &s3.ListObjectsV2Input{Bucket: &t.bucket, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(backup.File{}, fmt.Errorf("list %s: %w", t, err))
				return
			}
			for _, o := range page.Contents {
				name := strings.TrimPrefix(strings.TrimPrefix(aws.ToString(o.Key), t.prefix), "/")
				if name == lockName || strings.HasSuffix(name, "/") { // some services show folders
					continue
				}
				if !yield(backup.File{Name: name, Size: aws.ToInt64(o.Size)}, nil) {
					return
				}
			}
		}
	}
}

// Open implements backup.Target. What is read goes on where it was when a connection breaks
// off.
func (t *Target) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	r := &resumed{ctx: ctx, t: t, name: name}
	return r, r.open()
}

// Delete implements backup.Target.
func (t *Target) Delete(ctx context.Context, name string) error {
	_, err := t.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &t.bucket, Key: t.key(name)})
	if err != nil {
		return t.wrap("delete", name, err)
	}
	return nil
}

// Sync implements backup.Target: what was put is safe already.
func (t *Target) Sync(context.Context) error { return nil }

// wrap says what was being done, and speaks in the words of io/fs.
func (t *Target) wrap(doing, name string, err error) error {
	if statusOf(err) == http.StatusNotFound {
		return fmt.Errorf("%s %s in %s: %w: %w", doing, name, t, fs.ErrNotExist, err)
	}
	return fmt.Errorf("%s %s in %s: %w", doing, name, t, err)
}

// statusOf is the status of the answer that an error tells of, 0 for another error.
func statusOf(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}
