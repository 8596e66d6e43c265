package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
)

// TestFigureRowsOfAPage counts what pages of 100 read, in repositories of which one has
// ten times as much as the other: a page costs what is on it. `make figures` has the time
// that it takes where there is more.
func TestFigureRowsOfAPage(t *testing.T) {
	const few, many = 200, 2_000
	var c tally
	d := openWatched(t, map[string]string{"log-level": "warn", "limits.tags": fmt.Sprint(many)}, c.watch())
	d.filled("tags/few", 1, few)
	d.filled("tags/many", 1, many)
	d.filled("images/few", few, 1)
	d.filled("images/many", many, 1)
	for what, page := range map[string]func(few string) (response, error){
		"tags": func(size string) (response, error) {
			return d.ok(d.v2(http.MethodGet, "/v2/tags/"+size+"/tags/list?n=100&last=v000000-000100", nil), http.StatusOK)
		},
		"tags of images": func(size string) (response, error) {
			return d.ok(d.v2(http.MethodGet, "/v2/images/"+size+"/tags/list?n=100&last=v000100-000000", nil), http.StatusOK)
		},
		"ListImages": func(size string) (response, error) {
			return d.ok(d.operation("ListImages", members{"repositoryName": "images/" + size, "maxResults": 100}), http.StatusOK)
		},
		"DescribeImages": func(size string) (response, error) {
			return d.ok(d.operation("DescribeImages", members{"repositoryName": "images/" + size, "maxResults": 100}), http.StatusOK)
		},
		"DescribeImages, tagged": func(size string) (response, error) {
			return d.ok(d.operation("DescribeImages", members{"repositoryName": "images/" + size, "maxResults": 100, "filter": members{"tagStatus": "TAGGED"}}), http.StatusOK)
		},
	} {
		read := func(size string) float64 {
			ask := func() {
				_, err := page(size)
				d.must(err)
			}
			return float64(least(&c.rows, ask) + least(&c.gets, ask))
		}
		fewer := read("few")
		if fewer < 100 {
			t.Errorf("%s: %v rows are read for 100", what, fewer)
		}
		figure(t, fmt.Sprintf("rows read for a page of %s among %d, in those among %d", what, many, few), read("many")/fewer, 1.2)
	}
}

// filled makes a repository with some images and some tags of each.
func (d *doorway) filled(repo string, images, tags int) {
	d.Helper()
	d.createRepository(repo)
	name, err := registry.ParseName(registry.ID{Account: "000000000000", Region: "us-east-1"}, repo)
	d.must(err)
	ctx := auth.WithPrincipal(d.Context(), auth.Principal{Account: "000000000000", ARN: "arn:aws:iam::000000000000:root", UserID: "000000000000", Region: "us-east-1", Kind: auth.Root})
	for i := range images {
		push := registry.Push{}
		for j := range tags {
			tag, err := registry.ParseTag(fmt.Sprintf("v%06d-%06d", i, j))
			d.must(err)
			push.Tags = append(push.Tags, tag)
		}
		d.must(pushIndex(ctx, d.house.Registry(), name, push, i))
	}
}

// pushIndex pushes an index without images, which is enough of an image for lists.
func pushIndex(ctx context.Context, s *registry.Service, name registry.Name, push registry.Push, n int) (err error) {
	push.Body, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex, "manifests": []any{}, "annotations": map[string]string{"n": fmt.Sprint(n)},
	})
	if err != nil {
		return err
	}
	_, err = s.PutImage(ctx, name, push)
	return err
}
