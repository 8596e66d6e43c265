package server_test

import (
	"maps"
	"net/http"

	"github.com/seed-78150930/berth/ecrapi"
)

// operationKnock is what the matrix sends to an operation of the JSON API, and what
// becomes of it where it is allowed. "400 " goes before each exception.
type operationKnock struct {
	on      scope
	in      func(w *world, by *identity, repo string) members
	there   string // "" means "200"
	missing string // "" means RepositoryNotFoundException, for scopes with a repository
}

// of has the members of a request beside those that name the repository.
func of(in members) func(*world, *identity, string) members {
	return func(*world, *identity, string) members { return maps.Clone(in) }
}

var (
	tagOne   = members{"imageTag": "1"}
	nowhere  = "ok" // an operation that a missing repository is no error to
	keepOne  = `{"rules":[{"rulePriority":1,"description":"all but one","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	nobody   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + abroad + `:user/granted"},"Action":"ecr:GetLifecyclePolicy"}]}`
	policyV2 = `{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + abroad + `:root"},"Action":"ecr:ReplicateImage","Resource":"` + ecrARNs + `*"}]}`
)

// operationKnocks has every operation of the model.
var operationKnocks = map[string]operationKnock{
	"CreateRepository":              {in: of(nil), there: "RepositoryAlreadyExistsException", missing: nowhere},
	"DescribeRepositories":          {in: func(_ *world, _ *identity, repo string) members { return members{"repositoryNames": []string{repo}} }},
	"DeleteRepository":              {in: of(members{"force": true})},
	"PutImageTagMutability":         {in: of(members{"imageTagMutability": "IMMUTABLE"})},
	"PutImageScanningConfiguration": {in: of(members{"imageScanningConfiguration": members{"scanOnPush": true}})},
	"ListTagsForResource":           {in: arn(nil)},
	"TagResource":                   {in: arn(members{"tags": []members{{"Key": "a", "Value": "b"}}})},
	"UntagResource":                 {in: arn(members{"tagKeys": []string{"a"}})},
	"PutImage": {in: func(w *world, _ *identity, _ string) members {
		return members{"imageManifest": string(w.manifest), "imageTag": "2"}
	}},
	"BatchGetImage":               {in: of(members{"imageIds": []members{tagOne}})},
	"BatchDeleteImage":            {in: of(members{"imageIds": []members{tagOne}})},
	"DescribeImages":              {in: of(nil)},
	"ListImages":                  {in: of(nil)},
	"ListImageReferrers":          {in: of(members{"subjectId": members{"imageDigest": sha256Of(nil)}})},
	"BatchCheckLayerAvailability": {in: of(members{"layerDigests": []string{sha256Of([]byte(layerText))}})},
	"InitiateLayerUpload":         {in: of(nil)},
	"UploadLayerPart": {in: func(w *world, by *identity, repo string) members {
		return members{"uploadId": w.uploadFor(by, repo), "partFirstByte": 5, "partLastByte": 7, "layerPartBlob": "AAAA"}
	}},
	"CompleteLayerUpload": {in: func(w *world, by *identity, repo string) members {
		return members{"uploadId": w.uploadFor(by, repo), "layerDigests": []string{sha256Of([]byte(begunText))}}
	}},
	"GetDownloadUrlForLayer": {in: of(members{"layerDigest": sha256Of([]byte(layerText))})},

	"GetAuthorizationToken": {on: ownAccount, in: of(nil)},
	"DescribeRegistry":      {on: ownAccount, in: of(nil)},
	"GetAccountSetting":     {on: ownAccount, in: of(members{"name": "BLOB_MOUNTING"})},
	"PutAccountSetting":     {on: ownAccount, in: of(members{"name": "BLOB_MOUNTING", "value": "ENABLED"})},

	"SetRepositoryPolicy":    {in: of(members{"policyText": nobody, "force": true})},
	"GetRepositoryPolicy":    {in: of(nil)},
	"DeleteRepositoryPolicy": {in: of(nil)},
	"PutRegistryPolicy":      {on: ownAccount, in: of(members{"policyText": policyV2})},
	"GetRegistryPolicy":      {on: ownAccount, in: of(nil), there: "RegistryPolicyNotFoundException"},
	"DeleteRegistryPolicy":   {on: ownAccount, in: of(nil), there: "RegistryPolicyNotFoundException"},

	"PutLifecyclePolicy":          {in: of(members{"lifecyclePolicyText": keepOne})},
	"GetLifecyclePolicy":          {in: of(nil), there: "LifecyclePolicyNotFoundException"},
	"DeleteLifecyclePolicy":       {in: of(nil), there: "LifecyclePolicyNotFoundException"},
	"StartLifecyclePolicyPreview": {in: of(members{"lifecyclePolicyText": keepOne})},
	"GetLifecyclePolicyPreview":   {in: of(nil), there: "LifecyclePolicyPreviewNotFoundException"},
	"UpdateImageStorageClass":     {in: of(members{"imageId": tagOne, "targetStorageClass": "ARCHIVE"})},

	"StartImageScan":                          {in: of(members{"imageId": tagOne})},
	"DescribeImageScanFindings":               {in: of(members{"imageId": tagOne}), there: "ScanNotFoundException"},
	"PutRegistryScanningConfiguration":        {on: ownAccount, in: of(members{"scanType": "BASIC", "rules": []members{}})},
	"GetRegistryScanningConfiguration":        {on: ownAccount, in: of(nil)},
	"BatchGetRepositoryScanningConfiguration": {on: ownNamed, missing: nowhere, in: func(_ *world, _ *identity, repo string) members { return members{"repositoryNames": []string{repo}} }},

	"PutReplicationConfiguration":    {on: ownAccount, in: of(members{"replicationConfiguration": members{"rules": []members{}}})},
	"DescribeImageReplicationStatus": {in: of(members{"imageId": tagOne})},

	"CreatePullThroughCacheRule":    {on: homeAccount, in: of(members{"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"})},
	"UpdatePullThroughCacheRule":    {on: homeAccount, in: of(members{"ecrRepositoryPrefix": "quay"}), there: "PullThroughCacheRuleNotFoundException"},
	"DescribePullThroughCacheRules": {on: homeAccount, in: of(nil)},
	"DeletePullThroughCacheRule":    {on: homeAccount, in: of(members{"ecrRepositoryPrefix": "quay"}), there: "PullThroughCacheRuleNotFoundException"},
	"ValidatePullThroughCacheRule":  {on: homeAccount, in: of(members{"ecrRepositoryPrefix": "quay"}), there: "PullThroughCacheRuleNotFoundException"},

	"CreateRepositoryCreationTemplate":    {on: ownAccount, in: of(members{"prefix": "team", "appliedFor": []string{"REPLICATION"}})},
	"UpdateRepositoryCreationTemplate":    {on: ownAccount, in: of(members{"prefix": "team"}), there: "TemplateNotFoundException"},
	"DescribeRepositoryCreationTemplates": {on: ownAccount, in: of(nil)},
	"DeleteRepositoryCreationTemplate":    {on: ownAccount, in: of(members{"prefix": "team"}), there: "TemplateNotFoundException"},

	"PutSigningConfiguration":    {on: ownAccount, in: of(members{"signingConfiguration": members{"rules": []members{}}})},
	"GetSigningConfiguration":    {on: ownAccount, in: of(nil), there: "SigningConfigurationNotFoundException"},
	"DeleteSigningConfiguration": {on: ownAccount, in: of(nil), there: "SigningConfigurationNotFoundException"},
	"DescribeImageSigningStatus": {in: of(members{"imageId": tagOne})},

	"RegisterPullTimeUpdateExclusion":   {on: ownAccount, in: of(members{"principalArn": "arn:aws:iam::" + home + ":role/scanner"})},
	"DeregisterPullTimeUpdateExclusion": {on: ownAccount, in: of(members{"principalArn": "arn:aws:iam::" + home + ":role/scanner"}), there: "ExclusionNotFoundException"},
	"ListPullTimeUpdateExclusions":      {on: ownAccount, in: of(nil)},
}

// arn is a request that names the repository by its ARN.
func arn(in members) func(*world, *identity, string) members {
	return func(_ *world, _ *identity, repo string) members {
		all := maps.Clone(in)
		if all == nil {
			all = members{}
		}
		all["resourceArn"] = ecrARNs + repo
		return all
	}
}

// knocks are those of an operation.
func (o operationKnock) knocks(op ecrapi.Operation) []knock {
	actions := []string{"ecr:" + op.Name}
	if op.Name == "ListImageReferrers" { // which the model has under this name
		actions = acts("BatchGetImage")
	}
	q := knock{at: atAPI, what: op.Name, actions: actions, on: o.on, there: exception(o.there), make: o.request(op.Name)}
	switch {
	case o.missing == nowhere:
		q.missing = "200"
	case o.on == repository:
		q.missing = exception("RepositoryNotFoundException")
	}
	if op.Name != "DescribeRepositories" {
		return []knock{q}
	}
	all := q
	all.what, all.on, all.missing = "DescribeRepositories of all", list, ""
	all.make = func(w *world, by *identity, _ string) *http.Request {
		return w.api(by, op.Name, members{"registryId": home})
	}
	return []knock{q, all}
}

func exception(name string) string {
	if name == "" {
		return "200"
	}
	return "400 " + name
}

// request names the repository and its registry, where the operation has them.
func (o operationKnock) request(op string) maker {
	return func(w *world, by *identity, repo string) *http.Request {
		in := o.in(w, by, repo)
		if in == nil {
			in = members{}
		}
		_, byARN := in["resourceArn"]
		_, byList := in["repositoryNames"]
		if o.on == repository && !byARN && !byList {
			in["repositoryName"] = repo
		}
		if o.on == homeAccount || o.on == repository && !byARN {
			in["registryId"] = home
		}
		return w.api(by, op, in)
	}
}
