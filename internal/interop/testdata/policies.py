"""Policies, templates, settings, the archive and exclusions by boto3, put and read back as Terraform does."""

import hashlib
import json
import os
import time

import boto3

ecr = boto3.client("ecr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
ACCOUNT = ecr.describe_registry()["registryId"]


def refused(exception, call, **members):
    try:
        call(**members)
    except exception as e:
        return e.response["Error"]["Message"]
    raise SystemExit(f"{members} were not refused")


def policy(**more):
    statement = {"Sid": "pull", "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


# Terraform holds what it reads against what it put by meaning, not by text.
ecr.create_repository(repositoryName="tf/app")
put = policy(Action=["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"])
absent = ecr.exceptions.RepositoryPolicyNotFoundException
refused(absent, ecr.get_repository_policy, repositoryName="tf/app")
ecr.set_repository_policy(repositoryName="tf/app", policyText=json.dumps(put))
got = ecr.get_repository_policy(repositoryName="tf/app", registryId=ACCOUNT)
assert json.loads(got["policyText"]) == put and got["policyText"].startswith('{\n  "Version" : "2012-10-17"'), got
assert ecr.delete_repository_policy(repositoryName="tf/app")["policyText"] == got["policyText"]
refused(absent, ecr.delete_repository_policy, repositoryName="tf/app")
said = refused(
    ecr.exceptions.InvalidParameterException, ecr.set_repository_policy, repositoryName="tf/app", policyText="{}"
)
assert "Invalid repository policy provided" in said, said  # which Terraform waits for

absent = ecr.exceptions.RegistryPolicyNotFoundException
refused(absent, ecr.get_registry_policy)
put = policy(Action=["ecr:ReplicateImage", "ecr:CreateRepository"], Resource=[f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/*"])
ecr.put_registry_policy(policyText=json.dumps(put))
assert json.loads(ecr.get_registry_policy()["policyText"]) == put
ecr.delete_registry_policy()
refused(absent, ecr.delete_registry_policy)

for name, default, other in [
    ("BASIC_SCAN_TYPE_VERSION", "AWS_NATIVE", "CLAIR"),
    ("REGISTRY_POLICY_SCOPE", "V2", "V1"),
    ("BLOB_MOUNTING", "DISABLED", "ENABLED"),
]:
    assert ecr.get_account_setting(name=name)["value"] == default
    for value in other, default:
        assert ecr.put_account_setting(name=name, value=value) | {"ResponseMetadata": 0} == {
            "name": name, "value": value, "ResponseMetadata": 0}
        assert ecr.get_account_setting(name=name)["value"] == value

template = {
    "prefix": "tf-templates",
    "description": "of tests",
    "appliedFor": ["CREATE_ON_PUSH", "PULL_THROUGH_CACHE"],
    "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
    "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}],
    "encryptionConfiguration": {"encryptionType": "AES256"},
    "resourceTags": [{"Key": "owner", "Value": "us"}],
    "repositoryPolicy": json.dumps(policy(Action="ecr:BatchGetImage")),
    "customRoleArn": f"arn:aws:iam::{ACCOUNT}:role/templates",
}
made = ecr.create_repository_creation_template(**template)["repositoryCreationTemplate"]
for member, value in template.items():
    same = json.loads(made[member]) == json.loads(value) if member == "repositoryPolicy" else made[member] == value
    assert same, (member, made)
refused(ecr.exceptions.TemplateAlreadyExistsException, ecr.create_repository_creation_template, **template)
read = ecr.describe_repository_creation_templates(prefixes=["tf-templates"])["repositoryCreationTemplates"]
assert read == [made], (read, made)
changed = ecr.update_repository_creation_template(prefix="tf-templates", appliedFor=["REPLICATION"])
assert changed["repositoryCreationTemplate"]["appliedFor"] == ["REPLICATION"], changed
assert changed["repositoryCreationTemplate"]["description"] == "of tests", changed
for n in range(4):
    ecr.create_repository_creation_template(prefix=f"t{n}", appliedFor=["REPLICATION"])
pages = ecr.get_paginator("describe_repository_creation_templates").paginate(PaginationConfig={"PageSize": 2})
sizes = [[t["prefix"] for t in page["repositoryCreationTemplates"]] for page in pages]
assert sizes == [["t0", "t1"], ["t2", "t3"], ["tf-templates"]], sizes
ecr.delete_repository_creation_template(prefix="tf-templates")
refused(ecr.exceptions.TemplateNotFoundException, ecr.delete_repository_creation_template, prefix="tf-templates")

who = f"arn:aws:iam::{ACCOUNT}:role/scanner"
assert ecr.register_pull_time_update_exclusion(principalArn=who)["principalArn"] == who
refused(ecr.exceptions.ExclusionAlreadyExistsException, ecr.register_pull_time_update_exclusion, principalArn=who)
assert ecr.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] == [who]
ecr.deregister_pull_time_update_exclusion(principalArn=who)
refused(ecr.exceptions.ExclusionNotFoundException, ecr.deregister_pull_time_update_exclusion, principalArn=who)


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push(repo, tag):
    blobs = [b"{}", tag.encode() * 3]
    for content in blobs:
        upload = ecr.initiate_layer_upload(repositoryName=repo)["uploadId"]
        ecr.upload_layer_part(
            repositoryName=repo, uploadId=upload, partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content
        )
        try:
            ecr.complete_layer_upload(repositoryName=repo, uploadId=upload, layerDigests=[digest(content)])
        except ecr.exceptions.LayerAlreadyExistsException:
            pass
    kinds = ["application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar"]
    config, layer = [{"mediaType": k, "size": len(b), "digest": digest(b)} for k, b in zip(kinds, blobs)]
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    }
    ecr.put_image(repositoryName=repo, imageTag=tag, imageManifest=json.dumps(manifest))


def detail(tag):
    return ecr.describe_images(repositoryName="tf/app", imageIds=[{"imageTag": tag}])["imageDetails"][0]


for tag in "one", "two":
    push("tf/app", tag)
one = {"imageTag": "one"}
moved = ecr.update_image_storage_class(repositoryName="tf/app", imageId=one, targetStorageClass="ARCHIVE")
assert moved["imageStatus"] == "ARCHIVED", moved
assert ecr.batch_get_image(repositoryName="tf/app", imageIds=[one])["failures"][0]["failureCode"] == "ImageNotFound"
for status, tags in {"ACTIVE": ["two"], "ARCHIVED": ["one"], "ANY": ["one", "two"]}.items():
    pages = ecr.get_paginator("list_images").paginate(repositoryName="tf/app", filter={"imageStatus": status})
    listed = sorted(i["imageTag"] for page in pages for i in page["imageIds"])
    assert listed == tags, (status, listed)
again = refused(
    ecr.exceptions.ImageStorageClassUpdateNotSupportedException,
    ecr.update_image_storage_class,
    repositoryName="tf/app",
    imageId=one,
    targetStorageClass="ARCHIVE",
)
back = ecr.update_image_storage_class(repositoryName="tf/app", imageId=one, targetStorageClass="STANDARD")
assert back["imageStatus"] in ("ACTIVATING", "ACTIVE"), back
deadline = time.time() + 60
while detail("one")["imageStatus"] != "ACTIVE":
    assert time.time() < deadline, detail("one")
    time.sleep(0.2)
assert detail("one")["lastActivatedAt"] >= detail("one")["lastArchivedAt"], detail("one")
ecr.batch_get_image(repositoryName="tf/app", imageIds=[one])
while "lastRecordedPullTime" not in detail("one"):
    assert time.time() < deadline, detail("one")
    time.sleep(0.2)
print("all is well with boto3", boto3.__version__)
