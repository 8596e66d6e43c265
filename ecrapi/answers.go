package ecrapi

import (
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/ecrapi/shape"
	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// answer is how a refusal of the domain is told: as which exception and in
// which words. The words are ECR's where they are known (ECR reference,
// errors-and-limits.md sections 2 to 4), else in the style of those.
type answer struct {
	as    shape.Exception
	words func(*registry.Error) string
}

// noRoom is told as a ServerException: every operation models that, the
// caller has done nothing wrong, and clients may well try again later.
const noRoom = "No room left on the server"

// answers has every code of the domain.
var answers = map[registry.Code]answer{
	registry.RegistryInvalid: {shape.InvalidParameterException, at("registryId")},
	registry.NameInvalid:     {shape.InvalidParameterException, at("repositoryName")},
	registry.TagInvalid:      {shape.InvalidParameterException, at("imageTag")},
	registry.DigestInvalid:   {shape.InvalidParameterException, at("imageDigest")},
	registry.PageInvalid: {shape.InvalidParameterException, func(*registry.Error) string {
		return errToken.Message
	}},
	registry.SettingInvalid: {shape.InvalidParameterException, func(e *registry.Error) string {
		return constraint(e.Field, e.Msg)
	}},
	registry.RepositoryNotFound: {shape.RepositoryNotFoundException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s does not exist in the registry with id '%s'", named(e), e.Name.ID().Account)
	}},
	registry.RepositoryExists: {shape.RepositoryAlreadyExistsException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s already exists in the registry with id '%s'", named(e), e.Name.ID().Account)
	}},
	registry.RepositoryNotEmpty: {shape.RepositoryNotEmptyException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s in registry with id '%s' cannot be deleted because it still contains images", named(e), e.Name.ID().Account)
	}},
	registry.ResourceTagInvalid: {shape.InvalidTagParameterException, func(*registry.Error) string {
		return errResourceTag.Message
	}},
	registry.TooManyResourceTags: {shape.TooManyTagsException, func(e *registry.Error) string {
		return fmt.Sprintf("The maximum number of tags per repository is '%d'", e.Limit)
	}},
	registry.StoreFull: {shape.ServerException, func(*registry.Error) string { return noRoom }},

	registry.ImageNotFound: {shape.ImageNotFoundException, imageNotFound},
	registry.TagMismatch:   {shape.ImageNotFoundException, imageNotFound},
	registry.ImageReferenced: {shape.InvalidParameterException, func(e *registry.Error) string {
		return "Requested image referenced by manifest list: " + list(e.Digests)
	}},
	registry.TagImmutable: {shape.ImageTagAlreadyExistsException, func(e *registry.Error) string {
		return fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.",
			e.Ref.Tag, e.Name)
	}},
	registry.ManifestInvalid: {shape.InvalidParameterException, at("ImageManifest")},
	registry.ManifestNotJSON: {shape.InvalidParameterException, func(*registry.Error) string {
		return constraint("ImageManifest", "Invalid JSON syntax")
	}},
	registry.ManifestTooLarge: {shape.InvalidParameterException, func(e *registry.Error) string {
		return constraint("imageManifest", fmt.Sprintf("Member must have length less than or equal to %d", e.Limit))
	}},
	registry.MediaTypeUnsupported: {shape.InvalidParameterException, at("imageManifestMediaType")},
	registry.MediaTypeMissing: {shape.InvalidParameterException, func(*registry.Error) string {
		return constraint("imageManifestMediaType", "image manifest mediatype not provided in manifest or parameter")
	}},
	registry.ImageDigestMismatch: {shape.ImageDigestDoesNotMatchException, func(e *registry.Error) string {
		return digestMismatch(e.Name, e.Ref.Digest.String())
	}},
	registry.LayersMissing: {shape.LayersNotFoundException, func(e *registry.Error) string {
		return "Layers with digests '" + list(e.Digests) + "' " + required(e)
	}},
	registry.ChildrenMissing: {shape.ReferencedImagesNotFoundException, func(e *registry.Error) string {
		return "Images with digests '" + list(e.Digests) + "' " + required(e)
	}},
	registry.TooManyTags: {shape.LimitExceededException, func(e *registry.Error) string {
		return fmt.Sprintf("Adding tag '%s' to an image in the %s in registry with id '%s' exceeds the maximum allowed number of tags per image which is '%d'",
			e.Ref.Tag, named(e), e.Name.ID().Account, e.Limit)
	}},
	registry.TooManyImages: {shape.LimitExceededException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s in registry with id '%s' already has the maximum allowed number of images which is '%d'",
			named(e), e.Name.ID().Account, e.Limit)
	}},

	registry.LayerNotFound: {shape.LayersNotFoundException, func(e *registry.Error) string {
		return layerNotFound(e.Name, e.Digests[0].String())
	}},
	registry.LayerReferenced: {shape.InvalidParameterException, func(e *registry.Error) string {
		return "Requested layer referenced by images: " + list(e.Digests)
	}},
	registry.LayerDigestMismatch: {shape.InvalidLayerException, func(*registry.Error) string {
		return "None of the provided layer digests match the calculated layer digest"
	}},
	registry.LayerTooLarge: {shape.LimitExceededException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s exceeds the maximum allowed layer size in bytes which is '%d'", uploadOf(e), e.Limit)
	}},
	registry.UploadNotFound: {shape.UploadNotFoundException, func(e *registry.Error) string {
		return fmt.Sprintf("Upload with id '%s' does not exist in the %s in the registry with id '%s'", e.Upload, named(e), e.Name.ID().Account)
	}},
	registry.UploadOffset: {shape.InvalidLayerPartException, func(e *registry.Error) string {
		if e.Got < 0 {
			return fmt.Sprintf("The %s is in use by another request", uploadOf(e))
		}
		return fmt.Sprintf("First byte of the layer part is %d instead of %d", e.Got, e.Offset)
	}},
	registry.UploadEmpty: {shape.EmptyUploadException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s cannot be completed because it does not have any parts", uploadOf(e))
	}},
	registry.UploadPartTooSmall: {shape.LayerPartTooSmallException, func(*registry.Error) string {
		return "All layer parts except the last part should be at least 5MB"
	}},
	registry.TooManyParts: {shape.LimitExceededException, func(e *registry.Error) string {
		return fmt.Sprintf("The %s already has the maximum allowed number of parts which is '%d'", uploadOf(e), e.Limit)
	}},
	registry.TooManyUploads: {shape.InvalidParameterException, func(e *registry.Error) string {
		return fmt.Sprintf("The maximum allowed number of open layer uploads is '%d': complete some, or let them expire", e.Limit)
	}},
}

// answerTo is the answer to a refusal. Where the model does not list its
// exception for the operation, the words go as an InvalidParameterException.
func answerTo(op string, e *registry.Error) *failure {
	as := answers[e.Code].as
	if !models(op, as) {
		as = shape.InvalidParameterException
	}
	f := except(as, "%s", answers[e.Code].words(e))
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

// at words a refusal as a violation by a member, in the domain's words.
func at(member string) func(*registry.Error) string {
	return func(e *registry.Error) string { return constraint(member, e.Msg) }
}

func named(e *registry.Error) string {
	return fmt.Sprintf("repository with name '%s'", e.Name)
}

func uploadOf(e *registry.Error) string {
	return fmt.Sprintf("upload with id '%s' in the %s in registry with id '%s'", e.Upload, named(e), e.Name.ID().Account)
}

func required(e *registry.Error) string {
	return fmt.Sprintf("required for pushing image into %s in the registry with id '%s' do not exist", named(e), e.Name.ID().Account)
}

func layerNotFound(name registry.Name, d string) string {
	return fmt.Sprintf("The layer with digest '%s' does not exist within the repository with name '%s' in the registry with id '%s'",
		d, name, name.ID().Account)
}

func digestMismatch(name registry.Name, d string) string {
	return fmt.Sprintf("The image with digest '%s' in repository '%s' and registry ID '%s' does not match the image digest that Amazon ECR has calculated.",
		d, name, name.ID().Account)
}

func imageNotFound(e *registry.Error) string {
	return noSuchImage(e.Name, e.Ref.Digest.String(), e.Ref.Tag.String())
}

func noSuchImage(name registry.Name, d, tag string) string {
	return fmt.Sprintf("The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		orNull(d), orNull(tag), name, name.ID().Account)
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// list prints digests as ECR does.
func list(digests []digest.Digest) string {
	words := make([]string, len(digests))
	for i, d := range digests {
		words[i] = d.String()
	}
	return "[" + strings.Join(words, ", ") + "]"
}
