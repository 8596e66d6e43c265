package ecrapi

import (
	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/ecrapi/wording"
	"github.com/seed-78150930/berth/registry"
)

// exceptions say as what each refusal of the domain is told. A store that takes no writes is a
// ServerException: every operation models that, the caller has done nothing
// wrong, and clients may well try again later.
var exceptions = map[registry.Code]shape.Exception{
	registry.RegistryInvalid:     shape.InvalidParameterException,
	registry.NameInvalid:         shape.InvalidParameterException,
	registry.TagInvalid:          shape.InvalidParameterException,
	registry.DigestInvalid:       shape.InvalidParameterException,
	registry.PageInvalid:         shape.InvalidParameterException,
	registry.SettingInvalid:      shape.InvalidParameterException,
	registry.RepositoryNotFound:  shape.RepositoryNotFoundException,
	registry.RepositoryExists:    shape.RepositoryAlreadyExistsException,
	registry.RepositoryNotEmpty:  shape.RepositoryNotEmptyException,
	registry.ResourceTagInvalid:  shape.InvalidTagParameterException,
	registry.TooManyResourceTags: shape.TooManyTagsException,
	registry.StoreFull:           shape.ServerException,
	registry.StoreReadOnly:       shape.ServerException,
	registry.StoreFailed:         shape.ServerException,
	registry.TooManyRepositories: shape.LimitExceededException,
	registry.TooManyLayers:       shape.InvalidParameterException,
	registry.UploadPartTooLarge:  shape.InvalidParameterException,
	registry.TemplateNotFound:    shape.TemplateNotFoundException,
	registry.TemplateExists:      shape.TemplateAlreadyExistsException,
	registry.TooManyTemplates:    shape.LimitExceededException,

	registry.PolicyInvalid:            shape.InvalidParameterException,
	registry.LifecyclePolicyInvalid:   shape.InvalidParameterException,
	registry.RepositoryPolicyNotFound: shape.RepositoryPolicyNotFoundException,
	registry.RegistryPolicyNotFound:   shape.RegistryPolicyNotFoundException,

	registry.LifecyclePolicyNotFound:    shape.LifecyclePolicyNotFoundException,
	registry.LifecyclePreviewNotFound:   shape.LifecyclePolicyPreviewNotFoundException,
	registry.LifecyclePreviewInProgress: shape.LifecyclePolicyPreviewInProgressException,

	registry.ExclusionNotFound:        shape.ExclusionNotFoundException,
	registry.ExclusionExists:          shape.ExclusionAlreadyExistsException,
	registry.TooManyExclusions:        shape.LimitExceededException,
	registry.LayerDamaged:             shape.ServerException,
	registry.ImageDamaged:             shape.ServerException,
	registry.UpstreamUnavailable:      shape.UnableToGetUpstreamImageException,
	registry.UpstreamTooMany:          shape.UnableToGetUpstreamImageException,
	registry.UpstreamDenied:           shape.UnableToGetUpstreamImageException,
	registry.LayerArchived:            shape.LayerInaccessibleException,
	registry.StorageClassUnchangeable: shape.ImageStorageClassUpdateNotSupportedException,
	registry.ImageNotFound:            shape.ImageNotFoundException,
	registry.TagMismatch:              shape.ImageNotFoundException,
	registry.ImageReferenced:          shape.InvalidParameterException,
	// No exception of the model says that something is not to be deleted, and
	// RepositoryNotEmptyException would have tools delete by force.
	registry.Protected:            shape.InvalidParameterException,
	registry.NotInTrash:           shape.ImageNotFoundException,
	registry.TagImmutable:         shape.ImageTagAlreadyExistsException,
	registry.ManifestInvalid:      shape.InvalidParameterException,
	registry.ManifestNotJSON:      shape.InvalidParameterException,
	registry.ManifestTooLarge:     shape.InvalidParameterException,
	registry.MediaTypeUnsupported: shape.InvalidParameterException,
	registry.MediaTypeMissing:     shape.InvalidParameterException,
	registry.ImageDigestMismatch:  shape.ImageDigestDoesNotMatchException,
	registry.LayersMissing:        shape.LayersNotFoundException,
	registry.ChildrenMissing:      shape.ReferencedImagesNotFoundException,
	registry.TooManyTags:          shape.LimitExceededException,
	registry.TooManyImages:        shape.LimitExceededException,
	registry.TooManyInRegistry:    shape.LimitExceededException,
	registry.QuotaExceeded:        shape.LimitExceededException,
	registry.LayerNotFound:        shape.LayersNotFoundException,
	registry.LayerReferenced:      shape.InvalidParameterException,
	registry.LayerDigestMismatch:  shape.InvalidLayerException,
	registry.LayerTooLarge:        shape.LimitExceededException,
	registry.UploadNotFound:       shape.UploadNotFoundException,
	registry.UploadOffset:         shape.InvalidLayerPartException,
	registry.UploadEmpty:          shape.EmptyUploadException,
	registry.UploadPartTooSmall:   shape.LayerPartTooSmallException,
	registry.TooManyParts:         shape.LimitExceededException,
	registry.TooManyUploads:       shape.InvalidParameterException,
	registry.NotAvailable:         shape.ValidationException,
	registry.ConfigurationInvalid: shape.InvalidParameterException,
	registry.ScansDisabled:        shape.ValidationException,
	registry.ImageNotScannable:    shape.UnsupportedImageTypeException,
	registry.ImageArchived:        shape.ImageArchivedException,
	registry.ScanNotFound:         shape.ScanNotFoundException,
	registry.ScanLimit:            shape.LimitExceededException,
	registry.SigningNotFound:      shape.SigningConfigurationNotFoundException,

	registry.PullThroughRuleNotFound: shape.PullThroughCacheRuleNotFoundException,
	registry.PullThroughRuleExists:   shape.PullThroughCacheRuleAlreadyExistsException,
	registry.TooManyPullThroughRules: shape.LimitExceededException,
	registry.UpstreamInvalid:         shape.UnsupportedUpstreamRegistryException,
	registry.UpstreamUnauthenticated: shape.UnsupportedUpstreamRegistryException,
}

// answerTo is the answer to a refusal. Where the model does not list its
// exception for the operation, the words go as an InvalidParameterException.
func answerTo(op string, e *registry.Error) *failure {
	as := exceptions[e.Code]
	if as == shape.UnableToGetUpstreamImageException && models(op, shape.UnableToGetUpstreamLayerException) {
		as = shape.UnableToGetUpstreamLayerException
	}
	if !models(op, as) {
		as = shape.InvalidParameterException
	}
	f := except(as, "%s", wording.Of(e))
	if as == shape.InvalidLayerPartException {
		f.addUpload(e.Name, e.Upload, e.Offset)
	}
	return f
}

// addUpload adds the members of InvalidLayerPartException for an upload that
// stands at offset. Where nothing was received yet the last valid byte is -1:
// clients go on at the byte behind it.
func (f *failure) addUpload(name registry.Name, id string, offset int64) {
	f.RegistryID, f.RepositoryName, f.UploadID = name.ID().Account, name.String(), id
	f.LastValidByteReceived = new(offset - 1)
}
