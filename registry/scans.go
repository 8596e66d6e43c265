package registry

import (
	"context"
	"slices"

	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
)

// StartScan is to have an image scanned. There is no scanner yet, so it refuses
// each image that could be scanned with NotAvailable. Other refusals:
// RepositoryNotFound, ImageNotFound, TagMismatch; ScansDisabled beside enhanced
// scans, ImageNotScannable, ImageArchived.
func (s *Service) StartScan(ctx context.Context, name Name, ref Ref) error {
	return s.onImage(ctx, name, ref, func(r storage.Reader, repo repository, found stored) error {
		c, err := scanningOf(r, name.id)
		if err != nil {
			return err
		}
		img := found.row.public(name, found.digest)
		switch {
		case c.Type == scan.Enhanced:
			return refuse(ScansDisabled, "images of a registry with enhanced scans are not scanned by hand")
		case !img.scannable():
			e := refuse(ImageNotScannable, "%s of %q is not an image that runs", img.Digest, name)
			e.Name, e.Ref, e.Field = name, ref, img.artifactType()
			return e
		}
		if err := repo.checkActive(found); err != nil {
			return err
		}
		return notAvailable("Image scanning")
	})
}

// artifactType is what an image is, in one media type.
func (img Image) artifactType() string {
	if img.ArtifactType == "" {
		return img.MediaType
	}
	return img.ArtifactType
}

// scannable says whether an image has a file system that could be scanned, as
// neither a list nor an artifact has (ECR reference, operations.md section 8).
func (img Image) scannable() bool {
	switch img.MediaType {
	case manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest:
		return slices.Contains(imageConfigs, img.ArtifactType)
	}
	return false
}

// imageConfigs are the media types that the configs of images have which run.
var imageConfigs = []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}

// ScanFindings are what a scan found in an image. No image was ever scanned, so
// all it does is refuse: RepositoryNotFound, ImageNotFound, TagMismatch,
// ScanNotFound.
func (s *Service) ScanFindings(ctx context.Context, name Name, ref Ref) error {
	return s.onImage(ctx, name, ref, func(storage.Reader, repository, stored) error {
		e := refuse(ScanNotFound, "no image %q %s of %q was scanned", ref.Tag, ref.Digest, name)
		e.Name, e.Ref = name, ref
		return e
	})
}
