package ecrapi

import (
	"context"
	"strings"

	"github.com/seed-78150930/berth/auth/policy"
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

// createKeys, tagKeys and untagKeys are the condition keys of requests about
// resource tags (ECR reference, policies.md section 1).
func createKeys(in any) policy.Keys { return requestTags(in.(*shape.CreateRepositoryRequest).Tags) }

func tagKeys(in any) policy.Keys { return requestTags(in.(*shape.TagResourceRequest).Tags) }

func untagKeys(in any) policy.Keys {
	return policy.Keys{"aws:tagkeys": in.(*shape.UntagResourceRequest).TagKeys}
}

// requestTags are the condition keys of tags that a request brings. Keys of tags are
// told apart by case, names of condition keys are not (IAM user guide, "AWS global
// condition context keys"), so one may have several values.
func requestTags(tags []shape.Tag) policy.Keys {
	if len(tags) == 0 {
		return nil
	}
	keys := policy.Keys{}
	for _, t := range tags {
		name := "aws:requesttag/" + strings.ToLower(*t.Key)
		keys[name] = append(keys[name], *t.Value)
		keys["aws:tagkeys"] = append(keys["aws:tagkeys"], *t.Key)
	}
	return keys
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
