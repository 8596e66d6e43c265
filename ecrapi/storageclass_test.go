package ecrapi_test

import (
	"slices"
	"testing"
	"time"

	"github.com/seed-78150930/berth/auth"
	"github.com/seed-78150930/berth/registry"
)

func TestUpdateImageStorageClass(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.RestoreTime = time.Hour })
	b.repository("app")
	manifest := b.image("app", "one", "1.0")
	one := sum(manifest)
	b.image("app", "two", "2.0")
	id := obj{"imageTag": "1.0"}
	b.same("archived", b.call("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": id, "targetStorageClass": "ARCHIVE"}), obj{
		"registryId": account, "repositoryName": "app", "imageId": obj{"imageDigest": one, "imageTag": "1.0"}, "imageStatus": "ARCHIVED"})
	b.refused("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": id, "targetStorageClass": "ARCHIVE"}, "ImageStorageClassUpdateNotSupportedException",
		"The storage class of the image with digest '"+one+"' in the repository with name 'app' in the registry with id '000000000000' cannot be updated: it is ARCHIVED")
	b.same("not pulled", b.call("BatchGetImage", obj{"repositoryName": "app", "imageIds": arr{id}}), obj{"images": arr{}, "failures": arr{
		obj{"imageId": id, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}}})
	layers := b.call("BatchCheckLayerAvailability", obj{"repositoryName": "app", "layerDigests": arr{sum("one"), sum("two")}})["layers"].(arr)
	if layers[0].(obj)["layerAvailability"] != "ARCHIVED" || layers[1].(obj)["layerAvailability"] != "AVAILABLE" {
		t.Errorf("layers %v", layers)
	}
	b.refused("GetDownloadUrlForLayer", obj{"repositoryName": "app", "layerDigest": sum("one")}, "LayerInaccessibleException",
		"The layer with digest '"+sum("one")+"' in the repository with name 'app' in the registry with id '000000000000' is archived")
	listed := func(op, list, status string, want int) {
		t.Helper()
		in := obj{"repositoryName": "app"}
		if status != "" {
			in["filter"] = obj{"imageStatus": status}
		}
		if got := b.call(op, in)[list].(arr); len(got) != want {
			t.Errorf("%s of %q lists %v, want %d", op, status, got, want)
		}
	}
	for status, want := range map[string]int{"": 1, "ACTIVE": 1, "ARCHIVED": 1, "ACTIVATING": 0, "ANY": 2} {
		listed("ListImages", "imageIds", status, want)
		listed("DescribeImages", "imageDetails", status, want)
	}
	described := b.call("DescribeImages", obj{"repositoryName": "app", "imageIds": arr{id}})["imageDetails"].(arr)[0].(obj)
	if described["imageStatus"] != "ARCHIVED" || described["lastArchivedAt"] == nil || described["lastActivatedAt"] != nil {
		t.Errorf("described as %v", described)
	}
	if got := b.call("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": obj{"imageDigest": one}, "targetStorageClass": "STANDARD"}); got["imageStatus"] != "ACTIVATING" {
		t.Errorf("restored: %v", got)
	}
	b.push("app", manifest, "1.0")
	described = b.call("DescribeImages", obj{"repositoryName": "app", "imageIds": arr{id}})["imageDetails"].(arr)[0].(obj)
	if described["imageStatus"] != "ACTIVE" || described["lastActivatedAt"] == nil {
		t.Errorf("pushed again it is described as %v", described)
	}
}

func TestUpdateImageStorageClassRefused(t *testing.T) {
	b := open(t)
	b.repository("app")
	for in, want := range map[string]string{"ImageNotFoundException": "app", "RepositoryNotFoundException": "none"} {
		message := notThere(want)
		if want == "app" {
			message = "The image with imageId {imageDigest:'null', imageTag:'1'} does not exist within the repository with name 'app' in the registry with id '000000000000'"
		}
		b.refused("UpdateImageStorageClass", obj{"repositoryName": want, "imageId": obj{"imageTag": "1"}, "targetStorageClass": "ARCHIVE"}, in, message)
	}
	b.invalid("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": obj{"imageTag": "1"}, "targetStorageClass": "GLACIER"},
		"targetStorageClass", "Member must satisfy enum value set: [STANDARD, ARCHIVE]")
}

// Referrers go into the archive with their subject, and are listed there by
// artifactStatus.
func TestListImageReferrersByStatus(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.RestoreTime = time.Hour })
	b.repository("app")
	m := b.image("app", "one", "1.0")
	signature := b.manifest("{}", "one", obj{"artifactType": "text/signature", "subject": descriptor(ociManifest, m)})
	b.push("app", signature)
	to := func(class string) {
		b.call("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": obj{"imageTag": "1.0"}, "targetStorageClass": class})
	}
	list := func(want ...string) {
		t.Helper()
		for _, status := range []string{"", "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"} {
			in := obj{"repositoryName": "app", "subjectId": obj{"imageDigest": sum(m)}}
			if status != "" {
				in["filter"] = obj{"artifactStatus": status}
			}
			got := b.call("ListImageReferrers", in)["referrers"].(arr)
			if listed := slices.Contains(want, status); (len(got) == 1) != listed {
				t.Errorf("%q lists %v, want it there: %v", status, got, listed)
			} else if listed && status != "" && status != "ANY" && got[0].(obj)["artifactStatus"] != status {
				t.Errorf("%q lists %v", status, got)
			}
		}
	}
	list("", "ACTIVE", "ANY")
	to("ARCHIVE")
	list("ARCHIVED", "ANY")
	to("STANDARD")
	list("ACTIVATING", "ANY")
	b.push("app", m, "1.0")
	list("", "ACTIVE", "ANY")
}

// The images of an index that is not archived stay, and an archived image is
// deleted like others.
func TestArchivedIndexes(t *testing.T) {
	b := open(t)
	b.repository("app")
	child := b.image("app", "one")
	b.push("app", b.index(child), "all")
	in := obj{"repositoryName": "app", "imageId": obj{"imageDigest": sum(child)}, "targetStorageClass": "ARCHIVE"}
	b.refused("UpdateImageStorageClass", in, "ImageStorageClassUpdateNotSupportedException",
		"The storage class of the image with digest '"+sum(child)+
			"' in the repository with name 'app' in the registry with id '000000000000' cannot be updated: an index that is not archived names it")
	b.call("UpdateImageStorageClass", obj{"repositoryName": "app", "imageId": obj{"imageTag": "all"}, "targetStorageClass": "ARCHIVE"})
	b.call("UpdateImageStorageClass", in)
	gone := b.call("BatchDeleteImage", obj{"repositoryName": "app", "imageIds": arr{obj{"imageDigest": sum(child)}, obj{"imageTag": "all"}}})
	if failures := gone["failures"].(arr); len(failures) != 0 {
		t.Errorf("delete archived images: %v", failures)
	}
	b.same("left", b.call("ListImages", obj{"repositoryName": "app", "filter": obj{"imageStatus": "ANY"}}), obj{"imageIds": arr{}})
}

func TestDenialsAreNoted(t *testing.T) {
	b := open(t, func(s *setup) {
		s.registry.ReadEvents = true
		s.api.Authorizer = auth.AuthorizerFunc(new(asked).Authorize)
	})
	b.refused("PutImage", obj{"repositoryName": "app", "imageManifest": "{}"}, "AccessDeniedException",
		"User: arn:aws:iam::000000000000:root is not authorized to perform: ecr:PutImage on resource: "+appARN+
			" because no identity-based policy allows the ecr:PutImage action")
	b.must(b.registry.FlushPulls(t.Context()))
	list, err := b.registry.Events(t.Context(), 0, 10)
	b.must(err)
	if len(list) != 1 || list[0].Kind != registry.AccessDenied || list[0].Actor != "arn:aws:iam::000000000000:root" ||
		list[0].Repository.ID() != (registry.ID{Account: account, Region: region}) {
		t.Errorf("events %+v", list)
	}
}

func TestPullTimesAreShown(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.image("app", "one", "1.0")
	in := obj{"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1.0"}}}
	b.call("BatchGetImage", in)
	b.must(b.registry.FlushPulls(t.Context()))
	if got := b.call("DescribeImages", in)["imageDetails"].(arr)[0].(obj)["lastRecordedPullTime"]; got == nil {
		t.Error("no time of the pull")
	}
}

func TestPullTimeUpdateExclusions(t *testing.T) {
	b := open(t, func(s *setup) { s.registry.Limits = registry.Limits{PullTimeExclusions: 2} })
	const one, two = "arn:aws:iam::000000000000:user/one", "arn:aws:iam::000000000000:role/two"
	for _, principal := range []string{one, two} {
		if got := b.call("RegisterPullTimeUpdateExclusion", obj{"principalArn": principal}); got["principalArn"] != principal || got["createdAt"] == nil {
			t.Errorf("registered: %v", got)
		}
	}
	b.refused("RegisterPullTimeUpdateExclusion", obj{"principalArn": one}, "ExclusionAlreadyExistsException",
		"The pull time update exclusion for the principal '"+one+"' already exists in the registry with id '000000000000'")
	b.refused("RegisterPullTimeUpdateExclusion", obj{"principalArn": one + "x"}, "LimitExceededException",
		"The registry with id '000000000000' already has the maximum allowed number of pull time update exclusions which is '2'")
	for _, bad := range []string{"arn:aws:iam::000000000000:root", "arn:aws:s3:::bucket", "alice"} {
		for _, op := range []string{"RegisterPullTimeUpdateExclusion", "DeregisterPullTimeUpdateExclusion"} {
			b.invalid(op, obj{"principalArn": bad}, "principalArn",
				`Member must satisfy regular expression pattern: ^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$`)
		}
	}
	first := b.call("ListPullTimeUpdateExclusions", obj{"maxResults": 1})
	b.same("first page", first["pullTimeUpdateExclusions"], arr{two})
	b.same("second page", b.call("ListPullTimeUpdateExclusions", obj{"maxResults": 1, "nextToken": first["nextToken"]}), obj{"pullTimeUpdateExclusions": arr{one}})
	b.same("ended", b.call("DeregisterPullTimeUpdateExclusion", obj{"principalArn": one}), obj{"principalArn": one})
	b.refused("DeregisterPullTimeUpdateExclusion", obj{"principalArn": one}, "ExclusionNotFoundException",
		"The pull time update exclusion for the principal '"+one+"' does not exist in the registry with id '000000000000'")
}
