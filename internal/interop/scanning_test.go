package interop_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/seed-78150930/berth/internal/interop/harness"
)

// osvFolder is a folder of vulnerabilities as OSV's bucket has them, of the records that
// the scanner's own tests have.
func osvFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	lists, err := filepath.Glob("../../registry/scan/scantest/records/*.json")
	if err != nil || len(lists) == 0 {
		t.Fatalf("records of vulnerabilities: %v, %v", lists, err)
	}
	for _, list := range lists {
		var records []json.RawMessage
		decode(t, string(readFile(t, list)), &records)
		var packed bytes.Buffer
		w := zip.NewWriter(&packed)
		for i, r := range records {
			f, err := w.Create(fmt.Sprintf("%d.json", i))
			if err == nil {
				_, err = f.Write(r)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		ecosystem := filepath.Join(folder, strings.TrimSuffix(filepath.Base(list), ".json"))
		if err := os.Mkdir(ecosystem, 0o755); err != nil {
			t.Fatal(err)
		}
		makeFile(t, filepath.Join(ecosystem, "all.zip"), packed.String())
	}
	return folder
}

// dpkg is an entry of Debian's list of packages.
func dpkg(name, source, version string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s\nVersion: %s\n\n", name, source, version)
}

// bookworm is an image of Debian 12: its openssl has a vulnerability that is fixed since,
// its tar one that nobody fixes, its zlib none any more. Upon it is a program in
// JavaScript with an old lodash.
func bookworm(t *testing.T, mediaType string) harness.Image {
	return harness.ImageOf(t, mediaType,
		harness.Tar(t, map[string]string{
			"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
			"var/lib/dpkg/status": dpkg("libssl3", "openssl", "3.0.8-1") + dpkg("openssl", "openssl", "3.0.8-1") +
				dpkg("tar", "tar", "1.34+dfsg-1.2") + dpkg("zlib1g", "zlib (1:1.2.13.dfsg-1)", "1:1.2.13.dfsg-1+b1"),
		}),
		harness.Tar(t, map[string]string{
			"app/node_modules/lodash/package.json": `{"name": "lodash", "version": "4.17.20", "license": "MIT"}`,
		}))
}

// alpine is an image of Alpine 3.18 with a busybox of which nothing is fixed.
func alpine(t *testing.T, mediaType string) harness.Image {
	return harness.ImageOf(t, mediaType, harness.Tar(t, map[string]string{
		"etc/os-release":       "ID=alpine\nVERSION_ID=3.18.4\nPRETTY_NAME=\"Alpine Linux v3.18\"\n",
		"lib/apk/db/installed": "P:busybox\nV:1.36.1-r5\nA:x86_64\no:busybox\n\nP:musl\nV:1.2.4-r2\nA:x86_64\no:musl\n\n",
	}))
}

// Basic scans of images that came by each door, as Amazon's guide goes about them.
func TestAWSCLIScans(t *testing.T) {
	s := harness.Start(t, "--scanning-database-directory", osvFolder(t))
	sh := s.Shell(t)
	awsECR(sh, "create-repository", "--repository-name", "team/app", "--image-scanning-configuration", "scanOnPush=true")
	awsECR(sh, "create-repository", "--repository-name", "team/asked")
	sh.UseDocker()
	logIn(t, s, sh, "docker", "login")
	ref := s.Host + "/team/app:1.0"
	sh.RunInput(bookworm(t, harness.DockerManifest).Archive(t, ref), "docker", "load")
	sh.Run("docker", "push", ref)
	putImage(t, s.ECR(t), "team/asked", "1.0", bookworm(t, v1.MediaTypeImageManifest))

	id := func(repo string) []string { return []string{"--repository-name", repo, "--image-id", "imageTag=1.0"} }
	if said := sh.Refused("bash", awsInShell(append([]string{"describe-image-scan-findings"}, id("team/asked")...)...)...); !strings.Contains(said, "ScanNotFoundException") {
		t.Errorf("describe-image-scan-findings of an image that was never scanned said\n%s", said)
	}
	if got := awsECR(sh, append([]string{"start-image-scan", "--query", "imageScanStatus.status"}, id("team/asked")...)...); !strings.Contains(got, "IN_PROGRESS") {
		t.Errorf("start-image-scan printed %s", got)
	}
	for _, repo := range []string{"team/app", "team/asked"} {
		awsECR(sh, append([]string{"wait", "image-scan-complete"}, id(repo)...)...)
		got := awsECR(sh, append([]string{"describe-image-scan-findings", "--output", "text", "--query",
			"[imageScanStatus.status, imageScanFindings.findings[].[severity, name, attributes[?key=='package_name'].value | [0], attributes[?key=='package_version'].value | [0]]]"}, id(repo)...)...)
		const want = "COMPLETE HIGH CVE-2023-0464 openssl 3.0.8-1 INFORMATIONAL CVE-2005-2541 tar 1.34+dfsg-1.2"
		if text := strings.Join(strings.Fields(got), " "); text != want {
			t.Errorf("findings of %s: %q, want %q", repo, text, want)
		}
		got = awsECR(sh, "describe-images", "--repository-name", repo, "--query",
			"imageDetails[].[imageScanStatus.status, imageScanFindingsSummary.findingSeverityCounts]", "--output", "json")
		if text := strings.Join(strings.Fields(got), ""); text != `[["COMPLETE",{"HIGH":1,"INFORMATIONAL":1}]]` {
			t.Errorf("describe-images of %s: %s", repo, text)
		}
		if said := sh.Refused("bash", awsInShell(append([]string{"start-image-scan"}, id(repo)...)...)...); !strings.Contains(said, "LimitExceededException") {
			t.Errorf("a second scan within the day is refused with\n%s", said)
		}
	}
}

// Enhanced scans find what is not the distribution's too, and each platform of an index
// has its own findings.
func TestAWSCLIEnhancedScans(t *testing.T) {
	s := harness.Start(t, "--scanning-database-directory", osvFolder(t))
	sh := s.Shell(t)
	const rules = `[{"scanFrequency":"CONTINUOUS_SCAN","repositoryFilters":[{"filter":"*","filterType":"WILDCARD"}]}]`
	awsECR(sh, "put-registry-scanning-configuration", "--scan-type", "ENHANCED", "--rules", rules)
	awsECR(sh, "create-repository", "--repository-name", "team/app")
	images := []harness.Image{bookworm(t, v1.MediaTypeImageManifest), alpine(t, v1.MediaTypeImageManifest)}
	door := s.OCI(t)
	for _, image := range images {
		if err := door.PushImage(t.Context(), "team/app", image.Digest().String(), image); err != nil {
			t.Fatal(err)
		}
	}
	index := harness.NewIndex(t, images...)
	if err := door.PushManifest(t.Context(), "team/app", "1.0", v1.MediaTypeImageIndex, index); err != nil {
		t.Fatal(err)
	}
	const query = "imageScanFindings.enhancedFindings[].[severity, title, packageVulnerabilityDetails.vulnerabilityId, packageVulnerabilityDetails.vulnerablePackages[0].[name, version, packageManager, fixedInVersion]][]"
	for i, want := range [][]string{
		{"CVE-2023-0464", "openssl", "3.0.9-1", "CVE-2005-2541", "CVE-2021-23337", "lodash", "4.17.20", "4.17.21"},
		{"CVE-2023-42366", "busybox"},
	} {
		id := []string{"--repository-name", "team/app", "--image-id", "imageDigest=" + images[i].Digest().String()}
		awaitScan(t, sh, "ACTIVE", id...)
		got := awsECR(sh, append([]string{"describe-image-scan-findings", "--output", "text", "--query", query}, id...)...)
		for _, word := range want {
			if !strings.Contains(got, word) {
				t.Errorf("findings of platform %d:\n%s\nwant %s in it", i, got, word)
			}
		}
	}
	if said := sh.Refused("bash", awsInShell("describe-image-scan-findings", "--repository-name", "team/app", "--image-id", "imageTag=1.0")...); !strings.Contains(said, "ScanNotFoundException") {
		t.Errorf("describe-image-scan-findings of an index said\n%s", said)
	}
	if said := sh.Refused("bash", awsInShell("start-image-scan", "--repository-name", "team/app", "--image-id", "imageDigest="+images[0].Digest().String())...); !strings.Contains(said, "This feature is disabled") {
		t.Errorf("start-image-scan beside enhanced scans said\n%s", said)
	}
	// The basic results are others, and there are none.
	awsECR(sh, "put-registry-scanning-configuration", "--scan-type", "BASIC")
	if said := sh.Refused("bash", awsInShell("describe-image-scan-findings", "--repository-name", "team/app", "--image-id", "imageDigest="+images[0].Digest().String())...); !strings.Contains(said, "ScanNotFoundException") {
		t.Errorf("describe-image-scan-findings after a change of the type said\n%s", said)
	}
}

// Without a database no image is clean.
func TestAWSCLIScanWithoutDatabase(t *testing.T) {
	s := harness.Start(t)
	sh := s.Shell(t)
	awsECR(sh, "create-repository", "--repository-name", "team/app", "--image-scanning-configuration", "scanOnPush=true")
	if err := s.OCI(t).PushImage(t.Context(), "team/app", "1.0", alpine(t, v1.MediaTypeImageManifest)); err != nil {
		t.Fatal(err)
	}
	id := []string{"--repository-name", "team/app", "--image-id", "imageTag=1.0"}
	if said := sh.Refused("bash", awsInShell(append([]string{"wait", "image-scan-complete"}, id...)...)...); !strings.Contains(said, "failure") {
		t.Errorf("aws ecr wait image-scan-complete said\n%s", said)
	}
	got := awsECR(sh, append([]string{"describe-image-scan-findings", "--no-paginate"}, id...)...) // or the CLI itself adds what is absent
	if !strings.Contains(got, `"FAILED"`) || !strings.Contains(got, "database") || strings.Contains(got, "imageScanFindings\"") {
		t.Errorf("describe-image-scan-findings printed\n%s", got)
	}
}

// awaitScan waits until the scan of an image has a status, as the CLI's own waiter does for
// COMPLETE alone.
func awaitScan(t *testing.T, sh *harness.Shell, status string, id ...string) {
	t.Helper()
	args := append([]string{"describe-image-scan-findings", "--query", "imageScanStatus.[status, description]", "--output", "text"}, id...)
	for end := time.Now().Add(time.Minute); ; {
		got := awsECR(sh, args...)
		if strings.HasPrefix(strings.TrimSpace(got), status) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the scan is not %s but %s", status, got)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
