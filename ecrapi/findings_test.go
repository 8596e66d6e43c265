package ecrapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/scan"
)

// scanned takes all scans that wait, each of which finds the same.
func (b *bench) scanned(report scan.Report, failed error) {
	b.Helper()
	for {
		job, ok, _, err := b.registry.NextScan(b.Context(), time.Minute)
		b.must(err)
		if !ok {
			return
		}
		job.Platform.Architecture = "amd64"
		_, _, err = b.registry.FinishScan(b.Context(), job, report, failed)
		b.must(err)
	}
}

var (
	recordsOf = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	layerOf   = digest.FromBytes(digest.SHA256, []byte("one"))
)

// twoFindings are one with all that there is to tell, and one with next to nothing.
func twoFindings() scan.Report {
	pkg := scan.Package{Ecosystem: "Debian:12", Name: "openssl", Version: "3.0.11-1", Architecture: "amd64", Manager: "OS", System: true, Path: "var/lib/dpkg/status", Layer: layerOf}
	return scan.Report{
		Inventory: scan.Inventory{System: scan.System{ID: "debian", VersionID: "12"}, Packages: []scan.Package{pkg}},
		Database:  recordsOf,
		Findings: []scan.Finding{{
			ID: "DSA-1", Name: "CVE-2026-1", Title: "A title", Description: "What it is.", URI: "https://example.com/1", Severity: scan.High, VendorSeverity: "high",
			Scores: []scan.Score{
				{Version: "4.0", Vector: "CVSS:4.0/AV:N", Base: 9.25}, {Version: "3.1", Vector: "CVSS:3.1/AV:N", Base: 8},
				{Version: "3.0", Vector: "CVSS:3.0/AV:N", Base: 7}, {Version: "2.0", Vector: strings.Repeat("x", 300), Base: 10},
			},
			Package: pkg, FixedIn: "3.0.12-1", Related: []string{"GHSA-1"}, References: []string{"https://example.com/2"}, Source: "Debian",
			Published: recordsOf.Add(-time.Hour), Modified: recordsOf,
		}, {ID: "X-1", Name: "X-1", Severity: scan.Undefined, Package: scan.Package{Ecosystem: "npm", Name: strings.Repeat("ü", 300), Version: "1"}}},
	}
}

func attribute(key, value string) obj { return obj{"key": key, "value": value} }

func TestBasicFindings(t *testing.T) {
	b := open(t)
	b.repository("app")
	d := sum(b.image("app", "one", "1"))
	in := obj{"repositoryName": "app", "imageId": obj{"imageTag": "1"}}
	b.call("StartImageScan", in)
	of := func(status obj, rest obj) obj {
		return merge(obj{"registryId": account, "repositoryName": "app", "imageId": obj{"imageDigest": d, "imageTag": "1"}, "imageScanStatus": status}, rest)
	}
	b.same("while it waits", b.call("DescribeImageScanFindings", in), of(obj{"status": "IN_PROGRESS"}, nil))
	if details := b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr)[0].(obj); details["imageScanStatus"] != nil || details["imageScanFindingsSummary"] != nil {
		t.Errorf("the details of an image that was never scanned: %v", details)
	}
	b.scanned(twoFindings(), nil)
	got := b.call("DescribeImageScanFindings", in)
	findings := got["imageScanFindings"].(obj)
	if at, ok := findings["imageScanCompletedAt"].(float64); !ok || at < float64(time.Now().Add(-time.Hour).Unix()) {
		t.Errorf("the scan ended at %v", findings["imageScanCompletedAt"])
	}
	ended := findings["imageScanCompletedAt"]
	updated := float64(recordsOf.Unix())
	done := obj{"status": "COMPLETE", "description": "The scan was completed successfully."}
	b.same("findings", got, of(done, obj{"imageScanFindings": obj{
		"imageScanCompletedAt": ended, "vulnerabilitySourceUpdatedAt": updated,
		"findingSeverityCounts": obj{"HIGH": 1.0, "UNDEFINED": 1.0},
		"findings": arr{
			obj{"name": "CVE-2026-1", "description": "What it is.", "uri": "https://example.com/1", "severity": "HIGH", "attributes": arr{
				attribute("package_version", "3.0.11-1"), attribute("package_name", "openssl"),
				attribute("CVSS4_VECTOR", "CVSS:4.0/AV:N"), attribute("CVSS4_SCORE", "9.2"),
				attribute("CVSS3_VECTOR", "CVSS:3.1/AV:N"), attribute("CVSS3_SCORE", "8.0"), attribute("CVSS2_SCORE", "10.0"),
			}},
			obj{"name": "X-1", "severity": "UNDEFINED", "attributes": arr{
				attribute("package_version", "1"), attribute("package_name", strings.Repeat("ü", 256)),
			}},
		},
	}}))
	summary := obj{"imageScanCompletedAt": ended, "vulnerabilitySourceUpdatedAt": updated, "findingSeverityCounts": obj{"HIGH": 1.0, "UNDEFINED": 1.0}}
	for _, in := range []obj{{"repositoryName": "app"}, {"repositoryName": "app", "imageIds": arr{obj{"imageTag": "1"}}}} {
		details := b.call("DescribeImages", in)["imageDetails"].(arr)[0].(obj)
		b.same("status in details", details["imageScanStatus"], done)
		b.same("summary in details", details["imageScanFindingsSummary"], summary)
	}
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED"})
	if details := b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr)[0].(obj); details["imageScanStatus"] != nil {
		t.Errorf("beside enhanced scans the details have %v", details["imageScanStatus"])
	}
}

func TestEnhancedFindings(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.call("PutRegistryScanningConfiguration", obj{"scanType": "ENHANCED", "rules": arr{scanRule("CONTINUOUS_SCAN", "*")}})
	d := sum(b.image("app", "one", "1"))
	in := obj{"repositoryName": "app", "imageId": obj{"imageDigest": d}}
	b.same("while it waits", b.call("DescribeImageScanFindings", in)["imageScanStatus"], obj{"status": "PENDING"})
	b.scanned(twoFindings(), nil)
	got := b.call("DescribeImageScanFindings", in)
	b.same("status", got["imageScanStatus"], obj{"status": "ACTIVE", "description": "Continuous scan is selected for image."})
	findings := got["imageScanFindings"].(obj)
	if findings["findings"] != nil {
		t.Errorf("beside enhanced findings there are %v", findings["findings"])
	}
	pushed := b.call("DescribeImages", obj{"repositoryName": "app"})["imageDetails"].(arr)[0].(obj)["imagePushedAt"]
	first := findings["enhancedFindings"].(arr)[0].(obj)
	arn, _ := first["findingArn"].(string)
	if !strings.HasPrefix(arn, "arn:aws:inspector2:us-east-1:000000000000:finding/") {
		t.Errorf("the finding is %q", arn)
	}
	b.same("a finding", first, obj{
		"awsAccountId": account, "findingArn": arn, "type": "PACKAGE_VULNERABILITY", "status": "ACTIVE", "title": "A title", "description": "What it is.",
		"severity": "HIGH", "fixAvailable": "YES", "score": 9.25, "lastObservedAt": findings["imageScanCompletedAt"], "updatedAt": findings["imageScanCompletedAt"],
		"scoreDetails": obj{"cvss": obj{"score": 9.25, "scoreSource": "Debian", "scoringVector": "CVSS:4.0/AV:N", "version": "4.0"}},
		"remediation":  obj{"recommendation": obj{"text": "Update openssl to 3.0.12-1"}},
		"resources": arr{obj{
			"type": "AWS_ECR_CONTAINER_IMAGE", "id": "arn:aws:ecr:us-east-1:000000000000:repository/app/" + d,
			"details": obj{"awsEcrContainerImage": obj{
				"architecture": "amd64", "platform": "DEBIAN_12", "imageHash": d, "imageTags": arr{"1"}, "pushedAt": pushed, "registry": account, "repositoryName": "app",
			}},
		}},
		"packageVulnerabilityDetails": obj{
			"vulnerabilityId": "CVE-2026-1", "source": "Debian", "sourceUrl": "https://example.com/1", "vendorSeverity": "high",
			"referenceUrls": arr{"https://example.com/2"}, "relatedVulnerabilities": arr{"GHSA-1"},
			"vendorCreatedAt": float64(recordsOf.Add(-time.Hour).Unix()), "vendorUpdatedAt": float64(recordsOf.Unix()),
			"cvss": arr{
				obj{"baseScore": 9.25, "scoringVector": "CVSS:4.0/AV:N", "source": "Debian", "version": "4.0"},
				obj{"baseScore": 8.0, "scoringVector": "CVSS:3.1/AV:N", "source": "Debian", "version": "3.1"},
				obj{"baseScore": 7.0, "scoringVector": "CVSS:3.0/AV:N", "source": "Debian", "version": "3.0"},
				obj{"baseScore": 10.0, "scoringVector": strings.Repeat("x", 300), "source": "Debian", "version": "2.0"},
			},
			"vulnerablePackages": arr{obj{
				"name": "openssl", "version": "3.0.11-1", "arch": "amd64", "packageManager": "OS", "filePath": "var/lib/dpkg/status",
				"sourceLayerHash": layerOf.String(), "fixedInVersion": "3.0.12-1",
			}},
		},
	})
	second := findings["enhancedFindings"].(arr)[1].(obj)
	if second["fixAvailable"] != "NO" || second["score"] != nil || second["findingArn"] == arn {
		t.Errorf("a finding without anything: %v", second)
	}
}

// Pages of findings by the API: a hundred unless it is said, and a token that is good for
// one scan.
func TestFindingsPaged(t *testing.T) {
	b := open(t)
	b.repository("app")
	b.image("app", "one", "1")
	in := obj{"repositoryName": "app", "imageId": obj{"imageTag": "1"}}
	b.call("StartImageScan", in)
	var report scan.Report
	for i := range 250 {
		report.Findings = append(report.Findings, scan.Finding{ID: fmt.Sprint(i), Name: fmt.Sprintf("CVE-2026-%05d", i), Severity: scan.Low})
	}
	b.scanned(report, nil)
	for size, want := range map[int][]int{0: {100, 100, 50}, 120: {120, 120, 10}, 1000: {250}} {
		page := merge(in, obj{})
		if size > 0 {
			page["maxResults"] = size
		}
		n := 0
		for i := 0; ; i++ {
			got := b.call("DescribeImageScanFindings", page)
			list := got["imageScanFindings"].(obj)["findings"].(arr)
			if i >= len(want) || len(list) != want[i] {
				t.Fatalf("page %d by %d has %d findings, want %v", i, size, len(list), want)
			}
			for _, f := range list {
				if name := fmt.Sprintf("CVE-2026-%05d", n); f.(obj)["name"] != name {
					t.Fatalf("finding %d is %v", n, f)
				}
				n++
			}
			if got["nextToken"] == nil {
				break
			}
			page["nextToken"] = got["nextToken"]
		}
		if n != 250 {
			t.Errorf("%d findings by %d", n, size)
		}
	}
	token := b.call("DescribeImageScanFindings", in)["nextToken"]
	b.image("app", "two", "2")
	refused := func(in obj) {
		t.Helper()
		b.invalid("DescribeImageScanFindings", in, "NextToken", "Invalid next token provided")
	}
	b.call("StartImageScan", obj{"repositoryName": "app", "imageId": obj{"imageTag": "2"}})
	b.scanned(report, nil)
	refused(obj{"repositoryName": "app", "imageId": obj{"imageTag": "2"}, "nextToken": token})
	refused(merge(in, obj{"nextToken": "AAAA"}))
}
