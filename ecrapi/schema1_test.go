package ecrapi_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// TestSchema1 puts manifests as the oldest samples of the API do: without a
// media type, and with the tag in the manifest alone.
func TestSchema1(t *testing.T) {
	b := open(t)
	b.repository("app")
	layer := b.layer("app", "layer")
	doc := fmt.Sprintf(`{"schemaVersion":1,"name":"app","tag":"old","fsLayers":[{"blobSum":%q}],"history":[{"v1Compatibility":"{}"}]}`, layer)
	header := fmt.Sprintf(`{"formatLength":%d,"formatTail":"fQ"}`, len(doc)-1)
	signed := doc[:len(doc)-1] + `,"signatures":[{"header":{},"signature":"x","protected":"` + base64.RawURLEncoding.EncodeToString([]byte(header)) + `"}]}`
	const kept = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	image := func(tag string) obj {
		return obj{"registryId": account, "repositoryName": "app", "imageManifest": signed, "imageManifestMediaType": kept,
			"imageId": obj{"imageDigest": sum(doc), "imageTag": tag}}
	}
	in := obj{"repositoryName": "app", "imageManifest": signed}
	b.same("put", b.call("PutImage", in), obj{"image": image("old")})
	b.same("put with a tag", b.call("PutImage", merge(in, obj{"imageTag": "new", "imageDigest": sum(doc), "imageManifestMediaType": kept})), obj{"image": image("new")})
	another := merge(in, obj{"imageManifest": strings.Replace(signed, `"x"`, `"y"`, 1), "imageTag": "another"})
	b.same("the same image, signed by another", b.call("PutImage", another), obj{"image": image("another")})
	b.refused("PutImage", in, "ImageAlreadyExistsException",
		"Image with digest '"+sum(doc)+"' and tag 'old' already exists in the repository with name 'app' in registry with id '000000000000'")
	b.refused("PutImage", merge(in, obj{"imageDigest": sum(signed)}), "ImageDigestDoesNotMatchException",
		"The image with digest '"+sum(signed)+"' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated.")
	b.same("got", b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "old"}}})["images"], arr{image("old")})
	detail := b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr)[0].(obj)
	if _, there := detail["artifactMediaType"]; there || detail["imageSizeInBytes"] != float64(len("layer")) || detail["imageManifestMediaType"] != kept {
		t.Errorf("described as %v", detail)
	}
	b.refused("StartImageScan", obj{"repositoryName": "app", "imageId": obj{"imageTag": "old"}}, "UnsupportedImageTypeException",
		"An artifact with media type '"+kept+"' cannot be scanned. For more information, see the Amazon ECR documentation.")
	b.refused("PutImage", obj{"repositoryName": "app", "imageManifest": `{"schemaVersion":1,"tag":"x y","fsLayers":[{"blobSum":"` + layer + `"}]}`}, "InvalidParameterException",
		"Invalid parameter at 'imageTag' failed to satisfy constraint: '\"x y\" is not a tag: up to 128 letters, digits, _ . and -, the first no . or -'")
}
