package ecrapi_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/ecrapi/shape"
)

// built are the operations that this version has, with a request that the
// model lets through.
var built = map[string]obj{
	"CreateRepository":              {"repositoryName": "app"},
	"DescribeRepositories":          {},
	"DeleteRepository":              {"repositoryName": "app"},
	"PutImageTagMutability":         {"repositoryName": "app", "imageTagMutability": "MUTABLE"},
	"PutImageScanningConfiguration": {"repositoryName": "app", "imageScanningConfiguration": obj{}},
	"ListTagsForResource":           {"resourceArn": appARN},
	"TagResource":                   {"resourceArn": appARN, "tags": arr{}},
	"UntagResource":                 {"resourceArn": appARN, "tagKeys": arr{}},
	"PutImage":                      {"repositoryName": "app", "imageManifest": "{}"},
	"BatchGetImage":                 {"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1"}}},
	"BatchDeleteImage":              {"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1"}}},
	"DescribeImages":                {"repositoryName": "app"},
	"ListImages":                    {"repositoryName": "app"},
	"ListImageReferrers":            {"repositoryName": "app", "subjectId": obj{"imageDigest": sum("")}},
	"BatchCheckLayerAvailability":   {"repositoryName": "app", "layerDigests": arr{sum("")}},
	"InitiateLayerUpload":           {"repositoryName": "app"},
	"UploadLayerPart": {"repositoryName": "app", "uploadId": noUpload, "partFirstByte": 0, "partLastByte": 2,
		"layerPartBlob": "AAAA"},
	"CompleteLayerUpload":    {"repositoryName": "app", "uploadId": noUpload, "layerDigests": arr{sum("")}},
	"GetDownloadUrlForLayer": {"repositoryName": "app", "layerDigest": sum("")},
	"GetAuthorizationToken":  {},
	"DescribeRegistry":       {},
	"GetAccountSetting":      {"name": "BLOB_MOUNTING"},
	"PutAccountSetting":      {"name": "BLOB_MOUNTING", "value": "ENABLED"},

	"SetRepositoryPolicy":    {"repositoryName": "app", "policyText": "{}"},
	"GetRepositoryPolicy":    {"repositoryName": "app"},
	"DeleteRepositoryPolicy": {"repositoryName": "app"},
	"PutRegistryPolicy":      {"policyText": "{}"},
	"GetRegistryPolicy":      {},
	"DeleteRegistryPolicy":   {},

	"UpdateImageStorageClass":           {"repositoryName": "app", "imageId": obj{"imageTag": "1"}, "targetStorageClass": "ARCHIVE"},
	"RegisterPullTimeUpdateExclusion":   {"principalArn": "arn:aws:iam::000000000000:user/ci"},
	"DeregisterPullTimeUpdateExclusion": {"principalArn": "arn:aws:iam::000000000000:user/ci"},
	"ListPullTimeUpdateExclusions":      {},

	"CreateRepositoryCreationTemplate":    {"prefix": "team", "appliedFor": arr{"REPLICATION"}},
	"UpdateRepositoryCreationTemplate":    {"prefix": "team"},
	"DescribeRepositoryCreationTemplates": {},
	"DeleteRepositoryCreationTemplate":    {"prefix": "team"},

	"PutLifecyclePolicy":          {"repositoryName": "app", "lifecyclePolicyText": keepOne},
	"GetLifecyclePolicy":          {"repositoryName": "app"},
	"DeleteLifecyclePolicy":       {"repositoryName": "app"},
	"StartLifecyclePolicyPreview": {"repositoryName": "app"},
	"GetLifecyclePolicyPreview":   {"repositoryName": "app"},

	"PutRegistryScanningConfiguration":        {"rules": arr{}},
	"GetRegistryScanningConfiguration":        {},
	"BatchGetRepositoryScanningConfiguration": {"repositoryNames": arr{"app"}},
	"StartImageScan":                          {"repositoryName": "app", "imageId": obj{"imageTag": "1"}},
	"DescribeImageScanFindings":               {"repositoryName": "app", "imageId": obj{"imageTag": "1"}},

	"PutSigningConfiguration":    {"signingConfiguration": obj{"rules": arr{}}},
	"GetSigningConfiguration":    {},
	"DeleteSigningConfiguration": {},
	"DescribeImageSigningStatus": {"repositoryName": "app", "imageId": obj{"imageTag": "1"}},

	"PutReplicationConfiguration":    {"replicationConfiguration": obj{"rules": arr{}}},
	"DescribeImageReplicationStatus": {"repositoryName": "app", "imageId": obj{"imageTag": "1"}},

	"CreatePullThroughCacheRule":    {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"},
	"UpdatePullThroughCacheRule":    {"ecrRepositoryPrefix": "quay"},
	"DescribePullThroughCacheRules": {},
	"DeletePullThroughCacheRule":    {"ecrRepositoryPrefix": "quay"},
	"ValidatePullThroughCacheRule":  {"ecrRepositoryPrefix": "quay"},
}

const (
	appARN   = "arn:aws:ecr:us-east-1:000000000000:repository/app"
	noUpload = "00000000-0000-4000-8000-000000000000"
)

// asked is an authorizer that notes what it is asked and says no.
type asked []auth.Check

func (a *asked) Authorize(_ context.Context, c auth.Check) error {
	*a = append(*a, c)
	return &auth.Denied{Check: c, Reason: "because no identity-based policy allows the " + c.Action + " action"}
}

// TestAuthorizationComesBeforeTheStore: every operation asks for its action on
// its resource, and one that is denied says nothing of what there is.
func TestAuthorizationComesBeforeTheStore(t *testing.T) {
	checks := new(asked)
	b := open(t, func(s *setup) { s.api.Authorizer = auth.AuthorizerFunc(checks.Authorize) })
	for op := range shape.Operations {
		*checks = nil
		resource, action := "*", "ecr:"+op
		in, ok := built[op]
		if _, named := in["repositoryName"]; ok && named || in["resourceArn"] != nil || op == "BatchGetRepositoryScanningConfiguration" {
			resource = appARN
		}
		switch op {
		case "DescribeRepositories":
			resource = "arn:aws:ecr:us-east-1:000000000000:repository/*"
		case "ListImageReferrers":
			action = "ecr:BatchGetImage"
		}
		b.refused(op, in, "AccessDeniedException", "User: arn:aws:iam::000000000000:root is not authorized to perform: "+action+
			" on resource: "+resource+" because no identity-based policy allows the "+action+" action")
		if len(*checks) != 1 || (*checks)[0].Account != account || (*checks)[0].Principal.KeyID != "AKIAHERE" {
			t.Errorf("%s asked %+v", op, *checks)
		}
	}
}

// allowed is an authorizer that notes what it is asked and says yes.
type allowed []string

func (a *allowed) Authorize(_ context.Context, c auth.Check) error {
	*a = append(*a, c.Action+" "+c.Resource)
	return nil
}

func TestOperationsThatAskMoreThanOnce(t *testing.T) {
	checks := new(allowed)
	b := open(t, func(s *setup) { s.api.Authorizer = auth.AuthorizerFunc(checks.Authorize) })
	b.call("CreateRepository", obj{"repositoryName": "app", "tags": arr{obj{"Key": "a", "Value": ""}}})
	b.same("checks", *checks, arr{"ecr:CreateRepository " + appARN, "ecr:TagResource " + appARN})
	b.call("CreateRepository", obj{"repositoryName": "bee", "tags": arr{}})
	*checks = nil
	b.call("DescribeRepositories", obj{"repositoryNames": arr{"app", "bee"}})
	b.same("checks", *checks, arr{"ecr:DescribeRepositories " + appARN,
		"ecr:DescribeRepositories arn:aws:ecr:us-east-1:000000000000:repository/bee"})
	*checks = nil
	b.call("BatchGetRepositoryScanningConfiguration", obj{"repositoryNames": arr{"app", "absent", "app"}})
	b.same("checks", *checks, arr{"ecr:BatchGetRepositoryScanningConfiguration " + appARN,
		"ecr:BatchGetRepositoryScanningConfiguration arn:aws:ecr:us-east-1:000000000000:repository/absent"})
}

// TestOtherAccounts: a registry of another account is a matter of rights,
// whether what is asked for is there or not.
func TestOtherAccounts(t *testing.T) {
	b := open(t)
	if w := b.send(request{target: targetPrefix + "CreateRepository", body: `{"repositoryName":"app"}`, key: "AKIAOTHER", secret: "secret-of-other"}); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for op, in := range built {
		if in["repositoryName"] == nil {
			continue
		}
		for _, repo := range []string{"app", "absent"} {
			in := merge(in, obj{"repositoryName": repo, "registryId": other})
			w := b.send(request{target: targetPrefix + op, body: b.encode(in)})
			out := b.decode(w.Body.Bytes())
			if w.Code != 400 || out["__type"] != "AccessDeniedException" || !strings.Contains(out["message"].(string), "no resource-based policy allows") {
				t.Errorf("%s of %s in another account: %d %s", op, repo, w.Code, w.Body)
			}
		}
	}
	b.call("CreateRepository", obj{"repositoryName": "mine", "registryId": account})
	if got := b.call("DescribeRepositories", obj{})["repositories"].(arr); len(got) != 1 {
		t.Errorf("repositories of the own registry: %v", got)
	}
}

// merge is in with the members of more.
func merge(in, more obj) obj {
	out := obj{}
	for _, m := range []obj{in, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// broken is an authorizer that cannot decide.
type broken struct{}

func (broken) Authorize(context.Context, auth.Check) error {
	return errors.New("the policy store is at /secret/place")
}

func TestFaultsAreLoggedAndNotTold(t *testing.T) {
	b := open(t, func(s *setup) { s.api.Authorizer = auth.AuthorizerFunc(broken{}.Authorize) })
	w := b.send(request{target: targetPrefix + "DescribeRegistry"})
	out := b.decode(w.Body.Bytes())
	if w.Code != http.StatusInternalServerError || out["__type"] != "ServerException" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("%d %s, want 500 without the fault's text", w.Code, w.Body)
	}
	log, id := b.log.String(), w.Header().Get("x-amzn-RequestId")
	if strings.Count(log, "\n") != 1 || !strings.Contains(log, id) || !strings.Contains(log, "/secret/place") {
		t.Errorf("log %q, want one line with %s and the fault", log, id)
	}
	if !strings.Contains(out["message"].(string), id) {
		t.Errorf("message %q does not name the request", out["message"])
	}
}

func TestEveryOperationIsInTheModelFile(t *testing.T) {
	model, err := os.ReadFile("model/ecr-2015-09-21.json")
	if err != nil {
		t.Fatal(err)
	}
	for op := range shape.Operations {
		if !strings.Contains(string(model), `"`+op+`": {"input"`) {
			t.Errorf("%s is not in the model", op)
		}
	}
}
