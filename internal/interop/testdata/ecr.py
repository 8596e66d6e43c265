"""The life of an image by boto3: push, list, describe, pull, copy, delete."""

import hashlib
import json
import os
import urllib.request

import boto3

ecr = boto3.client("ecr", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
LAYER = os.urandom(6 << 20)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def push_layer(repo, content):
    begun = ecr.initiate_layer_upload(repositoryName=repo)
    size = begun["partSize"]
    for first in range(0, len(content), size):
        part = content[first : first + size]
        got = ecr.upload_layer_part(
            repositoryName=repo,
            uploadId=begun["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
        assert got["lastByteReceived"] == first + len(part) - 1, got
    ecr.complete_layer_upload(repositoryName=repo, uploadId=begun["uploadId"], layerDigests=[digest(content)])


def pull_layer(repo, name):
    link = ecr.get_download_url_for_layer(repositoryName=repo, layerDigest=name)["downloadUrl"]
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(link).read()


def describe(kind, content):
    return {"mediaType": kind, "size": len(content), "digest": digest(content)}


MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": describe("application/vnd.oci.image.config.v1+json", CONFIG),
        "layers": [describe("application/vnd.oci.image.layer.v1.tar", LAYER)],
    }
)


def push_image(repo, tags):
    for content in CONFIG, LAYER:
        push_layer(repo, content)
    for tag in tags:
        ecr.put_image(repositoryName=repo, imageTag=tag, imageManifest=MANIFEST)


def tags_of(repo):
    pages = ecr.get_paginator("list_images").paginate(repositoryName=repo, PaginationConfig={"PageSize": 1})
    return sorted(i["imageTag"] for page in pages for i in page["imageIds"])


ecr.create_repository(repositoryName="py/app")
ecr.create_repository(repositoryName="py/copy")
push_image("py/app", ["1.0", "2.0"])
assert tags_of("py/app") == ["1.0", "2.0"], tags_of("py/app")
try:
    ecr.put_image(repositoryName="py/app", imageTag="1.0", imageManifest=MANIFEST)
    raise SystemExit("the same image was put twice")
except ecr.exceptions.ImageAlreadyExistsException:
    pass

detail = ecr.describe_images(repositoryName="py/app", imageIds=[{"imageTag": "1.0"}])["imageDetails"][0]
assert detail["imageDigest"] == digest(MANIFEST.encode()), detail
assert sorted(detail["imageTags"]) == ["1.0", "2.0"], detail
got = ecr.batch_get_image(repositoryName="py/app", imageIds=[{"imageTag": "2.0"}])["images"][0]
assert got["imageManifest"] == MANIFEST, got
assert pull_layer("py/app", digest(LAYER)) == LAYER

push_image("py/copy", ["1.0"])
have = ecr.batch_check_layer_availability(repositoryName="py/copy", layerDigests=[digest(LAYER), digest(b"none")])
assert [layer["layerAvailability"] for layer in have["layers"]] == ["AVAILABLE", "UNAVAILABLE"], have

gone = ecr.batch_delete_image(repositoryName="py/app", imageIds=[{"imageDigest": digest(MANIFEST.encode())}])
assert not gone["failures"], gone
assert tags_of("py/app") == []
ecr.delete_repository(repositoryName="py/app")
ecr.delete_repository(repositoryName="py/copy", force=True)
try:
    ecr.describe_images(repositoryName="py/app")
    raise SystemExit("a deleted repository was described")
except ecr.exceptions.RepositoryNotFoundException:
    print("all is well with boto3", boto3.__version__)
