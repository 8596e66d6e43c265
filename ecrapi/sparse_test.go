package ecrapi_test

import "testing"

func acceptSparse(s *setup) { s.registry.SparseIndexes = true }

// TestSparseIndexes: the batch calls know what an index names from what is
// there.
func TestSparseIndexes(t *testing.T) {
	b := open(t, acceptSparse)
	b.repository("app")
	there, absent := b.image("app", "layer", "there"), b.manifest("{}", "another layer", nil)
	index := b.index(there, absent)
	b.push("app", index, "all")

	ids := arr{obj{"imageTag": "all"}, obj{"imageDigest": sum(absent)}}
	notFound := arr{obj{"imageId": obj{"imageDigest": sum(absent)}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}}
	got := b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": ids})
	b.same("what is not there", got["failures"], notFound)
	b.same("the index", got["images"].(arr)[0].(obj)["imageManifest"], index)
	detail := b.call("DescribeImages", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "all"}}})["imageDetails"].(arr)[0].(obj)
	b.same("size", detail["imageSizeInBytes"], float64(len("{}layer")))

	// One that comes later is held like the one that was there.
	b.layer("app", "another layer")
	b.push("app", absent)
	blocked := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": sum(absent)}}})
	b.same("a child that came later", blocked["failures"].(arr)[0].(obj)["failureCode"], "ImageReferencedByManifestList")
	gone := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{
		obj{"imageDigest": sum(absent)}, obj{"imageTag": "all"}, obj{"imageTag": "there"},
	}})
	b.same("failures", gone["failures"], arr{})
	b.same("nothing left", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{}})
}

func TestSparseIndexIsDeletedAlone(t *testing.T) {
	b := open(t, acceptSparse)
	b.repository("app")
	absent := b.manifest("{}", "layer", nil)
	index := b.index(absent)
	b.push("app", index, "all")
	out := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": sum(absent)}, obj{"imageTag": "all"}}})
	b.same("removed", out["imageIds"], arr{obj{"imageDigest": sum(index), "imageTag": "all"}})
	b.same("not there", out["failures"].(arr)[0].(obj)["failureCode"], "ImageNotFound")
}
