package ecrapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/registry/endpoint"
	"github.com/seed-78150930/berth/registry/scan"
)

// scanFindings are the findings of a scan, in the form that the type of the registry has.
func scanFindings(standing registry.ScanStanding) *shape.ImageScanFindings {
	a := standing.Answer
	out := &shape.ImageScanFindings{
		ImageScanCompletedAt: shape.At(a.EndedAt), VulnerabilitySourceUpdatedAt: shape.At(a.Database), FindingSeverityCounts: severityCounts(a.Counts),
	}
	if standing.Type == scan.Enhanced {
		of := enhancedResource(a)
		out.EnhancedFindings = []shape.EnhancedImageScanFinding{}
		for _, f := range a.Findings {
			out.EnhancedFindings = append(out.EnhancedFindings, enhancedFinding(a, of, f))
		}
		return out
	}
	out.Findings = []shape.ImageScanFinding{}
	for _, f := range a.Findings {
		out.Findings = append(out.Findings, basicFinding(f))
	}
	return out
}

// severityCounts has those severities alone that were found, and is never nil.
func severityCounts(counts map[scan.Severity]int) map[string]int64 {
	out := map[string]int64{}
	for severity, n := range counts {
		out[string(severity)] = int64(n)
	}
	return out
}

// maxAttribute bounds the keys and values of attributes (model: AttributeKey,
// AttributeValue).
const maxAttribute = 256

func basicFinding(f scan.Finding) shape.ImageScanFinding {
	out := shape.ImageScanFinding{
		Name: f.Name, Description: f.Description, URI: f.URI, Severity: shape.FindingSeverity(f.Severity),
		Attributes: []shape.Attribute{
			{Key: "package_version", Value: cut(f.Package.Version, maxAttribute)},
			{Key: "package_name", Value: cut(f.Package.Name, maxAttribute)},
		},
	}
	told := map[string]bool{}
	for _, score := range f.Scores { // the newest version goes first, and each major one is told once
		major, _, _ := strings.Cut(score.Version, ".")
		if told[major] {
			continue
		}
		told[major] = true
		if len(score.Vector) <= maxAttribute { // a part of a vector says something else
			out.Attributes = append(out.Attributes, shape.Attribute{Key: "CVSS" + major + "_VECTOR", Value: score.Vector})
		}
		out.Attributes = append(out.Attributes, shape.Attribute{Key: "CVSS" + major + "_SCORE", Value: strconv.FormatFloat(score.Base, 'f', 1, 64)})
	}
	return out
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most])
}

// enhancedResource is the image that the findings of a scan are of.
func enhancedResource(a *registry.ScanAnswer) shape.Resource {
	img := a.Image
	of := &shape.AwsEcrContainerImageDetails{
		Architecture: a.Architecture, Platform: platformName(a.System), ImageHash: img.Digest.String(), PushedAt: shape.At(img.PushedAt),
		Registry: img.Name.ID().Account, RepositoryName: img.Name.String(),
	}
	for _, tag := range img.Tags {
		of.ImageTags = append(of.ImageTags, tag.String())
	}
	return shape.Resource{
		Type: "AWS_ECR_CONTAINER_IMAGE", ID: img.Name.ARN() + "/" + img.Digest.String(), Details: &shape.ResourceDetails{AwsEcrContainerImage: of},
	}
}

// platformName is how Amazon Inspector calls a distribution's release, such as
// "UBUNTU_20_04" (ECR API reference, DescribeImageScanFindings, examples).
func platformName(of scan.System) string {
	name := of.ID
	if of.VersionID != "" {
		name += "_" + of.VersionID
	}
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(name))
}

func enhancedFinding(a *registry.ScanAnswer, of shape.Resource, f scan.Finding) shape.EnhancedImageScanFinding {
	id := a.Image.Name.ID()
	out := shape.EnhancedImageScanFinding{
		AwsAccountID: id.Account, FindingARN: findingARN(a.Image, f), Type: "PACKAGE_VULNERABILITY", Status: "ACTIVE",
		Title: title(f), Description: f.Description, Severity: string(f.Severity), FixAvailable: "NO",
		LastObservedAt: shape.At(a.EndedAt), UpdatedAt: shape.At(a.EndedAt),
		PackageVulnerabilityDetails: vulnerability(f), Resources: []shape.Resource{of},
		Remediation: &shape.Remediation{Recommendation: &shape.Recommendation{Text: "None Provided"}},
	}
	if f.FixedIn != "" {
		out.FixAvailable = "YES"
		out.Remediation.Recommendation.Text = "Update " + f.Package.Name + " to " + f.FixedIn
	}
	if len(f.Scores) > 0 {
		best := f.Scores[0]
		out.Score = &best.Base
		out.ScoreDetails = &shape.ScoreDetails{Cvss: &shape.CvssScoreDetails{
			Score: &best.Base, ScoreSource: f.Source, ScoringVector: best.Vector, Version: best.Version,
		}}
	}
	return out
}

func title(f scan.Finding) string {
	if f.Title != "" {
		return f.Title
	}
	return f.Name + " - " + f.Package.Name
}

// findingARN is the same for the same finding of an image whenever it is scanned.
func findingARN(img registry.Image, f scan.Finding) string {
	id, p := img.Name.ID(), f.Package
	sum := sha256.Sum256([]byte(strings.Join([]string{img.Name.ARN(), img.Digest.String(), f.ID, p.Ecosystem, p.Name, p.Version, p.Path}, "\x00")))
	return "arn:" + endpoint.Partition(id.Region) + ":inspector2:" + id.Region + ":" + id.Account + ":finding/" + hex.EncodeToString(sum[:16])
}

func vulnerability(f scan.Finding) *shape.PackageVulnerabilityDetails {
	out := &shape.PackageVulnerabilityDetails{
		VulnerabilityID: f.Name, Source: f.Source, SourceURL: f.URI, VendorSeverity: f.VendorSeverity,
		ReferenceUrls: f.References, RelatedVulnerabilities: f.Related,
		VendorCreatedAt: shape.At(f.Published), VendorUpdatedAt: shape.At(f.Modified),
		VulnerablePackages: []shape.VulnerablePackage{{
			Name: f.Package.Name, Version: f.Package.Version, Arch: f.Package.Architecture, PackageManager: f.Package.Manager,
			FilePath: f.Package.Path, FixedInVersion: f.FixedIn,
		}},
	}
	if !f.Package.Layer.IsZero() {
		out.VulnerablePackages[0].SourceLayerHash = f.Package.Layer.String()
	}
	for _, score := range f.Scores {
		out.Cvss = append(out.Cvss, shape.CvssScore{BaseScore: &score.Base, ScoringVector: score.Vector, Source: f.Source, Version: score.Version})
	}
	return out
}

// addScans adds to the details of images what their last finished basic scan found.
func (a *API) addScans(ctx context.Context, c *call, details []shape.ImageDetail, page []registry.Image) error {
	var list []digest.Digest
	for _, img := range page {
		list = append(list, img.Digest)
	}
	all, err := a.registry.ScanSummaries(ctx, c.repo, list)
	if err != nil {
		return err
	}
	for i, img := range page {
		s, ok := all[img.Digest]
		if !ok {
			continue
		}
		details[i].ImageScanStatus = &shape.ImageScanStatus{Status: shape.ScanStatus(s.Status), Description: s.Text}
		details[i].ImageScanFindingsSummary = &shape.ImageScanFindingsSummary{
			ImageScanCompletedAt: shape.At(s.EndedAt), VulnerabilitySourceUpdatedAt: shape.At(s.Database), FindingSeverityCounts: severityCounts(s.Counts),
		}
	}
	return nil
}
