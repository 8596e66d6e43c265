package ecrapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry"
)

func TestTrash(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.TrashWindow = time.Hour })
	b.repository("app")
	one := sum(b.image("app", "one", "1.0"))
	id := obj{"imageTag": "1.0"}
	b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{id}})
	b.same("not pulled", b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{id}}), obj{"images": arr{}, "failures": arr{
		obj{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}}})
	if got := b.call("ListImages", obj{"repositoryName": "app"})["imageIds"].(arr); len(got) != 0 {
		t.Errorf("images %v", got)
	}
	layers := b.call("BatchCheckLayerAvailability", obj{"repositoryName": "app", "layerDigests": arr{sum("one")}})
	if got := layers["layers"].(arr); len(got) > 0 && got[0].(obj)["layerAvailability"] != "UNAVAILABLE" {
		t.Errorf("layers %v", layers)
	}
	b.refused("GetDownloadUrlForLayer", obj{"repositoryName": "app", "layerDigest": sum("one")}, "LayersNotFoundException",
		"The layer with digest '"+sum("one")+"' does not exist within the repository with name 'app' in the registry with id '000000000000'")
	b.refused("DescribeImages", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": one}}}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'"+one+"', imageTag:'null'} does not exist within the repository with name 'app' in the registry with id '000000000000'")
	b.call("DeleteRepository", obj{"repositoryName": "app"}) // what is in the trash does not keep it from that
	b.repository("app")
	b.image("app", "one", "1.0")
}

func TestProtected(t *testing.T) {
	b := open(t, func(s *setup) {
		s.registry.Protected = []registry.Protection{{Repositories: []string{"team/*"}, Tags: []string{"prod"}}, {Repositories: []string{"whole"}}}
	})
	b.repository("team/app")
	b.repository("whole")
	b.image("team/app", "one", "prod", "other")
	free := sum(b.image("team/app", "free", "free"))
	b.image("whole", "two", "1.0")

	out := b.call("BatchDeleteImage", obj{"repositoryName": "team/app", "imageIds": arr{obj{"imageTag": "prod"}, obj{"imageTag": "free"}}})
	b.same("what went", out["imageIds"], arr{obj{"imageDigest": free, "imageTag": "free"}})
	b.same("what is protected", out["failures"], arr{obj{"imageId": obj{"imageTag": "prod"}, "failureCode": "ImageInaccessible",
		"failureReason": `tag "prod" of "team/app" is protected from deletion, and with it the image`}})
	out = b.call("BatchDeleteImage", obj{"repositoryName": "whole", "imageIds": arr{obj{"imageTag": "1.0"}}})
	if got := out["failures"].(arr); len(got) != 1 || !strings.Contains(got[0].(obj)["failureReason"].(string), `repository "whole" is protected`) {
		t.Errorf("failures %v", got)
	}
	b.refused("DeleteRepository", obj{"repositoryName": "team/app", "force": true}, "InvalidParameterException",
		`tag "prod" of "team/app" is protected from deletion, and with it the image`)
	b.refused("DeleteRepository", obj{"repositoryName": "whole", "force": true}, "InvalidParameterException", `repository "whole" is protected from deletion`)
	out = b.call("BatchDeleteImage", obj{"repositoryName": "team/app", "imageIds": arr{obj{"imageTag": "other"}}})
	b.same("a tag that is not protected", out["failures"], arr{})
}
