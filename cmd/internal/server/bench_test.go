package server_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func BenchmarkPushImage(b *testing.B) {
	d := openBench(b)
	measure(b, func(n uint64) error {
		return d.pushImage("team/app", "latest", d.smallImage(n))
	})
}

func BenchmarkPullImage(b *testing.B) {
	d := openBench(b)
	img := d.smallImage(0)
	d.must(d.pushImage("team/app", "latest", img))
	measure(b, func(uint64) error { return d.pullImage("team/app", "latest", img) })
}

// pullImage reads a manifest and then each of its blobs.
func (d *doorway) pullImage(repo, tag string, img smallImage) error {
	got, err := d.ok(d.v2(http.MethodGet, "/v2/"+repo+"/manifests/"+tag, nil), http.StatusOK)
	size := int64(len(got.body))
	for _, id := range img.ids {
		if err != nil {
			return err
		}
		got, err = d.ok(d.v2(http.MethodGet, "/v2/"+repo+"/blobs/"+id, nil), http.StatusOK)
		size += int64(len(got.body))
	}
	if err == nil && size != img.size() {
		err = errors.New("the image that was pulled has another size")
	}
	return err
}

func BenchmarkPutImage(b *testing.B) {
	d := openBench(b)
	image := d.oneConfig("team/app")
	measure(b, func(n uint64) error {
		_, err := d.ok(d.operation("PutImage", members{
			"repositoryName": "team/app", "imageTag": "latest",
			"imageManifest": string(image(n)), "imageManifestMediaType": v1.MediaTypeImageManifest,
		}), http.StatusOK)
		return err
	})
}

func BenchmarkGetAuthorizationToken(b *testing.B) {
	d := openBench(b)
	measure(b, func(uint64) error {
		_, err := d.ok(d.operation("GetAuthorizationToken", members{}), http.StatusOK)
		return err
	})
}

// BenchmarkAmong10000 reads from a repository of 10,000 images with a tag each.
func BenchmarkAmong10000(b *testing.B) {
	const images, page = 10_000, 100
	d := openBench(b)
	d.pushMany("team/app", images)
	manifest := func(method string) func(n uint64) error {
		return func(n uint64) error {
			_, err := d.ok(d.v2(method, "/v2/team/app/manifests/"+tagOf(int(n*7919%images)), nil), http.StatusOK)
			return err
		}
	}
	b.Run("HeadManifest", func(b *testing.B) { measure(b, manifest(http.MethodHead)) })
	b.Run("GetManifest", func(b *testing.B) { measure(b, manifest(http.MethodGet)) })
	tags := func(query string, want int) func(uint64) error {
		return func(uint64) error {
			a, err := d.ok(d.v2(http.MethodGet, "/v2/team/app/tags/list"+query, nil), http.StatusOK)
			return errors.Join(err, counts(a, `"v`, want))
		}
	}
	b.Run("TagsPage", func(b *testing.B) { measure(b, tags("?n=100&last=v05000", page)) })
	b.Run("TagsAll", func(b *testing.B) { measure(b, tags("", images)) })
	b.Run("DescribeImagesPage", func(b *testing.B) {
		measure(b, func(uint64) error {
			a, err := d.ok(d.operation("DescribeImages", members{"repositoryName": "team/app", "maxResults": page}), http.StatusOK)
			return errors.Join(err, counts(a, `"imageTags":`, page))
		})
	})
}

// counts holds how often something is in an answer against how often it must
// be.
func counts(a response, what string, want int) error {
	if strings.Count(a.body, what) != want {
		return errors.New("the answer has not as many entries as it must")
	}
	return nil
}
