package ecrapi_test

import (
	"strings"
	"testing"

	"github.com/seed-78150930/berth/registry"
)

// scanRule is a scanning rule as requests write it.
func scanRule(frequency string, filters ...string) obj {
	list := arr{}
	for _, f := range filters {
		list = append(list, obj{"filter": f, "filterType": "WILDCARD"})
	}
	return obj{"scanFrequency": frequency, "repositoryFilters": list}
}

func TestScanningConfiguration(t *testing.T) {
	b := open(t)
	is := func(want obj) {
		t.Helper()
		b.same("the configuration", b.call("GetRegistryScanningConfiguration", obj{}),
			obj{"registryId": account, "scanningConfiguration": want})
	}
	is(obj{"scanType": "BASIC", "rules": arr{}})
	for _, set := range []obj{
		{"scanType": "ENHANCED", "rules": arr{scanRule("SCAN_ON_PUSH", "*"), scanRule("CONTINUOUS_SCAN", "prod", "a-*/b_c.d")}},
		{"scanType": "BASIC", "rules": arr{scanRule("SCAN_ON_PUSH", "prod*"), scanRule("MANUAL")}},
		{"scanType": "BASIC", "rules": arr{}},
	} {
		b.same("put", b.call("PutRegistryScanningConfiguration", set), obj{"registryScanningConfiguration": set})
		is(set)
	}
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED", "rules": arr{scanRule("SCAN_ON_PUSH", "*")}})
	b.same("put without members", b.call("PutRegistryScanningConfiguration", obj{}),
		obj{"registryScanningConfiguration": obj{"scanType": "BASIC", "rules": arr{}}})
	w := b.send(request{target: targetPrefix + "GetRegistryScanningConfiguration", region: "eu-west-1"})
	if !strings.Contains(w.Body.String(), `"scanType":"BASIC"`) {
		t.Errorf("another region: %s", w.Body)
	}
}

func TestScanningConfigurationRefused(t *testing.T) {
	b := open(t)
	kept := obj{"scanType": "BASIC", "rules": arr{scanRule("SCAN_ON_PUSH", "*")}}
	b.call("PutRegistryScanningConfiguration", kept)
	tests := []struct {
		in      obj
		message string
	}{
		{obj{"rules": arr{scanRule("SCAN_ON_PUSH", "a"), scanRule("SCAN_ON_PUSH", "b")}},
			"Invalid input. Contains duplicate scan frequencies: [SCAN_ON_PUSH]"},
		{obj{"scanType": "ENHANCED", "rules": arr{scanRule("CONTINUOUS_SCAN", "a"), scanRule("CONTINUOUS_SCAN", "a")}},
			"Invalid input. Contains duplicate scan frequencies: [CONTINUOUS_SCAN]"},
		{obj{"rules": arr{scanRule("CONTINUOUS_SCAN", "a")}},
			"Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType BASIC: CONTINUOUS_SCAN'"},
		{obj{"scanType": "ENHANCED", "rules": arr{scanRule("MANUAL", "a")}},
			"Invalid parameter failed to satisfy constraint: 'Invalid scan frequency for scanType ENHANCED: MANUAL'"},
	}
	for _, tt := range tests {
		b.refused("PutRegistryScanningConfiguration", tt.in, "InvalidParameterException", tt.message)
	}
	b.invalid("PutRegistryScanningConfiguration", obj{"scanType": "NONE"}, "scanType", "Member must satisfy enum value set: [BASIC, ENHANCED]")
	b.same("after refusals", b.call("GetRegistryScanningConfiguration", obj{})["scanningConfiguration"], kept)
}

func TestScanningOfRepositories(t *testing.T) {
	b := open(t)
	for _, name := range []string{"prod/app", "dev/app"} {
		b.repository(name)
	}
	b.call("CreateRepository", obj{"repositoryName": "flag/app", "imageScanningConfiguration": obj{"scanOnPush": true}})
	entry := func(name, frequency string, filters ...string) obj {
		return obj{
			"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/" + name, "repositoryName": name,
			"scanOnPush": frequency == "SCAN_ON_PUSH", "scanFrequency": frequency,
			"appliedScanFilters": scanRule("", filters...)["repositoryFilters"],
		}
	}
	is := func(want ...any) {
		t.Helper()
		b.same("repositories", b.call("BatchGetRepositoryScanningConfiguration",
			obj{"repositoryNames": arr{"prod/app", "dev/app", "prod/app", "flag/app", "absent"}}), obj{
			"scanningConfigurations": want,
			"failures":               arr{obj{"repositoryName": "absent", "failureCode": "REPOSITORY_NOT_FOUND", "failureReason": "REPOSITORY_NOT_FOUND"}},
		})
	}
	is(entry("prod/app", "MANUAL"), entry("dev/app", "MANUAL"), entry("flag/app", "SCAN_ON_PUSH"))
	b.call("PutRegistryScanningConfiguration", obj{"rules": arr{scanRule("MANUAL", "flag"), scanRule("SCAN_ON_PUSH", "prod", "none", "*app")}})
	is(entry("prod/app", "SCAN_ON_PUSH", "prod", "*app"), entry("dev/app", "SCAN_ON_PUSH", "*app"), entry("flag/app", "SCAN_ON_PUSH", "*app"))
	b.call("PutRegistryScanningConfiguration", obj{"rules": arr{scanRule("MANUAL", "flag"), scanRule("SCAN_ON_PUSH", "prod")}})
	is(entry("prod/app", "SCAN_ON_PUSH", "prod"), entry("dev/app", "MANUAL"), entry("flag/app", "MANUAL", "flag"))
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED", "rules": arr{scanRule("SCAN_ON_PUSH", "app"), scanRule("CONTINUOUS_SCAN", "prod*")}})
	is(entry("prod/app", "CONTINUOUS_SCAN", "prod*"), entry("dev/app", "SCAN_ON_PUSH", "app"), entry("flag/app", "SCAN_ON_PUSH", "app"))
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED", "rules": arr{}})
	is(entry("prod/app", "MANUAL"), entry("dev/app", "MANUAL"), entry("flag/app", "MANUAL"))
}

const noDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// noImages are identifiers of no image of a repository app, with what is said
// of them.
var noImages = []struct {
	id      obj
	as      string
	message string
}{
	{obj{}, "InvalidParameterException", "Invalid parameter at 'imageId' failed to satisfy constraint: 'Invalid request parameters: both tag and digest cannot be null'"},
	{obj{"imageDigest": "x"}, "InvalidParameterException",
		"Invalid parameter at 'imageId' failed to satisfy constraint: 'Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"},
	{obj{"imageDigest": "md5:00"}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'md5:00', imageTag:'null'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
	{obj{"imageDigest": noDigest}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'" + noDigest + "', imageTag:'null'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
	{obj{"imageTag": "none"}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
	{obj{"imageTag": "1", "imageDigest": noDigest}, "ImageNotFoundException",
		"The image with imageId {imageDigest:'" + noDigest + "', imageTag:'1'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
}

// wantsAnImage holds what an operation on one image says where there is none;
// the repository app has one with the tag 1.
func (b *bench) wantsAnImage(op string) {
	b.Helper()
	for _, tt := range noImages {
		b.refused(op, obj{"repositoryName": "app", "imageId": tt.id}, tt.as, tt.message)
	}
	for _, id := range []obj{{"imageTag": "1"}, {"imageDigest": "md5:00"}} {
		b.refused(op, obj{"repositoryName": "absent", "imageId": id}, "RepositoryNotFoundException",
			"The repository with name 'absent' does not exist in the registry with id '000000000000'")
	}
}

func TestStartImageScan(t *testing.T) {
	b := open(t)
	b.repository("app")
	image := b.image("app", "one", "1")
	b.push("app", b.index(image), "index")
	b.push("app", b.manifest("{}", "one", obj{"artifactType": "application/vnd.example.chart"}), "artifact")
	b.wantsAnImage("StartImageScan")
	start := func(tag string) obj { return obj{"repositoryName": "app", "imageId": obj{"imageTag": tag}} }
	for tag, kind := range map[string]string{"index": ociIndex, "artifact": "application/vnd.example.chart"} {
		b.refused("StartImageScan", start(tag), "UnsupportedImageTypeException",
			"An artifact with media type '"+kind+"' cannot be scanned. For more information, see the Amazon ECR documentation.")
	}
	b.same("a scan that began", b.call("StartImageScan", start("1")), obj{
		"registryId": account, "repositoryName": "app", "imageId": obj{"imageDigest": sum(image), "imageTag": "1"},
		"imageScanStatus": obj{"status": "IN_PROGRESS"},
	})
	b.refused("StartImageScan", obj{"repositoryName": "app", "imageId": obj{"imageDigest": sum(image)}}, "LimitExceededException",
		"The scan quota per image has been exceeded. Wait and try again.")
	archived := b.image("app", "two", "archived")
	b.call("UpdateImageStorageClass", merge(start("archived"), obj{"targetStorageClass": "ARCHIVE"}))
	b.refused("StartImageScan", start("archived"), "ImageArchivedException",
		"The image with imageId {imageDigest:'"+sum(archived)+"', imageTag:'null'} in the repository with name 'app' in the registry with id '000000000000' is archived")
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED"})
	for _, tag := range []string{"1", "index"} {
		b.refused("StartImageScan", start(tag), "ValidationException", "This feature is disabled")
	}
	b.wantsAnImage("StartImageScan")
}

func TestImagesHaveNoScanFindings(t *testing.T) {
	b := open(t)
	b.repository("app")
	d := sum(b.image("app", "one", "1"))
	b.wantsAnImage("DescribeImageScanFindings")
	for id, shown := range map[*obj]string{
		{"imageTag": "1"}:                   "{imageDigest:'null', imageTag:'1'}",
		{"imageDigest": d}:                  "{imageDigest:'" + d + "', imageTag:'null'}",
		{"imageDigest": d, "imageTag": "1"}: "{imageDigest:'" + d + "', imageTag:'1'}",
	} {
		b.refused("DescribeImageScanFindings", obj{"repositoryName": "app", "imageId": *id, "maxResults": 10}, "ScanNotFoundException",
			"Image scan does not exist for the image with '"+shown+"' in the repository with name 'app' in the registry with id '000000000000'")
	}
	b.invalid("DescribeImageScanFindings", obj{"repositoryName": "app", "imageId": obj{"imageTag": "1"}, "nextToken": "x"},
		"NextToken", "Invalid next token provided")
}

func TestFrequencyChangesAreTold(t *testing.T) {
	b := open(t)
	b.repository("prod/app")
	b.call("PutRegistryScanningConfiguration", obj{"rules": arr{scanRule("SCAN_ON_PUSH", "prod")}})
	events, err := b.registry.Events(t.Context(), 0, 10)
	b.must(err)
	last := events[len(events)-1]
	if last.Kind != registry.ScanningChanged || !strings.HasSuffix(last.Actor, ":root") {
		t.Errorf("the last event is %+v", last)
	}
	b.same("its detail", b.decode(last.Detail), obj{"Type": "BASIC",
		"Repositories": arr{obj{"Repository": "prod/app", "Frequency": "SCAN_ON_PUSH", "Previous": "MANUAL"}}})
}
