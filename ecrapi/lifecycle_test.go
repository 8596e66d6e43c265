package ecrapi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
)

// keepOne keeps the youngest image.
const keepOne = `{ "rules": [ {"rulePriority": 1, "description": "all <but> one", "selection":
	{"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}} ] }`

const keepOneCompact = `{"rules":[{"rulePriority":1,"description":"all <but> one","selection":` +
	`{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`

// clock is a registry's clock that a test sets.
func clock(at *time.Time) func(*setup) {
	return func(s *setup) { s.registry.Now = func() time.Time { return *at } }
}

func TestLifecyclePolicy(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := open(t, clock(&now))
	b.repository("app")
	id := obj{"repositoryName": "app"}
	none := func() {
		t.Helper()
		for _, op := range []string{"GetLifecyclePolicy", "DeleteLifecyclePolicy", "StartLifecyclePolicyPreview"} {
			b.refused(op, id, "LifecyclePolicyNotFoundException",
				"Lifecycle policy does not exist for the repository with name 'app' in the registry with id '000000000000'")
		}
	}
	none()
	shown := obj{"registryId": account, "repositoryName": "app", "lifecyclePolicyText": keepOneCompact}
	never := merge(shown, obj{"lastEvaluatedAt": 0})
	put := merge(id, obj{"lifecyclePolicyText": keepOne})
	b.same("put", b.call("PutLifecyclePolicy", put), shown)
	b.same("got", b.call("GetLifecyclePolicy", id), never)
	now = now.Add(time.Hour)
	b.must(b.registry.RunLifecycle(t.Context()))
	b.same("run", b.call("GetLifecyclePolicy", id), merge(shown, obj{"lastEvaluatedAt": now.Unix()}))
	b.same("put again", b.call("PutLifecyclePolicy", put), shown)
	b.same("got again", b.call("GetLifecyclePolicy", id), never)
	b.same("deleted", b.call("DeleteLifecyclePolicy", id), never)
	none()
}

func TestLifecyclePolicyRefused(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits.LifecycleText = 20_000 })
	b.repository("app")
	const failure = "Lifecycle policy validation failure: "
	pad := func(text string) string { return text + strings.Repeat(" ", max(0, 100-len(text))) }
	swap := func(old, new string) string { return strings.Replace(keepOneCompact, old, new, 1) }
	for _, op := range []string{"PutLifecyclePolicy", "StartLifecyclePolicyPreview"} {
		refused := func(text, at, quoted string) {
			t.Helper()
			b.refused(op, obj{"repositoryName": "app", "lifecyclePolicyText": text}, "InvalidParameterException",
				fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: %s", at, quoted))
		}
		refused("{}", "lifecyclePolicyText", "'Member must have length greater than or equal to 100'")
		refused(strings.Repeat(" ", 30_721), "lifecyclePolicyText", "'Member must have length less than or equal to 30720'")
		refused(strings.Repeat(" ", 20_001), "lifecyclePolicyText", "'Member must have length less than or equal to 20000'")
		for text, quoted := range map[string]string{
			pad("no JSON"):            "'Lifecycle policy parsing failure: Could not map policyString into LifecyclePolicy.'",
			pad("{}"):                 "'" + failure + `object has missing required properties (["rules"])'`,
			pad(`{"rules": []}`):      "'" + failure + "array is too short: must have at least 1 elements but instance has 0 elements'",
			swap(`"any"`, `"tagged"`): "'" + failure + "Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.'",
			swap(`"imageCountMoreThan"`, `"imageCount"`): "'" + failure + "instance failed to match exactly one schema (matched 0 out of 4)",
			swap(`{"rules"`, `{"berth":{},"rules"`):      "'" + failure + `object instance has properties which are not allowed by the schema: (["berth"])'`,
		} {
			refused(text, "LifecyclePolicyText", quoted)
		}
		b.refused(op, obj{"repositoryName": "absent", "lifecyclePolicyText": keepOne}, "RepositoryNotFoundException",
			"The repository with name 'absent' does not exist in the registry with id '000000000000'")
	}
	for _, op := range []string{"GetLifecyclePolicy", "DeleteLifecyclePolicy", "GetLifecyclePolicyPreview"} {
		b.refused(op, obj{"repositoryName": "absent"}, "RepositoryNotFoundException",
			"The repository with name 'absent' does not exist in the registry with id '000000000000'")
	}
}

// mixedPolicy expires old prod images, archives old beta ones, and expires what
// has been in the archive for long.
const mixedPolicy = `{"rules": [
	{"rulePriority": 1, "selection": {"tagStatus": "tagged", "tagPrefixList": ["prod"], "countType": "imageCountMoreThan", "countNumber": 1}, "action": {"type": "expire"}},
	{"rulePriority": 3, "selection": {"tagStatus": "tagged", "tagPatternList": ["beta*"], "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
		"action": {"type": "transition", "targetStorageClass": "archive"}},
	{"rulePriority": 4, "selection": {"tagStatus": "any", "storageClass": "archive", "countType": "sinceImageTransitioned", "countUnit": "days", "countNumber": 90},
		"action": {"type": "expire"}}]}`

func TestLifecyclePolicyPreview(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := open(t, clock(&now))
	b.repository("app")
	pushed := map[string]any{}
	digests := map[string]string{}
	for _, tag := range []string{"archived", "prod-1", "prod-2", "beta-1"} {
		digests[tag], pushed[tag] = sum(b.image("app", tag, tag)), now.Unix()
		now = now.Add(time.Hour)
	}
	b.call("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": obj{"imageTag": "archived"}, "targetStorageClass": "ARCHIVE"})
	now = now.Add(91 * 24 * time.Hour)
	id := obj{"repositoryName": "app"}
	b.refused("GetLifecyclePolicyPreview", id, "LifecyclePolicyPreviewNotFoundException",
		"Lifecycle policy preview does not exist for the repository with name 'app' in the registry with id '000000000000'")
	start := merge(id, obj{"lifecyclePolicyText": mixedPolicy})
	begun := obj{"registryId": account, "repositoryName": "app", "lifecyclePolicyText": mixedPolicy, "status": "IN_PROGRESS"}
	b.same("started", b.call("StartLifecyclePolicyPreview", start), begun)
	b.same("under way", b.call("GetLifecyclePolicyPreview", id), begun)
	b.refused("StartLifecyclePolicyPreview", start, "LifecyclePolicyPreviewInProgressException",
		"A lifecycle policy preview is already in progress for the repository with name 'app' in the registry with id '000000000000'")
	b.must(b.registry.RunPreviews(t.Context()))
	result := func(tag string, rule int, action obj, class string) obj {
		return obj{"imageTags": arr{tag}, "imageDigest": digests[tag], "imagePushedAt": pushed[tag], "action": action, "appliedRulePriority": rule, "storageClass": class}
	}
	results := arr{
		result("prod-1", 1, obj{"type": "EXPIRE"}, "STANDARD"),
		result("beta-1", 3, obj{"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}, "STANDARD"),
		result("archived", 4, obj{"type": "EXPIRE"}, "ARCHIVE"),
	}
	complete := merge(begun, obj{"status": "COMPLETE", "summary": obj{
		"expiringImageTotalCount": 2, "transitioningImageTotalCounts": arr{obj{"targetStorageClass": "ARCHIVE", "imageTotalCount": 1}}}})
	b.same("complete", b.call("GetLifecyclePolicyPreview", id), merge(complete, obj{"previewResults": results}))
	for what, tt := range map[string]struct {
		in   obj
		want arr
	}{
		"tagged":   {obj{"filter": obj{"tagStatus": "TAGGED"}}, results},
		"any":      {obj{"filter": obj{"tagStatus": "ANY"}}, results},
		"untagged": {obj{"filter": obj{"tagStatus": "UNTAGGED"}}, arr{}},
		"named": {obj{"imageIds": arr{obj{"imageTag": "archived"}, obj{"imageDigest": digests["prod-1"]}, obj{"imageTag": "prod-2"}, obj{"imageDigest": "md5:0a"}}},
			arr{results[0], results[2]}},
		"named and filtered": {obj{"imageIds": arr{obj{"imageTag": "archived"}}, "filter": obj{"tagStatus": "UNTAGGED"}}, arr{}},
	} {
		b.same(what, b.call("GetLifecyclePolicyPreview", merge(id, tt.in)), merge(complete, obj{"previewResults": tt.want}))
	}
	b.same("by pages", b.previewPages(1), results)
	now = now.Add(24 * time.Hour)
	b.same("expired", b.call("GetLifecyclePolicyPreview", id), merge(begun, obj{"status": "EXPIRED"}))
}

// previewPages reads the results of a preview of app by pages.
func (b *bench) previewPages(size int) (results arr) {
	b.Helper()
	in := obj{"repositoryName": "app", "maxResults": size}
	for {
		out := b.call("GetLifecyclePolicyPreview", in)
		page := out["previewResults"].(arr)
		if len(page) > size {
			b.Errorf("a page of %d", len(page))
		}
		results = append(results, page...)
		if out["nextToken"] == nil {
			return results
		}
		in["nextToken"] = out["nextToken"]
	}
}

// TestLifecyclePolicyPreviewPages: a page has a hundred results, tokens are of
// their query and their preview, and images that are named have no pages.
func TestLifecyclePolicyPreviewPages(t *testing.T) {
	now := time.Now()
	b := open(t, clock(&now))
	b.repository("app")
	b.image("app", "first", "first")
	for i := range 120 {
		now = now.Add(time.Second)
		b.push("app", b.manifest("{}", "first", obj{"annotations": obj{"n": fmt.Sprint(i)}}))
	}
	id := obj{"repositoryName": "app"}
	make := func() any {
		t.Helper()
		b.call("StartLifecyclePolicyPreview", merge(id, obj{"lifecyclePolicyText": keepOne}))
		b.must(b.registry.RunPreviews(t.Context()))
		out := b.call("GetLifecyclePolicyPreview", id)
		if n := len(out["previewResults"].(arr)); n != 100 || out["summary"].(obj)["expiringImageTotalCount"] != 120.0 {
			t.Errorf("a page of %d, summary %v", n, out["summary"])
		}
		return out["nextToken"]
	}
	token := make()
	out := b.call("GetLifecyclePolicyPreview", merge(id, obj{"nextToken": token}))
	if n := len(out["previewResults"].(arr)); n != 20 || out["nextToken"] != nil || out["summary"].(obj)["expiringImageTotalCount"] != 120.0 {
		t.Errorf("a last page of %d: %v, %v", n, out["nextToken"], out["summary"])
	}
	if got := b.previewPages(7); len(got) != 120 {
		t.Errorf("%d results by pages of seven", len(got))
	}
	badToken := func(in obj) {
		t.Helper()
		b.invalid("GetLifecyclePolicyPreview", merge(id, in), "NextToken", "Invalid next token provided")
	}
	badToken(obj{"nextToken": "x"})
	badToken(obj{"nextToken": token, "filter": obj{"tagStatus": "TAGGED"}})
	now = now.Add(time.Minute)
	make()
	badToken(obj{"nextToken": token}) // of the first preview
	some := merge(id, obj{"imageIds": arr{obj{"imageTag": "first"}}})
	b.invalid("GetLifecyclePolicyPreview", merge(some, obj{"nextToken": token}), "nextToken", "Member must be null when imageIds is specified")
	b.invalid("GetLifecyclePolicyPreview", merge(some, obj{"maxResults": 1}), "maxResults", "Member must be null when imageIds is specified")
	b.invalid("GetLifecyclePolicyPreview", merge(id, obj{"imageIds": arr{obj{}}}), "imageIds",
		"Invalid request parameters: both tag and digest cannot be null")
	b.invalid("GetLifecyclePolicyPreview", merge(id, obj{"imageIds": arr{obj{"imageDigest": "x"}}}), "imageIds",
		"Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
}

// TestLifecyclePreviewOfTheOwnPolicy echoes the text as it is kept.
func TestLifecyclePreviewOfTheOwnPolicy(t *testing.T) {
	b := open(t)
	b.repository("app")
	id := obj{"repositoryName": "app"}
	b.call("PutLifecyclePolicy", merge(id, obj{"lifecyclePolicyText": keepOne}))
	b.same("started", b.call("StartLifecyclePolicyPreview", id),
		obj{"registryId": account, "repositoryName": "app", "lifecyclePolicyText": keepOneCompact, "status": "IN_PROGRESS"})
	b.must(b.registry.RunPreviews(t.Context()))
	b.same("complete", b.call("GetLifecyclePolicyPreview", id), obj{
		"registryId": account, "repositoryName": "app", "lifecyclePolicyText": keepOneCompact, "status": "COMPLETE",
		"previewResults": arr{}, "summary": obj{"expiringImageTotalCount": 0}})
}

// TestLifecycleInForce: what a policy deletes is gone from the API, whatever the
// repository's tags may be.
func TestLifecycleInForce(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := open(t, clock(&now))
	b.call("CreateRepository", obj{"repositoryName": "app", "imageTagMutability": "IMMUTABLE"})
	b.image("app", "old", "1.0", "stable")
	now = now.Add(time.Hour)
	young := sum(b.image("app", "young", "2.0"))
	b.call("PutLifecyclePolicy", obj{"repositoryName": "app", "lifecyclePolicyText": keepOne})
	now = now.Add(time.Hour)
	b.must(b.registry.RunLifecycle(t.Context()))
	b.same("images", b.call("ListImages", obj{"repositoryName": "app"})["imageIds"], arr{obj{"imageDigest": young, "imageTag": "2.0"}})
	b.refused("DescribeImages", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "stable"}}}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'null', imageTag:'stable'} does not exist within the repository with name 'app' in the registry with id '000000000000'")
	page, err := b.registry.Events(t.Context(), 0, 1000)
	b.must(err)
	last := page[len(page)-1]
	var d registry.LifecycleDetail
	b.must(json.Unmarshal(last.Detail, &d))
	if last.Kind != registry.LifecycleRun || len(d.Actions) != 1 || strings.Join(d.Actions[0].Image.Tags, " ") != "1.0 stable" {
		t.Errorf("recorded as %s %s", last.Kind, last.Detail)
	}
}
