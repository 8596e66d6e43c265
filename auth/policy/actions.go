package policy

// earlyActions are those of which a registry policy of the scope V1 may speak (ECR
// reference, policies.md section 3).
var earlyActions = []string{"ecr:ReplicateImage", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"}

// Actions are the actions of ECR that policies speak of: one for each operation
// of its API, and those that are permissions alone (ECR reference, policies.md
// section 1).
var Actions = []string{
	"ecr:BatchCheckLayerAvailability",
	"ecr:BatchDeleteImage",
	"ecr:BatchGetImage",
	"ecr:BatchGetRepositoryScanningConfiguration",
	"ecr:BatchImportUpstreamImage",
	"ecr:CompleteLayerUpload",
	"ecr:CreatePullThroughCacheRule",
	"ecr:CreateRepository",
	"ecr:CreateRepositoryCreationTemplate",
	"ecr:DeleteLifecyclePolicy",
	"ecr:DeletePullThroughCacheRule",
	"ecr:DeleteRegistryPolicy",
	"ecr:DeleteRepository",
	"ecr:DeleteRepositoryCreationTemplate",
	"ecr:DeleteRepositoryPolicy",
	"ecr:DeleteSigningConfiguration",
	"ecr:DeregisterPullTimeUpdateExclusion",
	"ecr:DescribeImageReplicationStatus",
	"ecr:DescribeImageScanFindings",
	"ecr:DescribeImageSigningStatus",
	"ecr:DescribeImages",
	"ecr:DescribePullThroughCacheRules",
	"ecr:DescribeRegistry",
	"ecr:DescribeRepositories",
	"ecr:DescribeRepositoryCreationTemplates",
	"ecr:GetAccountSetting",
	"ecr:GetAuthorizationToken",
	"ecr:GetDownloadUrlForLayer",
	"ecr:GetImageCopyStatus",
	"ecr:GetLifecyclePolicy",
	"ecr:GetLifecyclePolicyPreview",
	"ecr:GetRegistryPolicy",
	"ecr:GetRegistryScanningConfiguration",
	"ecr:GetRepositoryPolicy",
	"ecr:GetSigningConfiguration",
	"ecr:InitiateLayerUpload",
	"ecr:ListImageReferrers",
	"ecr:ListImages",
	"ecr:ListPullTimeUpdateExclusions",
	"ecr:ListTagsForResource",
	"ecr:PutAccountSetting",
	"ecr:PutImage",
	"ecr:PutImageScanningConfiguration",
	"ecr:PutImageTagMutability",
	"ecr:PutLifecyclePolicy",
	"ecr:PutRegistryPolicy",
	"ecr:PutRegistryScanningConfiguration",
	"ecr:PutReplicationConfiguration",
	"ecr:PutSigningConfiguration",
	"ecr:RegisterPullTimeUpdateExclusion",
	"ecr:ReplicateImage",
	"ecr:SetRepositoryPolicy",
	"ecr:StartImageScan",
	"ecr:StartLifecyclePolicyPreview",
	"ecr:TagResource",
	"ecr:UntagResource",
	"ecr:UpdateImageStorageClass",
	"ecr:UpdatePullThroughCacheRule",
	"ecr:UpdateRepositoryCreationTemplate",
	"ecr:UploadLayerPart",
	"ecr:ValidatePullThroughCacheRule",
}

// SignerActions are the actions of AWS Signer that policies speak of: who pushes an image
// that a signing profile is to sign needs it on the profile (ECR reference, policies.md
// section 10).
var SignerActions = []string{"signer:SignPayload"}

// TrustActions are the actions of STS that trust policies speak of.
var TrustActions = []string{
	"sts:AssumeRole",
	"sts:AssumeRoleWithSAML",
	"sts:AssumeRoleWithWebIdentity",
	"sts:SetContext",
	"sts:SetSourceIdentity",
	"sts:TagSession",
}
