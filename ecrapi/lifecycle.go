package ecrapi

import (
	"context"
	"errors"
	"time"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/lifecycle"
)

func (a *API) putLifecyclePolicy(ctx context.Context, c *call, in *shape.PutLifecyclePolicyRequest) (*shape.PutLifecyclePolicyResponse, error) {
	p, err := a.registry.PutLifecyclePolicy(ctx, c.repo, *in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &shape.PutLifecyclePolicyResponse{RegistryID: c.id.Account, RepositoryName: c.repo.String(), LifecyclePolicyText: p.Text}, nil
}

func (a *API) getLifecyclePolicy(ctx context.Context, c *call, _ *shape.GetLifecyclePolicyRequest) (*shape.GetLifecyclePolicyResponse, error) {
	p, err := a.registry.LifecyclePolicy(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &shape.GetLifecyclePolicyResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), LifecyclePolicyText: p.Text, LastEvaluatedAt: evaluatedAt(p),
	}, nil
}

func (a *API) deleteLifecyclePolicy(ctx context.Context, c *call, _ *shape.DeleteLifecyclePolicyRequest) (*shape.DeleteLifecyclePolicyResponse, error) {
	p, err := a.registry.DeleteLifecyclePolicy(ctx, c.repo)
	if err != nil {
		return nil, err
	}
	return &shape.DeleteLifecyclePolicyResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), LifecyclePolicyText: p.Text, LastEvaluatedAt: evaluatedAt(p),
	}, nil
}

// evaluatedAt is shown as 0 before the first run (ECR reference, operations.md
// section 7).
func evaluatedAt(p registry.LifecyclePolicy) shape.Timestamp {
	if p.EvaluatedAt.IsZero() {
		return shape.At(time.Unix(0, 0))
	}
	return shape.At(p.EvaluatedAt)
}

func (a *API) startLifecyclePolicyPreview(ctx context.Context, c *call, in *shape.StartLifecyclePolicyPreviewRequest) (*shape.StartLifecyclePolicyPreviewResponse, error) {
	p, err := a.registry.StartLifecyclePreview(ctx, c.repo, value(in.LifecyclePolicyText))
	if err != nil {
		return nil, err
	}
	return &shape.StartLifecyclePolicyPreviewResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), LifecyclePolicyText: p.Text, Status: shape.LifecyclePolicyPreviewStatus(p.State),
	}, nil
}

func (a *API) getLifecyclePolicyPreview(ctx context.Context, c *call, in *shape.GetLifecyclePolicyPreviewRequest) (*shape.GetLifecyclePolicyPreviewResponse, error) {
	filter, err := previewFilter(in)
	if err != nil {
		return nil, err
	}
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	p, next, err := a.registry.LifecyclePreview(ctx, c.repo, filter, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.GetLifecyclePolicyPreviewResponse{
		RegistryID: c.id.Account, RepositoryName: c.repo.String(), LifecyclePolicyText: p.Text, Status: shape.LifecyclePolicyPreviewStatus(p.State),
	}
	if p.State != registry.PreviewComplete {
		return out, nil
	}
	out.PreviewResults, out.Summary = []shape.LifecyclePolicyPreviewResult{}, previewSummary(p)
	for _, r := range p.Results {
		out.PreviewResults = append(out.PreviewResults, previewResult(r))
	}
	out.NextToken, err = a.nextToken(c, in, next)
	return out, err
}

// previewFilter reads which results are wanted. Images that are named and of which
// there is no result are left out: the model lists no exception for them.
func previewFilter(in *shape.GetLifecyclePolicyPreviewRequest) (registry.PreviewFilter, error) {
	filter := registry.PreviewFilter{Tags: registry.TagFilter(value(value(in.Filter).TagStatus))}
	if in.ImageIDs == nil {
		return filter, nil
	}
	if err := noPages("imageIds", in.NextToken, in.MaxResults); err != nil {
		return filter, err
	}
	filter.Images = []registry.Ref{}
	for _, n := range imageNames(in.ImageIDs) {
		ref, err := n.ref()
		if errors.Is(err, noImage) {
			continue
		}
		if err != nil {
			return filter, invalid("imageIds", err.Error())
		}
		filter.Images = append(filter.Images, ref)
	}
	return filter, nil
}

// previewSummary counts all results, those of other pages among them.
func previewSummary(p registry.LifecyclePreview) *shape.LifecyclePolicyPreviewSummary {
	sum := &shape.LifecyclePolicyPreviewSummary{ExpiringImageTotalCount: new(int64(p.Expiring))}
	if p.Archiving > 0 {
		sum.TransitioningImageTotalCounts = []shape.TransitioningImageTotalCount{{
			TargetStorageClass: shape.LifecyclePolicyTargetStorageClassArchive, ImageTotalCount: new(int64(p.Archiving)),
		}}
	}
	return sum
}

// previewResult shows a result. An image that follows a subject which went before
// is taken by no rule, and shows none.
func previewResult(r registry.PreviewResult) shape.LifecyclePolicyPreviewResult {
	out := shape.LifecyclePolicyPreviewResult{
		ImageTags: r.Tags, ImageDigest: r.Digest.String(), ImagePushedAt: shape.At(r.PushedAt),
		Action:       &shape.LifecyclePolicyRuleAction{Type: shape.ImageActionType(r.Action)},
		StorageClass: shape.LifecyclePolicyStorageClassStandard,
	}
	if r.Action == lifecycle.Transition {
		out.Action.TargetStorageClass = shape.LifecyclePolicyTargetStorageClassArchive
	}
	if r.Archived {
		out.StorageClass = shape.LifecyclePolicyStorageClassArchive
	}
	if r.Rule > 0 {
		out.AppliedRulePriority = new(int64(r.Rule))
	}
	return out
}
