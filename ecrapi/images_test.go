package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

func TestImageFromBirthToDeath(t *testing.T) {
	b := open(t, atOneTime)
	b.repository("app")
	b.layer("app", "{}")
	b.layer("app", "layer")
	m := b.manifest("{}", "layer", nil)
	image := obj{
		"registryId": account, "repositoryName": "app", "imageManifest": m, "imageManifestMediaType": ociManifest,
		"imageId": obj{"imageDigest": sum(m), "imageTag": "1.0"},
	}
	b.same("put", b.call("PutImage", obj{"repositoryName": "app", "imageManifest": m, "imageTag": "1.0"}), obj{"image": image})
	b.call("PutImage", obj{"repositoryName": "app", "imageManifest": m, "imageTag": "latest", "imageDigest": sum(m), "imageManifestMediaType": ociManifest})
	b.same("described", b.call("DescribeImages", obj{"repositoryName": "app"}), obj{"imageDetails": arr{obj{
		"registryId": account, "repositoryName": "app", "imageDigest": sum(m), "imageTags": arr{"1.0", "latest"},
		"imageSizeInBytes": len("{}" + "layer"), "imagePushedAt": 1563223656.25, "imageManifestMediaType": ociManifest,
		"artifactMediaType": ociConfig, "imageStatus": "ACTIVE",
	}}})
	b.same("got by tag", b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1.0"}}}),
		obj{"images": arr{image}, "failures": arr{}})
	b.same("removed", b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1.0"}}}),
		obj{"imageIds": arr{obj{"imageDigest": sum(m), "imageTag": "1.0"}}, "failures": arr{}})
	b.same("one tag left", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{obj{"imageDigest": sum(m), "imageTag": "latest"}}})
	b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "latest"}}})
	b.same("gone with the last tag", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{}})
}

func TestImageWithoutTags(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer")
	id := obj{"imageDigest": sum(m)}
	b.same("listed", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{id}})
	if detail := b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr)[0].(obj); detail["imageTags"] != nil {
		t.Errorf("an image without tags shows %v", detail["imageTags"])
	}
	b.same("got", b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{id}})["images"].(arr)[0].(obj)["imageId"], id)
	b.same("removed", b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{id}}), obj{"imageIds": arr{id}, "failures": arr{}})
}

func TestPutImageThatExists(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "1.0")
	for _, tag := range []any{"1.0", nil} {
		name := "null"
		if tag != nil {
			name = tag.(string)
		}
		b.refused("PutImage", obj{"repositoryName": "app", "imageManifest": m, "imageTag": tag}, "ImageAlreadyExistsException",
			"Image with digest '"+sum(m)+"' and tag '"+name+"' already exists in the repository with name 'app' in registry with id '000000000000'")
	}
}

func TestImmutableTags(t *testing.T) {
	b := open(t)
	b.repository("app")
	first := b.image("app", "first", "1.0", "dev-1")
	second := b.image("app", "second")
	put := func(tag string) obj { return obj{"repositoryName": "app", "imageManifest": second, "imageTag": tag} }
	set := func(setting string, filters any) {
		b.call("PutImageTagMutability", obj{"repositoryName": "app", "imageTagMutability": setting, "imageTagMutabilityExclusionFilters": filters})
	}
	refused := func(tag string) {
		b.refused("PutImage", put(tag), "ImageTagAlreadyExistsException",
			"The image tag '"+tag+"' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.")
	}
	dev := arr{obj{"filterType": "WILDCARD", "filter": "dev-*"}}
	set("IMMUTABLE", nil)
	refused("1.0")
	refused("dev-1")
	b.refused("PutImage", obj{"repositoryName": "app", "imageManifest": first, "imageTag": "1.0"}, "ImageAlreadyExistsException",
		"Image with digest '"+sum(first)+"' and tag '1.0' already exists in the repository with name 'app' in registry with id '000000000000'")
	set("MUTABLE_WITH_EXCLUSION", dev)
	refused("dev-1")
	set("IMMUTABLE_WITH_EXCLUSION", dev)
	refused("1.0")
	b.call("PutImage", put("dev-1"))
	set("MUTABLE", nil)
	b.call("PutImage", put("1.0"))
	b.same("both tags have moved, and the old image stays", b.call("ListImages", obj{"repositoryName": "app", "filter": obj{"tagStatus": "UNTAGGED"}}),
		obj{"imageIds": arr{obj{"imageDigest": sum(first)}}})
}

func TestPutImageRefusals(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Tags: 1, Images: 2} })
	b.repository("app")
	m := b.image("app", "layer", "1.0")
	const in = "required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"
	absent, child := b.manifest("{}", "absent", nil), b.manifest("{}", "child", nil)
	md5 := "md5:d41d8cd98f00b204e9800998ecf8427e"
	mismatch := func(d string) string {
		return "The image with digest '" + d + "' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated."
	}
	invalid := func(at, reason string) string {
		return "Invalid parameter at '" + at + "' failed to satisfy constraint: '" + reason + "'"
	}
	tests := []struct {
		name        string
		in          obj
		as, message string
	}{
		{"no repository", obj{"repositoryName": "no"}, "RepositoryNotFoundException", notThere("no")},
		{"no repository goes before a bad manifest", obj{"repositoryName": "no", "imageManifest": "{"}, "RepositoryNotFoundException", notThere("no")},
		{"no repository goes before a bad digest", obj{"repositoryName": "no", "imageDigest": md5}, "RepositoryNotFoundException", notThere("no")},
		{"not JSON", obj{"imageManifest": "{"}, "InvalidParameterException", invalid("ImageManifest", "Invalid JSON syntax")},
		{"no media type", obj{"imageManifest": `{"schemaVersion":2}`}, "InvalidParameterException",
			invalid("imageManifestMediaType", "image manifest mediatype not provided in manifest or parameter")},
		{"other digest", obj{"imageDigest": sum("other")}, "ImageDigestDoesNotMatchException", mismatch(sum("other"))},
		{"other algorithm", obj{"imageDigest": md5}, "ImageDigestDoesNotMatchException", mismatch(md5)},
		{"no digest", obj{"imageDigest": "sha256:"}, "InvalidParameterException",
			invalid("imageDigest", "Member must satisfy regular expression pattern: [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")},
		{"absent layer", obj{"imageManifest": absent}, "LayersNotFoundException", "Layers with digests '[" + sum("absent") + "]' " + in},
		{"absent child", obj{"imageManifest": b.index(child)}, "ReferencedImagesNotFoundException", "Images with digests '[" + sum(child) + "]' " + in},
		{"too many tags", obj{"imageTag": "2.0"}, "LimitExceededException",
			"Adding tag '2.0' to an image in the repository with name 'app' in registry with id '000000000000' exceeds the maximum allowed number of tags per image which is '1'"},
		{"existing", obj{"imageTag": "1.0"}, "ImageAlreadyExistsException",
			"Image with digest '" + sum(m) + "' and tag '1.0' already exists in the repository with name 'app' in registry with id '000000000000'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.in(t).refused("PutImage", merge(obj{"repositoryName": "app", "imageManifest": m}, tt.in), tt.as, tt.message)
		})
	}
	b.image("app", "second")
	b.layer("app", "third")
	b.refused("PutImage", obj{"repositoryName": "app", "imageManifest": b.manifest("{}", "third", nil)}, "LimitExceededException",
		"The repository with name 'app' in registry with id '000000000000' already has the maximum allowed number of images which is '2'")
}

// TestTagsThatNobodyCouldPull: ECR's model lets 300 characters of any kind
// through, the grammar of the OCI specification 128 of some.
func TestTagsThatNobodyCouldPull(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", strings.Repeat("a", 128))
	for _, tag := range []string{strings.Repeat("a", 129), strings.Repeat("a", 300), ".a", "-a", "a:b", "a@b", "a b", "ä", "a\nb", "../a"} {
		w := b.send(request{target: targetPrefix + "PutImage", body: b.encode(obj{"repositoryName": "app", "imageManifest": m, "imageTag": tag})})
		out := b.decode(w.Body.Bytes())
		message, _ := out["message"].(string)
		if w.Code != 400 || out["__type"] != "InvalidParameterException" || !strings.HasPrefix(message, "Invalid parameter at 'imageTag' failed to satisfy constraint: '") {
			t.Errorf("tag %q: %d %s", tag, w.Code, w.Body)
		}
		b.same(tag, b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": tag}}})["failures"].(arr)[0].(obj)["failureCode"], "InvalidImageTag")
	}
}

// TestManifestsAreKeptByteForByte pushes a manifest that JSON can write in many
// ways.
func TestManifestsAreKeptByteForByte(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.image("app", "layer")
	m := "{\r\n\t\"annotations\":{\"é\\u00e9\\/<&>\u2028\":\"\\ud83d\\ude00😀\"}, " + b.manifest("{}", "layer", nil)[1:] + "\n\n"
	b.call("PutImage", obj{"repositoryName": "app", "imageManifest": m, "imageDigest": sum(m)})
	got := b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": sum(m)}}})["images"].(arr)[0].(obj)
	if got["imageManifest"] != m {
		t.Errorf("%q came back as %q", m, got["imageManifest"])
	}
}

// TestManifestsOfTooManyBytes: what has no more characters than ECR allows may
// still be too long.
func TestManifestsOfTooManyBytes(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Manifest: 1000} })
	b.repository("app")
	m := b.image("app", "layer")
	m += strings.Repeat(" ", 1000-len(m))
	b.push("app", m)
	b.invalid("PutImage", obj{"repositoryName": "app", "imageManifest": strings.Replace(m, "layer", "layér", 1)},
		"imageManifest", "Member must have length less than or equal to 1000")
}

// TestLargestManifest writes each byte of the largest manifest as six.
func TestLargestManifest(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.image("app", "layer")
	m := b.manifest("{}", "layer", nil)
	var in strings.Builder
	in.WriteString(`{"repositoryName":"app","imageManifest":"`)
	for _, c := range []byte(m) {
		fmt.Fprintf(&in, `\u%04x`, c)
	}
	in.WriteString(strings.Repeat(`\u000a`, 4<<20-len(m)))
	in.WriteString(`"}`)
	b.call("PutImage", in.String())
	want := m + strings.Repeat("\n", 4<<20-len(m))
	got := b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": sum(want)}}})["images"].(arr)[0].(obj)
	if got["imageManifest"] != want {
		t.Error("it came back as another one")
	}
}

func TestBatchGetImageFailures(t *testing.T) {
	b := open(t)
	b.repository("app")
	m, n := b.image("app", "one", "1"), b.image("app", "two", "2")
	ids := arr{
		obj{"imageTag": "1"}, obj{"imageDigest": sum(m)}, obj{"imageTag": "1", "imageDigest": sum(m)}, obj{"imageTag": "1"},
		obj{"imageTag": "absent"}, obj{"imageDigest": sum("absent")}, obj{}, obj{"imageDigest": "sha256:xyz"}, obj{"imageDigest": "md5:00"},
		obj{"imageTag": "1", "imageDigest": sum(n)}, obj{"imageTag": "a b"},
	}
	out := b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": ids})
	var got arr
	for _, img := range out["images"].(arr) {
		got = append(got, img.(obj)["imageId"])
	}
	b.same("images", got, arr{
		obj{"imageTag": "1", "imageDigest": sum(m)}, obj{"imageDigest": sum(m)}, obj{"imageTag": "1", "imageDigest": sum(m)},
	})
	fail := func(id obj, code, reason string) obj {
		return obj{"imageId": id, "failureCode": code, "failureReason": reason}
	}
	b.same("failures", out["failures"], arr{
		fail(obj{"imageTag": "absent"}, "ImageNotFound", "Requested image not found"),
		fail(obj{"imageDigest": sum("absent")}, "ImageNotFound", "Requested image not found"),
		fail(obj{}, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"),
		fail(obj{"imageDigest": "sha256:xyz"}, "InvalidImageDigest",
			"Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"),
		fail(obj{"imageDigest": "md5:00"}, "ImageNotFound", "Requested image not found"),
		fail(obj{"imageTag": "1", "imageDigest": sum(n)}, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the image digest"),
		fail(obj{"imageTag": "a b"}, "InvalidImageTag",
			"Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"),
	})
	b.refused("BatchGetImage", obj{"repositoryName": "no", "imageIds": arr{obj{}}}, "RepositoryNotFoundException", notThere("no"))
}

// TestAcceptedMediaTypes: by a tag, an image is of an accepted type or not
// found; by digest there is one form alone. What is given is as it is stored.
func TestAcceptedMediaTypes(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "one", "1")
	tests := []struct {
		id     obj
		accept arr
		found  bool
	}{
		{obj{"imageTag": "1"}, arr{ociManifest}, true},
		{obj{"imageTag": "1"}, arr{ociIndex, ociManifest}, true},
		{obj{"imageTag": "1"}, arr{ociIndex}, false},
		{obj{"imageDigest": sum(m)}, arr{ociIndex}, true},
	}
	for _, tt := range tests {
		out := b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{tt.id}, "acceptedMediaTypes": tt.accept})
		if found := len(out["images"].(arr)) == 1; found != tt.found || found == (len(out["failures"].(arr)) == 1) {
			t.Errorf("%v accepting %v: %v", tt.id, tt.accept, out)
		}
	}
}

func TestAnswersOfManyManifestsAreBounded(t *testing.T) {
	const largest = 4 << 10
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{Manifest: largest} })
	b.repository("app")
	m := b.image("app", "layer")
	ids := arr{}
	for i := range 17 {
		m := strings.Repeat(" ", i) + m + strings.Repeat(" ", largest-len(m)-i)
		b.push("app", m)
		ids = append(ids, obj{"imageDigest": sum(m)})
	}
	b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": ids[:16]})
	b.refused("BatchGetImage", obj{"repositoryName": "app", "imageIds": ids}, "LimitExceededException",
		"The requested images exceed the maximum allowed size of manifests in bytes which is '65536'")
}

func TestBatchDeleteImage(t *testing.T) {
	b := open(t)
	b.repository("app")
	one, two, three := b.image("app", "one", "1", "1.0"), b.image("app", "two", "2"), b.image("app", "three")
	out := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{
		obj{"imageDigest": sum(one)}, obj{"imageTag": "2", "imageDigest": sum(one)}, obj{"imageTag": "2", "imageDigest": sum(two)},
		obj{"imageDigest": sum(three)}, obj{"imageDigest": sum(three)}, obj{"imageTag": "absent"}, obj{}, obj{"imageDigest": "x"},
	}})
	b.same("removed", out["imageIds"], arr{
		obj{"imageDigest": sum(one), "imageTag": "1"}, obj{"imageDigest": sum(one), "imageTag": "1.0"},
		obj{"imageDigest": sum(two), "imageTag": "2"}, obj{"imageDigest": sum(three)},
	})
	var codes arr
	for _, f := range out["failures"].(arr) {
		codes = append(codes, f.(obj)["failureCode"])
	}
	b.same("failures", codes, arr{"ImageTagDoesNotMatchDigest", "ImageNotFound", "MissingDigestAndTag", "InvalidImageDigest"})
	b.same("nothing left", b.call("ListImages", obj{"repositoryName": "app"}), obj{"imageIds": arr{}})
	b.refused("BatchDeleteImage", obj{"repositoryName": "no", "imageIds": arr{obj{}}}, "RepositoryNotFoundException", notThere("no"))
}

// TestListsAreDeletedBeforeTheirImages: an image that a list needs is not
// deleted unless the list goes in the same request, however deep they nest.
func TestListsAreDeletedBeforeTheirImages(t *testing.T) {
	b := open(t)
	b.repository("app")
	child := b.image("app", "layer", "child")
	inner := b.index(child)
	b.push("app", inner)
	outer := b.index(inner)
	b.push("app", outer, "outer")
	blocked := func(id obj, by string) obj {
		return obj{"imageId": id, "failureCode": "ImageReferencedByManifestList",
			"failureReason": "Requested image referenced by manifest list: [" + sum(by) + "]"}
	}
	out := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "child"}, obj{"imageDigest": sum(inner)}}})
	b.same("blocked", out, obj{"imageIds": arr{}, "failures": arr{
		blocked(obj{"imageTag": "child"}, inner), blocked(obj{"imageDigest": sum(inner)}, outer),
	}})
	out = b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{
		obj{"imageTag": "child"}, obj{"imageDigest": sum(inner)}, obj{"imageTag": "outer"},
	}})
	b.same("lists first", out, obj{"failures": arr{}, "imageIds": arr{
		obj{"imageTag": "outer", "imageDigest": sum(outer)}, obj{"imageDigest": sum(inner)}, obj{"imageTag": "child", "imageDigest": sum(child)},
	}})
}

func TestDescribeNamedImages(t *testing.T) {
	b := open(t)
	b.repository("app")
	one, two := b.image("app", "one", "1"), b.image("app", "two")
	digests := func(in obj) (list arr) {
		for _, d := range b.call("DescribeImages", merge(obj{"repositoryName": "app"}, in))["imageDetails"].(arr) {
			list = append(list, d.(obj)["imageDigest"])
		}
		return list
	}
	all := arr{obj{"imageDigest": sum(two)}, obj{"imageTag": "1"}, obj{"imageDigest": sum(one)}}
	b.same("each once", digests(obj{"imageIds": all}), arr{sum(two), sum(one)})
	b.same("tagged", digests(obj{"imageIds": all, "filter": obj{"tagStatus": "TAGGED"}}), arr{sum(one)})
	b.same("untagged", digests(obj{"imageIds": all, "filter": obj{"tagStatus": "UNTAGGED"}}), arr{sum(two)})
	b.same("archived", digests(obj{"imageIds": all, "filter": obj{"imageStatus": "ARCHIVED"}}), nil)
	absent := func(d, tag string) string {
		return "The image with imageId {imageDigest:'" + d + "', imageTag:'" + tag + "'} does not exist within the repository with name 'app' in the registry with id '000000000000'"
	}
	named := func(id obj) obj { return obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1"}, id}} }
	b.refused("DescribeImages", named(obj{"imageTag": "2"}), "ImageNotFoundException", absent("null", "2"))
	b.refused("DescribeImages", named(obj{"imageDigest": sum("x")}), "ImageNotFoundException", absent(sum("x"), "null"))
	b.refused("DescribeImages", named(obj{"imageDigest": "md5:00"}), "ImageNotFoundException", absent("md5:00", "null"))
	b.refused("DescribeImages", named(obj{"imageDigest": sum(two), "imageTag": "1"}), "ImageNotFoundException", absent(sum(two), "1"))
	b.invalid("DescribeImages", named(obj{}), "imageIds", "Invalid request parameters: both tag and digest cannot be null")
	b.invalid("DescribeImages", merge(named(obj{}), obj{"maxResults": 1}), "maxResults", "Member must be null when imageIds is specified")
	b.refused("DescribeImages", obj{"repositoryName": "no", "imageIds": arr{obj{}}}, "RepositoryNotFoundException", notThere("no"))
}

func TestStatusFilters(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "1")
	b.push("app", b.manifest("{}", "layer", obj{"subject": descriptor(ociManifest, m)}))
	for status, n := range map[string]int{"ACTIVE": 2, "ANY": 2, "ARCHIVED": 0, "ACTIVATING": 0} {
		filter := obj{"imageStatus": status}
		details := b.call("DescribeImages", obj{"repositoryName": "app", "filter": filter})["imageDetails"].(arr)
		ids := b.call("ListImages", obj{"repositoryName": "app", "filter": filter})["imageIds"].(arr)
		refs := b.call("ListImageReferrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum(m)},
			"filter": obj{"artifactStatus": status}})["referrers"].(arr)
		if len(details) != n || len(ids) != n || len(refs) != n/2 {
			t.Errorf("%s: %d details, %d ids and %d referrers", status, len(details), len(ids), len(refs))
		}
	}
}

func TestReferrers(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer", "1")
	signature := b.manifest("{}", "layer", obj{"artifactType": "text/signature", "subject": descriptor(ociManifest, m), "annotations": obj{"by": "<me>"}})
	sbom := b.manifest("{}", "layer", obj{"artifactType": "text/sbom", "subject": descriptor(ociManifest, m)})
	b.push("app", signature)
	b.push("app", sbom)
	list := func(in obj) obj { return b.call("ListImageReferrers", merge(obj{"repositoryName": "app"}, in)) }
	subject := obj{"imageDigest": sum(m)}
	signed := obj{"digest": sum(signature), "mediaType": ociManifest, "artifactType": "text/signature", "size": len(signature),
		"annotations": obj{"by": "<me>"}, "artifactStatus": "ACTIVE"}
	b.same("of a type", list(obj{"subjectId": subject, "filter": obj{"artifactTypes": arr{"text/signature"}}}), obj{"referrers": arr{signed}})
	if n := len(list(obj{"subjectId": subject})["referrers"].(arr)); n != 2 {
		t.Errorf("%d referrers, want 2", n)
	}
	for _, d := range []string{sum("absent"), "md5:00"} {
		b.same("of "+d, list(obj{"subjectId": obj{"imageDigest": d}}), obj{"referrers": arr{}})
	}
	b.invalid("ListImageReferrers", obj{"repositoryName": "app", "subjectId": obj{"imageDigest": "1.0"}}, "subjectId.imageDigest",
		"Member must satisfy regular expression pattern: [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
	for _, d := range []string{sum(m), "md5:00"} {
		b.refused("ListImageReferrers", obj{"repositoryName": "no", "subjectId": obj{"imageDigest": d}}, "RepositoryNotFoundException", notThere("no"))
	}
	var detail obj
	for _, d := range b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr) {
		if d.(obj)["imageDigest"] == sum(sbom) {
			detail = d.(obj)
		}
	}
	b.same("subject", detail["subjectManifestDigest"], sum(m))
}

// TestLargestBatches asks for as many images as a request may.
func TestLargestBatches(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.layer("app", "{}")
	b.layer("app", "layer")
	ids, accept, layers := arr{}, arr{ociManifest}, arr{sum("layer")}
	for i := range 100 {
		m := b.manifest("{}", "layer", obj{"annotations": obj{"n": fmt.Sprint(i)}})
		b.push("app", m, fmt.Sprint("t", i))
		ids = append(ids, obj{"imageDigest": sum(m), "imageTag": fmt.Sprint("t", i)})
		if i > 0 {
			accept = append(accept, fmt.Sprint("text/", i))
			layers = append(layers, sum(fmt.Sprint(i)))
		}
	}
	if n := len(b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": ids, "acceptedMediaTypes": accept})["images"].(arr)); n != 100 {
		t.Errorf("got %d images", n)
	}
	if n := len(b.call("DescribeImages", obj{"repositoryName": "app", "imageIds": ids})["imageDetails"].(arr)); n != 100 {
		t.Errorf("described %d images", n)
	}
	if n := len(b.call("BatchCheckLayerAvailability", obj{"repositoryName": "app", "layerDigests": layers})["layers"].(arr)); n != 100 {
		t.Errorf("checked %d layers", n)
	}
	if n := len(b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": ids})["imageIds"].(arr)); n != 100 {
		t.Errorf("deleted %d images", n)
	}
}

func TestSHA512(t *testing.T) {
	b := open(t)
	b.repository("app")
	m := b.image("app", "layer")
	d := digest.FromBytes(digest.SHA512, []byte(m)).String()
	got := b.call("PutImage", obj{"repositoryName": "app", "imageManifest": m, "imageDigest": d})["image"].(obj)["imageId"]
	b.same("image", got, obj{"imageDigest": d})
}
