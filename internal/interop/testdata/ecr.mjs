// The life of an image by Amazon's SDK for JavaScript: push, list, describe,
// pull, copy, delete. ECR_MODULES is the folder with the SDK.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createRequire } from "node:module";

const { ECR, paginateListImages } = createRequire(process.env.ECR_MODULES)("@aws-sdk/client-ecr");
const ecr = new ECR({ maxAttempts: 1 });

const digest = (content) => "sha256:" + createHash("sha256").update(content).digest("hex");
const describe = (mediaType, content) => ({ mediaType, size: content.length, digest: digest(content) });

const layer = randomBytes(6 << 20);
const config = Buffer.from(JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [] } }));
const imageManifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  config: describe("application/vnd.oci.image.config.v1+json", config),
  layers: [describe("application/vnd.oci.image.layer.v1.tar", layer)],
});

async function pushLayer(repositoryName, content) {
  const { uploadId, partSize } = await ecr.initiateLayerUpload({ repositoryName });
  for (let first = 0; first < content.length; first += partSize) {
    const layerPartBlob = content.subarray(first, first + partSize);
    const partLastByte = first + layerPartBlob.length - 1;
    const got = await ecr.uploadLayerPart({ repositoryName, uploadId, partFirstByte: first, partLastByte, layerPartBlob });
    assert.equal(got.lastByteReceived, partLastByte);
  }
  await ecr.completeLayerUpload({ repositoryName, uploadId, layerDigests: [digest(content)] });
}

async function pushImage(repositoryName, tags) {
  await pushLayer(repositoryName, config);
  await pushLayer(repositoryName, layer);
  for (const imageTag of tags) {
    await ecr.putImage({ repositoryName, imageTag, imageManifest });
  }
}

async function tagsOf(repositoryName) {
  const tags = [];
  for await (const page of paginateListImages({ client: ecr, pageSize: 1 }, { repositoryName })) {
    tags.push(...page.imageIds.map((id) => id.imageTag));
  }
  return tags.sort();
}

await ecr.createRepository({ repositoryName: "js/app" });
await ecr.createRepository({ repositoryName: "js/copy" });
await pushImage("js/app", ["1.0", "2.0"]);
assert.deepEqual(await tagsOf("js/app"), ["1.0", "2.0"]);
await assert.rejects(ecr.putImage({ repositoryName: "js/app", imageTag: "1.0", imageManifest }), {
  name: "ImageAlreadyExistsException",
});

const described = await ecr.describeImages({ repositoryName: "js/app", imageIds: [{ imageTag: "1.0" }] });
assert.equal(described.imageDetails[0].imageDigest, digest(imageManifest));
assert(described.imageDetails[0].imagePushedAt instanceof Date);
const got = await ecr.batchGetImage({ repositoryName: "js/app", imageIds: [{ imageTag: "2.0" }] });
assert.equal(got.images[0].imageManifest, imageManifest);
const { downloadUrl } = await ecr.getDownloadUrlForLayer({ repositoryName: "js/app", layerDigest: digest(layer) });
const pulled = await fetch(downloadUrl);
assert(layer.equals(Buffer.from(await pulled.arrayBuffer())));

await pushImage("js/copy", ["1.0"]);
const have = await ecr.batchCheckLayerAvailability({ repositoryName: "js/copy", layerDigests: [digest(layer), digest("none")] });
assert.deepEqual(have.layers.map((l) => l.layerAvailability), ["AVAILABLE", "UNAVAILABLE"]);

const gone = await ecr.batchDeleteImage({ repositoryName: "js/app", imageIds: [{ imageDigest: digest(imageManifest) }] });
assert.deepEqual(gone.failures, []);
assert.deepEqual(await tagsOf("js/app"), []);
await ecr.deleteRepository({ repositoryName: "js/app" });
await ecr.deleteRepository({ repositoryName: "js/copy", force: true });
await assert.rejects(ecr.describeImages({ repositoryName: "js/app" }), { name: "RepositoryNotFoundException" });
console.log("all is well with the SDK for JavaScript");
