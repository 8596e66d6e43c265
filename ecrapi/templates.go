package ecrapi

import (
	"context"
	"maps"
	"slices"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
)

func (a *API) createRepositoryCreationTemplate(ctx context.Context, c *call, in *shape.CreateRepositoryCreationTemplateRequest) (*shape.CreateRepositoryCreationTemplateResponse, error) {
	tags, err := resourceTags(in.ResourceTags)
	if err != nil {
		return nil, err
	}
	encryption, err := templateEncryption(c.id, in.EncryptionConfiguration)
	if err != nil {
		return nil, err
	}
	t, err := a.registry.CreateTemplate(ctx, c.id, registry.Template{
		Prefix: *in.Prefix, Description: value(in.Description), AppliedFor: causes(in.AppliedFor), CustomRole: value(in.CustomRoleARN),
		Settings: registry.Settings{
			TagRule:    tagRule(value(in.ImageTagMutability), in.ImageTagMutabilityExclusionFilters),
			Encryption: value(encryption), ResourceTags: tags, Policy: value(in.RepositoryPolicy), Lifecycle: value(in.LifecyclePolicy),
		},
	})
	if err != nil {
		return nil, err
	}
	return &shape.CreateRepositoryCreationTemplateResponse{RegistryID: c.id.Account, RepositoryCreationTemplate: new(template(t))}, nil
}

// updateRepositoryCreationTemplate leaves alone what a request leaves out (ECR
// reference, operations.md section 11, where the sources disagree).
func (a *API) updateRepositoryCreationTemplate(ctx context.Context, c *call, in *shape.UpdateRepositoryCreationTemplateRequest) (*shape.UpdateRepositoryCreationTemplateResponse, error) {
	tags, err := resourceTags(in.ResourceTags)
	if err != nil {
		return nil, err
	}
	encryption, err := templateEncryption(c.id, in.EncryptionConfiguration)
	if err != nil {
		return nil, err
	}
	t, err := a.registry.UpdateTemplate(ctx, c.id, *in.Prefix, registry.TemplateChange{
		Description: in.Description, AppliedFor: causes(in.AppliedFor), CustomRole: in.CustomRoleARN,
		Mutability: (*registry.Mutability)(in.ImageTagMutability), Exclusions: tagRule("", in.ImageTagMutabilityExclusionFilters).Exclusions,
		Encryption: encryption, ResourceTags: tags, Policy: in.RepositoryPolicy, Lifecycle: in.LifecyclePolicy,
	})
	if err != nil {
		return nil, err
	}
	return &shape.UpdateRepositoryCreationTemplateResponse{RegistryID: c.id.Account, RepositoryCreationTemplate: new(template(t))}, nil
}

func (a *API) deleteRepositoryCreationTemplate(ctx context.Context, c *call, in *shape.DeleteRepositoryCreationTemplateRequest) (*shape.DeleteRepositoryCreationTemplateResponse, error) {
	t, err := a.registry.DeleteTemplate(ctx, c.id, *in.Prefix)
	if err != nil {
		return nil, err
	}
	return &shape.DeleteRepositoryCreationTemplateResponse{RegistryID: c.id.Account, RepositoryCreationTemplate: new(template(t))}, nil
}

func (a *API) describeRepositoryCreationTemplates(ctx context.Context, c *call, in *shape.DescribeRepositoryCreationTemplatesRequest) (*shape.DescribeRepositoryCreationTemplatesResponse, error) {
	if in.Prefixes != nil {
		return a.describeNamedTemplates(ctx, c, in)
	}
	after, err := a.place(c, in, in.NextToken)
	if err != nil {
		return nil, err
	}
	page, more, err := a.registry.Templates(ctx, c.id, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &shape.DescribeRepositoryCreationTemplatesResponse{
		RegistryID: c.id.Account, RepositoryCreationTemplates: []shape.RepositoryCreationTemplate{},
	}
	for _, t := range page {
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, template(t))
	}
	if more {
		out.NextToken, err = a.nextToken(c, in, page[len(page)-1].Prefix)
	}
	return out, err
}

// describeNamedTemplates leaves out prefixes without a template: the model lists
// no exception for them.
func (a *API) describeNamedTemplates(ctx context.Context, c *call, in *shape.DescribeRepositoryCreationTemplatesRequest) (*shape.DescribeRepositoryCreationTemplatesResponse, error) {
	if err := noPages("prefixes", in.NextToken, in.MaxResults); err != nil {
		return nil, err
	}
	out := &shape.DescribeRepositoryCreationTemplatesResponse{
		RegistryID: c.id.Account, RepositoryCreationTemplates: []shape.RepositoryCreationTemplate{},
	}
	for _, prefix := range distinct(in.Prefixes) {
		t, err := a.registry.Template(ctx, c.id, prefix)
		if registry.CodeOf(err) == registry.TemplateNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, template(t))
	}
	return out, nil
}

func causes(list []shape.RCTAppliedFor) (all []registry.Cause) {
	for _, c := range list {
		all = append(all, registry.Cause(c))
	}
	return all
}

// templateEncryption is nil where nothing was sent. An empty key is none
// (model: KmsKeyForRepositoryCreationTemplate).
func templateEncryption(id registry.ID, in *shape.EncryptionConfigurationForRepositoryCreationTemplate) (*registry.Encryption, error) {
	if in == nil {
		return nil, nil
	}
	plain := &shape.EncryptionConfiguration{EncryptionType: in.EncryptionType}
	if value(in.KMSKey) != "" {
		plain.KMSKey = in.KMSKey
	}
	e, err := encryption(id, plain)
	return &e, err
}

func template(t registry.Template) shape.RepositoryCreationTemplate {
	e := encryptionConfiguration(t.Encryption)
	out := shape.RepositoryCreationTemplate{
		Prefix: t.Prefix, Description: t.Description, CustomRoleARN: t.CustomRole,
		EncryptionConfiguration:            &shape.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: e.EncryptionType, KMSKey: e.KMSKey},
		ImageTagMutability:                 shape.ImageTagMutability(t.TagRule.Mutability),
		ImageTagMutabilityExclusionFilters: exclusionFilters(t.TagRule),
		RepositoryPolicy:                   t.Policy,
		LifecyclePolicy:                    t.Lifecycle,
		CreatedAt:                          shape.At(t.CreatedAt),
		UpdatedAt:                          shape.At(t.UpdatedAt),
	}
	if len(t.ResourceTags) > 0 {
		out.ResourceTags = shapeTags(t.ResourceTags)
	}
	for _, c := range t.AppliedFor {
		out.AppliedFor = append(out.AppliedFor, shape.RCTAppliedFor(c))
	}
	return out
}

// shapeTags are resource tags in order of their keys, not nil.
func shapeTags(tags map[string]string) []shape.Tag {
	list := []shape.Tag{}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, shape.Tag{Key: new(key), Value: new(tags[key])})
	}
	return list
}
