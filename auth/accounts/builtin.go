package accounts

// builtin are the texts of the managed policies that users of ECR know, by name.
// They are AWS's (AWS managed policy reference), in the actions that ECR has: what
// they allow on other services has no meaning here.
var builtin = map[string]string{
	"AmazonEC2ContainerRegistryFullAccess": `{
  "Version": "2012-10-17",
  "Statement": [ { "Effect": "Allow", "Action": [ "ecr:*" ], "Resource": "*" } ]
}`,
	"AmazonEC2ContainerRegistryPowerUser": `{
  "Version": "2012-10-17",
  "Statement": [ {
    "Effect": "Allow",
    "Action": [
      "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy",
      "ecr:DescribeRepositories", "ecr:ListImages", "ecr:DescribeImages", "ecr:BatchGetImage", "ecr:GetLifecyclePolicy",
      "ecr:GetLifecyclePolicyPreview", "ecr:ListTagsForResource", "ecr:DescribeImageScanFindings", "ecr:InitiateLayerUpload",
      "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"
    ],
    "Resource": "*"
  } ]
}`,
	"AmazonEC2ContainerRegistryReadOnly": `{
  "Version": "2012-10-17",
  "Statement": [ {
    "Effect": "Allow",
    "Action": [
      "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:GetRepositoryPolicy",
      "ecr:DescribeRepositories", "ecr:ListImages", "ecr:DescribeImages", "ecr:BatchGetImage", "ecr:GetLifecyclePolicy",
      "ecr:GetLifecyclePolicyPreview", "ecr:ListTagsForResource", "ecr:DescribeImageScanFindings"
    ],
    "Resource": "*"
  } ]
}`,
	"AmazonEC2ContainerRegistryPullOnly": `{
  "Version": "2012-10-17",
  "Statement": [ {
    "Effect": "Allow",
    "Action": [ "ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage" ],
    "Resource": "*"
  } ]
}`,
}

func (s *Store) builtinPolicy(name string) Policy {
	return Policy{
		Name: name, Path: "/", ARN: "arn:" + s.partition + ":iam::aws:policy/" + name,
		Description: "Built in, as AWS's managed policy of the name", Text: builtin[name],
	}
}

// IsBuiltin says whether a managed policy of a name is built in.
func IsBuiltin(name string) bool {
	_, ok := builtin[name]
	return ok
}
