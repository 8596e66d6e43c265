package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-78150930/berth/registry/manifest"
	"github.com/seed-78150930/berth/registry/scan"
	"github.com/seed-78150930/berth/storage"
)

// scanRest is how long after a basic scan of an image the next one may be asked for (ECR
// reference, operations.md section 8).
const scanRest = 24 * time.Hour

// StartScan has an image scanned, and returns its digest and how the scan stands. A scan
// within 24 hours of another one is refused, also where that was of a push, unless the
// image was not to blame for its coming to nothing. Refusals: RepositoryNotFound,
// ImageNotFound, TagMismatch, ScanLimit; ScansDisabled beside enhanced scans,
// ImageNotScannable, ImageArchived.
func (s *Service) StartScan(ctx context.Context, name Name, ref Ref) (standing ScanStanding, err error) {
	err = s.update(ctx, func(tx storage.Tx) error {
		repo, err := find(tx, name)
		if err != nil {
			return err
		}
		found, err := repo.image(tx, ref)
		if err != nil {
			return err
		}
		if err := repo.mayScan(tx, found, ref); err != nil {
			return err
		}
		key := repo.scanKey(found.digest, scan.Basic)
		row, err := scans.Get(tx, key...)
		if ignoreNotFound(err) != nil {
			return err
		}
		if s.scanRests(row) {
			e := refuse(ScanLimit, "image %s of %q is scanned once a day", found.digest, name)
			e.Name, e.Ref = name, Ref{Digest: found.digest}
			return e
		}
		standing = ScanStanding{Digest: found.digest, Type: scan.Basic, Status: scan.Basic.Waiting()}
		row.Repository, row.UsedAt = name.path, s.now().UTC()
		setDefault(&row.Since, found.row.PushedAt)
		return s.queueScan(tx, key, row, scanWaitingRow{Class: scanAsked})
	})
	return standing, s.noteManifest(ctx, err)
}

// mayScan refuses what is not scanned when somebody asks.
func (r repository) mayScan(rd storage.Reader, found stored, ref Ref) error {
	c, err := scanningOf(rd, r.name.id)
	if err != nil {
		return err
	}
	if c.Type == scan.Enhanced {
		return refuse(ScansDisabled, "images of a registry with enhanced scans are not scanned by hand")
	}
	foreign, err := r.unscannable(rd, found)
	if err != nil {
		return err
	}
	if foreign != "" {
		e := refuse(ImageNotScannable, "%s of %q is not an image that can be scanned", found.digest, r.name)
		e.Name, e.Ref, e.Field = r.name, ref, foreign
		return e
	}
	return r.checkActive(found)
}

// scanRests says whether an image has had its basic scan of the day.
func (s *Service) scanRests(row scanRow) bool {
	return row.Waiting != nil || !row.UsedAt.IsZero() && s.now().Before(row.UsedAt.Add(scanRest))
}

// artifactType is what an image is, in one media type.
func (img Image) artifactType() string {
	if img.ArtifactType == "" {
		return img.MediaType
	}
	return img.ArtifactType
}

// scannable says whether an image may have a file system that could be scanned, as
// neither a list nor an artifact has (ECR reference, operations.md section 8). Its layers
// say the rest.
func (img Image) scannable() bool {
	switch img.MediaType {
	case manifest.MediaTypeOCIManifest, manifest.MediaTypeDockerManifest:
		return slices.Contains(imageConfigs, img.ArtifactType)
	}
	return false
}

// imageConfigs are the media types that the configs of images have which run.
var imageConfigs = []string{"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}

// unscannable is the media type for which an image cannot be scanned, "" if it can.
func (r repository) unscannable(rd storage.Reader, found stored) (string, error) {
	img := found.row.public(r.name, found.digest)
	if !img.scannable() {
		return img.artifactType(), nil
	}
	m, err := r.parsed(rd, found)
	return foreignLayer(m), err
}

// isFileSystem says whether an image can be scanned, as far as its manifest can be read:
// what looks for damage tells of one that cannot.
func (r repository) isFileSystem(rd storage.Reader, found stored) (bool, error) {
	foreign, err := r.unscannable(rd, found)
	if errors.As(err, new(*manifestDamaged)) {
		return false, nil
	}
	return foreign == "", err
}

// foreignLayer is the media type of a layer that is no part of a file system, or an
// encrypted one; "" if there is none. Signatures, attestations and SBOMs have the config
// of an image and such layers.
func foreignLayer(m manifest.Manifest) string {
	for _, l := range m.Layers {
		if !isFileSystem(l.MediaType) {
			return l.MediaType
		}
	}
	return ""
}

// fileSystems are the media types of layers, packed or not (image-spec, layer.md; Docker
// Image Manifest V 2, Schema 2).
var fileSystems = []string{
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.foreign.diff.tar",
}

func isFileSystem(mediaType string) bool {
	for _, of := range fileSystems {
		if rest, ok := strings.CutPrefix(mediaType, of); ok && slices.Contains(packings, rest) {
			return true
		}
	}
	return false
}

// packings are what comes behind the media type of a layer that is packed.
var packings = []string{"", "+gzip", "+zstd", ".gzip", ".zstd"}

// scanStatus is how an image's scans of a registry's type stand, "" where none was ever
// wanted.
func (s *Service) scanStatus(rd storage.Reader, repo repository, found stored, c scan.Settings, row scanRow) (status scan.Status, text string, err error) {
	if c.Type == scan.Enhanced {
		if repo.scanned(c).Frequency == scan.ByHand {
			return "", "", nil
		}
		ok, err := repo.isFileSystem(rd, found)
		if err != nil || !ok {
			return "", "", err
		}
		status, text = s.enhancedStatus(found, row)
		return status, text, nil
	}
	switch {
	case found.row.status() != Active:
		return "", "", nil
	case row.Waiting != nil:
		return scan.Basic.Waiting(), "", nil
	}
	return row.Status, row.Text, nil
}

// enhancedStatus is that of an image that a rule of enhanced scans takes.
func (s *Service) enhancedStatus(found stored, row scanRow) (scan.Status, string) {
	switch inWindow := s.inScanWindow(row, found.row); {
	case found.row.status() != Active:
		return scan.Archived, "The image is archived."
	case row.Waiting != nil && !(row.Waiting.Rematch && row.Answer != nil):
		return scan.Enhanced.Waiting(), ""
	case !inWindow:
		return scan.EligibilityExpired, "The image was pushed longer ago than images are scanned again for."
	case row.Status == "": // a look for images that were there before is under way
		return scan.Enhanced.Waiting(), ""
	}
	return row.Status, row.Text
}

// inScanWindow says whether an image came so short a time ago that it is scanned again.
func (s *Service) inScanWindow(row scanRow, img imageRow) bool {
	window := s.live.Load().RescanWindow
	since := img.PushedAt
	for _, at := range []time.Time{img.ActivatedAt, row.Since} {
		if at.After(since) {
			since = at
		}
	}
	return window == 0 || s.now().Before(since.Add(window))
}

// scanArrived has an image scanned that was pushed, or came back from the archive or the
// trash, if the settings say so and it is not known already.
func (s *Service) scanArrived(tx storage.Tx, repo repository, found stored) error {
	if img := found.row.public(repo.name, found.digest); !img.scannable() || found.row.status() != Active {
		return nil
	}
	c, err := scanningOf(tx, repo.name.id)
	if err != nil || repo.scanned(c).Frequency == scan.ByHand {
		return err
	}
	key := repo.scanKey(found.digest, c.Type)
	row, err := scans.Get(tx, key...)
	if ignoreNotFound(err) != nil {
		return err
	}
	known := row.Status != "" && c.Type == scan.Enhanced
	if known || s.scanRests(row) {
		return nil
	}
	if ok, err := repo.isFileSystem(tx, found); err != nil || !ok {
		return err
	}
	now := s.now().UTC()
	row.Repository, row.Since = repo.name.path, now
	if c.Type == scan.Basic {
		row.UsedAt = now
	}
	return s.queueScan(tx, key, row, scanWaitingRow{Class: scanAsked})
}
