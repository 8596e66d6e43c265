package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/peer"
)

// Account is a registry with ECR's API.
type Account struct {
	API *peer.ECRAPI
	ID  string // the account's; "" means that of the key
}

// ask is the input of a call about a repository or, without one, the registry.
func (a Account) ask(repo string, more ...any) map[string]any {
	in := map[string]any{}
	if a.ID != "" {
		in["registryId"] = a.ID
	}
	if repo != "" {
		in["repositoryName"] = repo
	}
	for i := 0; i < len(more); i += 2 {
		in[more[i].(string)] = more[i+1]
	}
	return in
}

// pages calls an operation until it has no more pages. Each is read by one.
func (a Account) pages(ctx context.Context, operation string, in map[string]any, page func(call func(out any) error) (next string, err error)) error {
	for {
		next, err := page(func(out any) error { return a.API.Call(ctx, operation, in, out) })
		if err != nil || next == "" {
			return err
		}
		in["nextToken"] = next
	}
}

const pageSize = 1000 // the most that ECR takes

// FromECR is the catalogue of a registry by ECR's API, which tells of images without a
// tag, too. They come in the order in which they were pushed.
func FromECR(a Account) Catalogue { return ecrCatalogue{a} }

type ecrCatalogue struct{ Account }

// Repositories implements Catalogue.
func (c ecrCatalogue) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := c.pages(ctx, "DescribeRepositories", c.ask("", "maxResults", pageSize), func(call func(any) error) (string, error) {
			var said struct {
				Repositories []struct{ RepositoryName string }
				NextToken    string
			}
			if err := call(&said); err != nil {
				return "", err
			}
			for _, r := range said.Repositories {
				if !yield(r.RepositoryName, nil) {
					return "", errStop
				}
			}
			return said.NextToken, nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield("", err)
		}
	}
}

var errStop = errors.New("read no further")

// described is an image as ECR describes it.
type described struct {
	ImageDigest   string
	ImageTags     []string
	ImagePushedAt float64
	ImageStatus   string
}

// archived are the states of images that cannot be pulled (ECR API reference,
// "ImageDetail").
var archived = []string{"ARCHIVED", "ACTIVATING"}

// References implements Catalogue.
func (c ecrCatalogue) References(ctx context.Context, repo string) (refs References, err error) {
	var all []described
	err = c.pages(ctx, "DescribeImages", c.ask(repo, "maxResults", pageSize, "filter", map[string]string{"imageStatus": "ANY"}), func(call func(any) error) (string, error) {
		var said struct {
			ImageDetails []described
			NextToken    string
		}
		err := call(&said)
		all = append(all, said.ImageDetails...)
		return said.NextToken, err
	})
	if errors.Is(err, peer.ErrDenied) {
		all, err = c.listed(ctx, repo)
	}
	if err != nil {
		return refs, err
	}
	slices.SortStableFunc(all, func(a, b described) int { return cmp.Compare(a.ImagePushedAt, b.ImagePushedAt) })
	refs.Whole = true
	for _, image := range all {
		if slices.Contains(archived, image.ImageStatus) {
			refs.Notes = append(refs.Notes, fmt.Sprintf("image %s %s is archived: it cannot be pulled before it is restored", image.ImageDigest, image.ImageTags))
			continue
		}
		refs.Tags = append(refs.Tags, image.ImageTags...)
		if len(image.ImageTags) > 0 {
			continue
		}
		d, err := digest.Parse(image.ImageDigest)
		if err != nil {
			return refs, fmt.Errorf("%w: an image is listed as %.100q", peer.ErrWrong, image.ImageDigest)
		}
		refs.Untagged = append(refs.Untagged, d)
	}
	return refs, nil
}

// listed is what ListImages tells, which more callers may ask.
func (c ecrCatalogue) listed(ctx context.Context, repo string) ([]described, error) {
	var all []described
	err := c.pages(ctx, "ListImages", c.ask(repo, "maxResults", pageSize), func(call func(any) error) (string, error) {
		var said struct {
			ImageIDs  []struct{ ImageDigest, ImageTag string }
			NextToken string
		}
		err := call(&said)
		for _, id := range said.ImageIDs {
			one := described{ImageDigest: id.ImageDigest}
			if id.ImageTag != "" {
				one.ImageTags = []string{id.ImageTag}
			}
			all = append(all, one)
		}
		return said.NextToken, err
	})
	return all, err
}
