package ecrapi_test

import (
	"testing"

	"github.com/seed-78150930/berth/registry"
)

func TestQuotasOfPartsAndLayers(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{LargestPart: 3, SmallestPart: 2, Layers: 1} })
	b.repository("app")
	id := b.start("app")
	b.invalid("UploadLayerPart", part("app", id, 0, "abcd"), "layerPartBlob", "Member must have length less than or equal to 3")
	b.call("UploadLayerPart", part("app", id, 0, "ab"))
	b.call("UploadLayerPart", part("app", id, 2, "c"))
	b.call("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": id, "layerDigests": arr{sum("abc")}})
	small := b.start("app")
	b.call("UploadLayerPart", part("app", small, 0, "x"))
	b.call("UploadLayerPart", part("app", small, 1, "y"))
	b.refused("CompleteLayerUpload", obj{"repositoryName": "app", "uploadId": small, "layerDigests": arr{sum("xy")}},
		"LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB")

	config := b.layer("app", "{}")
	layers := arr{descriptor("application/vnd.oci.image.layer.v1.tar", "abc"), descriptor("application/vnd.oci.image.layer.v1.tar", "abc")}
	two := b.encode(obj{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": obj{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}, "layers": layers})
	b.invalid("PutImage", obj{"repositoryName": "app", "imageManifest": two}, "ImageManifest", "Limit on number of layers per image exceeded")
}
