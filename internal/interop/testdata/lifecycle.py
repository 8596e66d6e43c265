"""Lifecycle policies and their previews by boto3: the waiter, the paginator, and reading back as Terraform does."""

import json
import os
import time

import boto3

ecr = boto3.client("ecr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
REPO = "team/app"


def refused(exception, call, **members):
    try:
        call(repositoryName=REPO, **members)
    except exception as e:
        return e.response["Error"]["Message"]
    raise SystemExit(f"{members} were not refused")


def policy(*rules):
    return json.dumps({"rules": list(rules)}, indent=2)


def rule(priority, count, action="expire", **selection):
    act = {"type": action}
    if action == "transition":
        act["targetStorageClass"] = "archive"
    return {
        "rulePriority": priority,
        "selection": {**selection, "countType": "imageCountMoreThan", "countNumber": count},
        "action": act,
    }


account = ecr.create_repository(repositoryName=REPO, imageTagMutability="IMMUTABLE")["repository"]["registryId"]
digests = []
for n in range(130):
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": {"n": str(n)},
    }
    tags = {"imageTag": f"release-{n}"} if n < 5 else {}
    put = ecr.put_image(repositoryName=REPO, imageManifest=json.dumps(manifest), **tags)
    digests.append(put["image"]["imageId"]["imageDigest"])

# Terraform takes this exception for a policy that is not there.
for call in ecr.get_lifecycle_policy, ecr.delete_lifecycle_policy, ecr.start_lifecycle_policy_preview:
    said = refused(ecr.exceptions.LifecyclePolicyNotFoundException, call)
    assert said == f"Lifecycle policy does not exist for the repository with name '{REPO}' in the registry with id '{account}'", said
refused(ecr.exceptions.LifecyclePolicyPreviewNotFoundException, ecr.get_lifecycle_policy_preview)
for call in ecr.put_lifecycle_policy, ecr.start_lifecycle_policy_preview:
    said = refused(ecr.exceptions.InvalidParameterException, call, lifecyclePolicyText="{}" + " " * 100)
    assert said.startswith("Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '"), said

text = policy(
    rule(1, 2, "transition", tagStatus="tagged", tagPrefixList=["release"]),
    rule(2, 4, tagStatus="untagged"),
)
started = ecr.start_lifecycle_policy_preview(repositoryName=REPO, lifecyclePolicyText=text)
assert started["status"] == "IN_PROGRESS" and started["lifecyclePolicyText"] == text, started
ecr.get_waiter("lifecycle_policy_preview_complete").wait(repositoryName=REPO, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
pages = list(ecr.get_paginator("get_lifecycle_policy_preview").paginate(repositoryName=REPO, PaginationConfig={"PageSize": 50}))
assert [len(p["previewResults"]) for p in pages] == [50, 50, 24], pages
summary = {
    "expiringImageTotalCount": 121,
    "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 3}],
}
assert all(p["summary"] == summary and p["status"] == "COMPLETE" for p in pages), pages
results = [r for p in pages for r in p["previewResults"]]
assert [r["imageDigest"] for r in results] == digests[:3] + digests[5:126], results
first = {k: v for k, v in results[0].items() if k != "imagePushedAt"}
assert first == {
    "imageTags": ["release-0"],
    "imageDigest": digests[0],
    "action": {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"},
    "appliedRulePriority": 1,
    "storageClass": "STANDARD",
}, first
tagged = ecr.get_lifecycle_policy_preview(repositoryName=REPO, filter={"tagStatus": "TAGGED"})["previewResults"]
assert len(tagged) == 3, tagged
named = ecr.get_lifecycle_policy_preview(
    repositoryName=REPO, imageIds=[{"imageTag": "release-1"}, {"imageDigest": digests[129]}]
)["previewResults"]
assert [r["imageDigest"] for r in named] == [digests[1]], named
assert len(ecr.list_images(repositoryName=REPO, maxResults=1000)["imageIds"]) == 130

# What is put comes back as it means, without its white space.
put = ecr.put_lifecycle_policy(repositoryName=REPO, lifecyclePolicyText=text)["lifecyclePolicyText"]
assert put == json.dumps(json.loads(text), separators=(",", ":")), put
got = ecr.get_lifecycle_policy(repositoryName=REPO)
assert got["lifecyclePolicyText"] == put, got
deadline = time.monotonic() + 60
while got["lastEvaluatedAt"].timestamp() == 0:
    assert time.monotonic() < deadline, "the policy is not run"
    time.sleep(0.2)
    got = ecr.get_lifecycle_policy(repositoryName=REPO)
left = {i["imageDigest"] for i in ecr.list_images(repositoryName=REPO)["imageIds"]}
assert left == set(digests[3:5] + digests[126:]), left
archived = ecr.list_images(repositoryName=REPO, filter={"imageStatus": "ARCHIVED"})["imageIds"]
assert sorted(i["imageTag"] for i in archived) == ["release-0", "release-1", "release-2"], archived
gone = ecr.delete_lifecycle_policy(repositoryName=REPO)
assert gone["lifecyclePolicyText"] == put and gone["lastEvaluatedAt"].timestamp() > 0, gone
refused(ecr.exceptions.LifecyclePolicyNotFoundException, ecr.get_lifecycle_policy)
print("all is well")
