package ecrapi

import (
	"context"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
)

// tagging are the actions that creating a repository needs beside its own
// (ECR reference, policies.md section 1).
func tagging(in any) []string {
	if len(in.(*shape.CreateRepositoryRequest).Tags) == 0 {
		return nil
	}
	return []string{"ecr:TagResource"}
}

func (a *API) listTagsForResource(ctx context.Context, c *call, _ *shape.ListTagsForResourceRequest) (*shape.ListTagsForResourceResponse, error) {
	repo, err := a.registry.Repository(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &shape.ListTagsForResourceResponse{Tags: shapeTags(repo.ResourceTags)}, nil
}

func (a *API) tagResource(ctx context.Context, c *call, in *shape.TagResourceRequest) (*shape.TagResourceResponse, error) {
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	return &shape.TagResourceResponse{}, a.registry.TagRepository(ctx, c.repo, tags)
}

func (a *API) untagResource(ctx context.Context, c *call, in *shape.UntagResourceRequest) (*shape.UntagResourceResponse, error) {
	return &shape.UntagResourceResponse{}, a.registry.UntagRepository(ctx, c.repo, in.TagKeys)
}

var errResourceTag = &registry.Error{Code: registry.ResourceTagInvalid, Msg: wording.BadResourceTag}

// resourceTags reads tags, no two of which may have the same key. Nil stays
// nil.
func resourceTags(list []shape.Tag) (map[string]string, error) {
	if list == nil {
		return nil, nil
	}
	tags := make(map[string]string, len(list))
	for _, t := range list {
		if _, twice := tags[*t.Key]; twice {
			return nil, errResourceTag
		}
		tags[*t.Key] = *t.Value
	}
	return tags, nil
}
