package ecrapi

import (
	"context"
	"maps"
	"slices"

	"github.com/seed-78150930/berth/auth/credentials"
	"github.com/seed-78150930/berth/auth/policy"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// operation is how one operation of the API is carried out.
type operation struct {
	action string
	limit  int64 // bytes of body
	read   func(*credentials.Body) (in any, err error)
	on     resource
	more   func(in any) []string // further actions that the request needs; nil for none
	// keys are the condition keys of a request; nil for none.
	keys func(in any) policy.Keys
	// moves are the images that a request moves tags of, each with the tags that it
	// names, as for registry.MayMove; nil for operations that move none.
	moves func(in any) [][]string
	do    func(a *API, ctx context.Context, c *call, in any) (out any, err error)
}

// Operation is what there is to say of an operation of the API.
type Operation struct {
	Name   string
	Action string // IAM action that it is authorised as
}

// Operations are all operations of the model in order of name.
func Operations() (list []Operation) {
	for _, name := range slices.Sorted(maps.Keys(operations)) {
		list = append(list, Operation{name, operations[name].action})
	}
	return list
}

// actions are the IAM actions that a request needs on its resource.
func (o operation) actions(in any) []string {
	if o.more == nil {
		return []string{o.action}
	}
	return append([]string{o.action}, o.more(in)...)
}

// op is an operation whose requests are JSON of a usual size.
func op[In, Out any](action string, on resource, do func(*API, context.Context, *call, *In) (*Out, error)) operation {
	return operation{
		action: action,
		limit:  maxBody,
		read: func(body *credentials.Body) (any, error) {
			in := new(In)
			return in, readJSON(body, in)
		},
		on: on,
		do: func(a *API, ctx context.Context, c *call, in any) (any, error) {
			return do(a, ctx, c, in.(*In))
		},
	}
}

// withLimit is o with bodies of up to limit bytes.
func (o operation) withLimit(limit int64) operation {
	o.limit = limit
	return o
}

// withRead is o with another way to read requests.
func (o operation) withRead(read func(*credentials.Body) (any, error)) operation {
	o.read = read
	return o
}

// with is o with further actions, by request.
func (o operation) with(more func(in any) []string) operation {
	o.more = more
	return o
}

// The largest bodies that are read, in bytes. No other operation than the two
// has a legal request near a MiB. A manifest has 4 MiB, of which JSON may
// write each byte as six (\u000a). A part has 20,971,520 bytes, a third more
// in base64, of which some clients write each slash as two (\/).
const (
	maxBody         = 1 << 20
	maxManifestBody = 6*(4<<20) + maxBody
	maxPartBody     = 2*(20_971_520*4/3+4) + maxRest
)

//go:generate go run github.com/seed-78150930/berth/ecrapi/internal/parity -readme ../README.md -page ../docs/ecr-parity.md

// operations are all operations of the model, with the IAM action and the
// resource that each is authorised for.
var operations = map[string]operation{
	"CreateRepository":      op("ecr:CreateRepository", onRepository, (*API).createRepository).with(tagging).withKeys(createKeys),
	"DescribeRepositories":  op("ecr:DescribeRepositories", onRepositories, (*API).describeRepositories),
	"DeleteRepository":      op("ecr:DeleteRepository", onRepository, (*API).deleteRepository),
	"PutImageTagMutability": op("ecr:PutImageTagMutability", onRepository, (*API).putImageTagMutability),
	"PutImageScanningConfiguration": op("ecr:PutImageScanningConfiguration", onRepository,
		(*API).putImageScanningConfiguration),

	"ListTagsForResource": op("ecr:ListTagsForResource", onARN, (*API).listTagsForResource),
	"TagResource":         op("ecr:TagResource", onARN, (*API).tagResource).withKeys(tagKeys),
	"UntagResource":       op("ecr:UntagResource", onARN, (*API).untagResource).withKeys(untagKeys),

	"PutImage":           op("ecr:PutImage", onRepository, (*API).putImage).withLimit(maxManifestBody).withMoves(pushedTags),
	"BatchGetImage":      op("ecr:BatchGetImage", onRepository, (*API).batchGetImage),
	"BatchDeleteImage":   op("ecr:BatchDeleteImage", onRepository, (*API).batchDeleteImage).withMoves(removedTags),
	"DescribeImages":     op("ecr:DescribeImages", onRepository, (*API).describeImages),
	"ListImages":         op("ecr:ListImages", onRepository, (*API).listImages),
	"ListImageReferrers": op("ecr:BatchGetImage", onRepository, (*API).listImageReferrers),

	"BatchCheckLayerAvailability": op("ecr:BatchCheckLayerAvailability", onRepository, (*API).batchCheckLayerAvailability),
	"InitiateLayerUpload":         op("ecr:InitiateLayerUpload", onRepository, (*API).initiateLayerUpload),
	"UploadLayerPart":             op("ecr:UploadLayerPart", onRepository, (*API).uploadLayerPart).withRead(readPart).withLimit(maxPartBody),
	"CompleteLayerUpload":         op("ecr:CompleteLayerUpload", onRepository, (*API).completeLayerUpload),
	"GetDownloadUrlForLayer":      op("ecr:GetDownloadUrlForLayer", onRepository, (*API).getDownloadURLForLayer),

	"GetAuthorizationToken": op("ecr:GetAuthorizationToken", onRegistry, (*API).getAuthorizationToken),
	"DescribeRegistry":      op("ecr:DescribeRegistry", onRegistry, (*API).describeRegistry),
	"GetAccountSetting":     op("ecr:GetAccountSetting", onRegistry, (*API).getAccountSetting),
	"PutAccountSetting":     op("ecr:PutAccountSetting", onRegistry, (*API).putAccountSetting),

	"SetRepositoryPolicy":    op("ecr:SetRepositoryPolicy", onRepository, (*API).setRepositoryPolicy),
	"GetRepositoryPolicy":    op("ecr:GetRepositoryPolicy", onRepository, (*API).getRepositoryPolicy),
	"DeleteRepositoryPolicy": op("ecr:DeleteRepositoryPolicy", onRepository, (*API).deleteRepositoryPolicy),
	"PutRegistryPolicy":      op("ecr:PutRegistryPolicy", onRegistry, (*API).putRegistryPolicy),
	"GetRegistryPolicy":      op("ecr:GetRegistryPolicy", onRegistry, (*API).getRegistryPolicy),
	"DeleteRegistryPolicy":   op("ecr:DeleteRegistryPolicy", onRegistry, (*API).deleteRegistryPolicy),

	"PutLifecyclePolicy":          op("ecr:PutLifecyclePolicy", onRepository, (*API).putLifecyclePolicy),
	"GetLifecyclePolicy":          op("ecr:GetLifecyclePolicy", onRepository, (*API).getLifecyclePolicy),
	"DeleteLifecyclePolicy":       op("ecr:DeleteLifecyclePolicy", onRepository, (*API).deleteLifecyclePolicy),
	"StartLifecyclePolicyPreview": op("ecr:StartLifecyclePolicyPreview", onRepository, (*API).startLifecyclePolicyPreview),
	"GetLifecyclePolicyPreview":   op("ecr:GetLifecyclePolicyPreview", onRepository, (*API).getLifecyclePolicyPreview),
	"UpdateImageStorageClass":     op("ecr:UpdateImageStorageClass", onRepository, (*API).updateImageStorageClass),

	"StartImageScan":            op("ecr:StartImageScan", onRepository, (*API).startImageScan),
	"DescribeImageScanFindings": op("ecr:DescribeImageScanFindings", onRepository, (*API).describeImageScanFindings),
	"PutRegistryScanningConfiguration": op("ecr:PutRegistryScanningConfiguration", onRegistry,
		(*API).putRegistryScanningConfiguration),
	"GetRegistryScanningConfiguration": op("ecr:GetRegistryScanningConfiguration", onRegistry,
		(*API).getRegistryScanningConfiguration),
	"BatchGetRepositoryScanningConfiguration": op("ecr:BatchGetRepositoryScanningConfiguration", onNamed,
		(*API).batchGetRepositoryScanningConfiguration),

	"PutReplicationConfiguration":    op("ecr:PutReplicationConfiguration", onRegistry, (*API).putReplicationConfiguration),
	"DescribeImageReplicationStatus": op("ecr:DescribeImageReplicationStatus", onRepository, (*API).describeImageReplicationStatus),

	"CreatePullThroughCacheRule":    op("ecr:CreatePullThroughCacheRule", onRegistryOf, (*API).createPullThroughCacheRule),
	"UpdatePullThroughCacheRule":    op("ecr:UpdatePullThroughCacheRule", onRegistryOf, (*API).updatePullThroughCacheRule),
	"DescribePullThroughCacheRules": op("ecr:DescribePullThroughCacheRules", onRegistryOf, (*API).describePullThroughCacheRules),
	"DeletePullThroughCacheRule":    op("ecr:DeletePullThroughCacheRule", onRegistryOf, (*API).deletePullThroughCacheRule),
	"ValidatePullThroughCacheRule":  op("ecr:ValidatePullThroughCacheRule", onRegistryOf, (*API).validatePullThroughCacheRule),

	"CreateRepositoryCreationTemplate":    op("ecr:CreateRepositoryCreationTemplate", onRegistry, (*API).createRepositoryCreationTemplate),
	"UpdateRepositoryCreationTemplate":    op("ecr:UpdateRepositoryCreationTemplate", onRegistry, (*API).updateRepositoryCreationTemplate),
	"DescribeRepositoryCreationTemplates": op("ecr:DescribeRepositoryCreationTemplates", onRegistry, (*API).describeRepositoryCreationTemplates),
	"DeleteRepositoryCreationTemplate":    op("ecr:DeleteRepositoryCreationTemplate", onRegistry, (*API).deleteRepositoryCreationTemplate),

	"PutSigningConfiguration":    op("ecr:PutSigningConfiguration", onRegistry, (*API).putSigningConfiguration),
	"GetSigningConfiguration":    op("ecr:GetSigningConfiguration", onRegistry, (*API).getSigningConfiguration),
	"DeleteSigningConfiguration": op("ecr:DeleteSigningConfiguration", onRegistry, (*API).deleteSigningConfiguration),
	"DescribeImageSigningStatus": op("ecr:DescribeImageSigningStatus", onRepository, (*API).describeImageSigningStatus),

	"RegisterPullTimeUpdateExclusion":   op("ecr:RegisterPullTimeUpdateExclusion", onRegistry, (*API).registerPullTimeUpdateExclusion),
	"DeregisterPullTimeUpdateExclusion": op("ecr:DeregisterPullTimeUpdateExclusion", onRegistry, (*API).deregisterPullTimeUpdateExclusion),
	"ListPullTimeUpdateExclusions":      op("ecr:ListPullTimeUpdateExclusions", onRegistry, (*API).listPullTimeUpdateExclusions),
}

// withKeys is o with condition keys, by request.
func (o operation) withKeys(keys func(in any) policy.Keys) operation {
	o.keys = keys
	return o
}

// withMoves is o, which moves tags.
func (o operation) withMoves(moves func(in any) [][]string) operation {
	o.moves = moves
	return o
}

// models says whether the model lists an exception for an operation.
func models(op string, e shape.Exception) bool {
	for _, m := range shape.Operations[op].Errors {
		if m == e {
			return true
		}
	}
	return false
}
