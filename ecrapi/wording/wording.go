// Package wording has Amazon ECR's sentences for the refusals of the domain.
// Both doors speak them: ECR's Docker endpoint tells what its API said.
//
// The words are ECR's where they are known (ECR reference,
// errors-and-limits.md sections 2 to 4), else in the style of those.
package wording

import (
	"fmt"
	"strings"

	"github.com/seed-78150930/berth/registry"
	"github.com/seed-78150930/berth/registry/digest"
)

// Sentences that are not about one thing.
const (
	// NoRoom says that the store is full.
	NoRoom = "No room left on the server"
	// ReadOnly and StoreFailed say that a server takes no writes: for now, and until it
	// is started anew.
	ReadOnly       = "The server takes no writes for now: it is read-only"
	StoreFailed    = "The server takes no writes after a failure of its store"
	BadResourceTag = "Tag parameters are invalid"
)

// Of is the sentence for a refusal.
func Of(e *registry.Error) string { return words[e.Code](e) }

// words has a sentence for each code of the domain.
var words = map[registry.Code]func(*registry.Error) string{
	registry.RegistryInvalid: at("registryId"),
	registry.NameInvalid:     at("repositoryName"),
	registry.TagInvalid:      at("imageTag"),
	registry.DigestInvalid:   at("imageDigest"),
	registry.PageInvalid: func(*registry.Error) string {
		return Constraint("NextToken", "Invalid next token provided")
	},
	registry.SettingInvalid: func(e *registry.Error) string {
		return Constraint(e.Field, e.Msg)
	},
	registry.RepositoryNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("The %s does not exist in the registry with id '%s'", named(e), e.Name.ID().Account)
	},
	registry.RepositoryExists: func(e *registry.Error) string {
		return fmt.Sprintf("The %s already exists in the registry with id '%s'", named(e), e.Name.ID().Account)
	},
	registry.RepositoryNotEmpty: func(e *registry.Error) string {
		return fmt.Sprintf("The %s in registry with id '%s' cannot be deleted because it still contains images", named(e), e.Name.ID().Account)
	},
	registry.ResourceTagInvalid: func(*registry.Error) string {
		return BadResourceTag
	},
	registry.TooManyResourceTags: func(e *registry.Error) string {
		return fmt.Sprintf("The maximum number of tags per repository is '%d'", e.Limit)
	},
	registry.TooManyRepositories: full("repositories"),
	registry.PolicyInvalid:       func(e *registry.Error) string { return Constraint(e.Field, e.Msg) },
	registry.LifecyclePolicyInvalid: func(e *registry.Error) string {
		return fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: %s", e.Field, e.Msg) // the quotes are the reason's, which forgets some
	},
	registry.RepositoryPolicyNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("Repository policy does not exist for the %s in the registry with id '%s'", named(e), e.Name.ID().Account)
	},
	registry.LifecyclePolicyNotFound:    lifecycleSays("Lifecycle policy does not exist for"),
	registry.LifecyclePreviewNotFound:   lifecycleSays("Lifecycle policy preview does not exist for"),
	registry.LifecyclePreviewInProgress: lifecycleSays("A lifecycle policy preview is already in progress for"),
	registry.RegistryPolicyNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("Registry policy does not exist in the registry with id '%s'", e.Name.ID().Account)
	},
	registry.ExclusionNotFound: absent("The pull time update exclusion for the principal"),
	registry.ExclusionExists:   there("The pull time update exclusion for the principal"),
	registry.TooManyExclusions: full("pull time update exclusions"),
	registry.LayerArchived: func(e *registry.Error) string {
		return fmt.Sprintf("The layer with digest '%s' in the %s in the registry with id '%s' is archived", e.Digests[0], named(e), e.Name.ID().Account)
	},
	registry.LayerDamaged: func(e *registry.Error) string {
		return fmt.Sprintf("The layer with digest '%s' in the %s in the registry with id '%s' is damaged on the server", e.Digests[0], named(e), e.Name.ID().Account)
	},
	registry.ImageDamaged: func(e *registry.Error) string {
		return fmt.Sprintf("The image with digest '%s' in the %s in the registry with id '%s' is damaged on the server", e.Ref.Digest, named(e), e.Name.ID().Account)
	},
	registry.StorageClassUnchangeable: func(e *registry.Error) string {
		return fmt.Sprintf("The storage class of the image with digest '%s' in the %s in the registry with id '%s' cannot be updated: %s",
			e.Ref.Digest, named(e), e.Name.ID().Account, e.Field)
	},
	registry.TooManyLayers: func(*registry.Error) string {
		return Constraint("ImageManifest", "Limit on number of layers per image exceeded")
	},
	registry.UploadPartTooLarge: func(e *registry.Error) string {
		return Constraint("layerPartBlob", fmt.Sprintf("Member must have length less than or equal to %d", e.Limit))
	},
	registry.TemplateNotFound: absent("The Template with prefix"),
	registry.TemplateExists:   there("The Template with prefix"),
	registry.TooManyTemplates: full("repository creation templates"),
	registry.StoreFull:        func(*registry.Error) string { return NoRoom },
	registry.StoreReadOnly:    func(*registry.Error) string { return ReadOnly },
	registry.StoreFailed:      func(*registry.Error) string { return StoreFailed },
	registry.ImageNotFound:    imageNotFound,
	registry.TagMismatch:      imageNotFound,
	registry.ImageReferenced: func(e *registry.Error) string {
		return "Requested image referenced by manifest list: " + list(e.Digests)
	},
	registry.Protected:           asItIs,
	registry.UpstreamUnavailable: asItIs, // ECR's words are not known, nor for the next two
	registry.UpstreamTooMany:     asItIs,
	registry.UpstreamDenied:      asItIs,
	registry.NotInTrash:          asItIs,
	registry.TagImmutable: func(e *registry.Error) string {
		return fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.",
			e.Ref.Tag, e.Name)
	},
	registry.ManifestInvalid: at("ImageManifest"),
	registry.ManifestNotJSON: func(*registry.Error) string {
		return Constraint("ImageManifest", "Invalid JSON syntax")
	},
	registry.ManifestTooLarge: func(e *registry.Error) string {
		return Constraint("imageManifest", fmt.Sprintf("Member must have length less than or equal to %d", e.Limit))
	},
	registry.MediaTypeUnsupported: at("imageManifestMediaType"),
	registry.MediaTypeMissing: func(*registry.Error) string {
		return Constraint("imageManifestMediaType", "image manifest mediatype not provided in manifest or parameter")
	},
	registry.ImageDigestMismatch: func(e *registry.Error) string {
		return DigestMismatch(e.Name, e.Ref.Digest.String())
	},
	registry.LayersMissing: func(e *registry.Error) string {
		return "Layers with digests '" + list(e.Digests) + "' " + required(e)
	},
	registry.ChildrenMissing: func(e *registry.Error) string {
		return "Images with digests '" + list(e.Digests) + "' " + required(e)
	},
	registry.TooManyTags: func(e *registry.Error) string {
		return fmt.Sprintf("Adding tag '%s' to an image in the %s in registry with id '%s' exceeds the maximum allowed number of tags per image which is '%d'",
			e.Ref.Tag, named(e), e.Name.ID().Account, e.Limit)
	},
	registry.TooManyImages: func(e *registry.Error) string {
		return fmt.Sprintf("The %s in registry with id '%s' already has the maximum allowed number of images which is '%d'",
			named(e), e.Name.ID().Account, e.Limit)
	},
	registry.TooManyInRegistry: func(e *registry.Error) string {
		return fmt.Sprintf("The registry with id '%s' already has the maximum allowed number of images which is '%d'", e.Name.ID().Account, e.Limit)
	},
	registry.QuotaExceeded: func(e *registry.Error) string {
		of := fmt.Sprintf("registry with id '%s'", e.Name.ID().Account)
		if e.Field == "repository" {
			of = named(e) + " in " + of
		}
		return fmt.Sprintf("The %s would exceed the maximum allowed size in bytes which is '%d'", of, e.Limit)
	},
	registry.LayerNotFound: func(e *registry.Error) string {
		return LayerNotFound(e.Name, e.Digests[0].String())
	},
	registry.LayerReferenced: func(e *registry.Error) string {
		return "Requested layer referenced by images: " + list(e.Digests)
	},
	registry.LayerDigestMismatch: func(*registry.Error) string {
		return "None of the provided layer digests match the calculated layer digest"
	},
	registry.LayerTooLarge: func(e *registry.Error) string {
		return fmt.Sprintf("The %s exceeds the maximum allowed layer size in bytes which is '%d'", uploadOf(e), e.Limit)
	},
	registry.UploadNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("Upload with id '%s' does not exist in the %s in the registry with id '%s'", e.Upload, named(e), e.Name.ID().Account)
	},
	registry.UploadOffset: func(e *registry.Error) string {
		if e.Got < 0 {
			return fmt.Sprintf("The %s is in use by another request", uploadOf(e))
		}
		return fmt.Sprintf("First byte of the layer part is %d instead of %d", e.Got, e.Offset)
	},
	registry.UploadEmpty: func(e *registry.Error) string {
		return fmt.Sprintf("The %s cannot be completed because it does not have any parts", uploadOf(e))
	},
	registry.UploadPartTooSmall: func(*registry.Error) string {
		return "All layer parts except the last part should be at least 5MB"
	},
	registry.TooManyParts: func(e *registry.Error) string {
		return fmt.Sprintf("The %s already has the maximum allowed number of parts which is '%d'", uploadOf(e), e.Limit)
	},
	registry.TooManyUploads: func(e *registry.Error) string {
		return fmt.Sprintf("The maximum allowed number of open layer uploads is '%d': complete some, or let them expire", e.Limit)
	},
	registry.NotAvailable: func(e *registry.Error) string {
		return e.Field + " is not available in this version of Berth"
	},
	registry.ConfigurationInvalid: asItIs,
	registry.ScansDisabled:        func(*registry.Error) string { return "This feature is disabled" },
	registry.ImageNotScannable: func(e *registry.Error) string {
		return fmt.Sprintf("An artifact with media type '%s' cannot be scanned. For more information, see the Amazon ECR documentation.", e.Field)
	},
	registry.ImageArchived: func(e *registry.Error) string {
		return fmt.Sprintf("The image with imageId %s in the %s in the registry with id '%s' is archived", imageID(e), named(e), e.Name.ID().Account)
	},
	registry.ScanNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("Image scan does not exist for the image with '%s' in the %s in the registry with id '%s'", imageID(e), named(e), e.Name.ID().Account)
	},
	registry.ScanLimit: func(*registry.Error) string {
		return "The scan quota per image has been exceeded. Wait and try again."
	},
	registry.SigningNotFound: func(e *registry.Error) string {
		return fmt.Sprintf("Signing configuration does not exist in the registry with id '%s'", e.Name.ID().Account)
	},
	registry.PullThroughRuleNotFound: absent("The pull through cache rule with prefix"),
	registry.PullThroughRuleExists:   there("The pull through cache rule with prefix"),
	registry.TooManyPullThroughRules: full("pull through cache rules"),
	registry.UpstreamInvalid: func(e *registry.Error) string {
		return fmt.Sprintf("The upstream registry URL %s is invalid. Specify a valid upstream registry URL and try again", e.Field)
	},
	registry.UpstreamUnauthenticated: asItIs,
}

// absent and there word that a registry has not, or already has, what Field names.
func absent(what string) func(*registry.Error) string {
	return func(e *registry.Error) string {
		return fmt.Sprintf("%s '%s' does not exist in the registry with id '%s'", what, e.Field, e.Name.ID().Account)
	}
}

func there(what string) func(*registry.Error) string {
	return func(e *registry.Error) string {
		return fmt.Sprintf("%s '%s' already exists in the registry with id '%s'", what, e.Field, e.Name.ID().Account)
	}
}

// full words that a registry has as many of something as it may.
func full(what string) func(*registry.Error) string {
	return func(e *registry.Error) string {
		return fmt.Sprintf("The registry with id '%s' already has the maximum allowed number of %s which is '%d'", e.Name.ID().Account, what, e.Limit)
	}
}

// at words a refusal as a violation by a member, in the domain's words.
func at(member string) func(*registry.Error) string {
	return func(e *registry.Error) string { return Constraint(member, e.Msg) }
}

// lifecycleSays words what is said of a repository's lifecycle policy. ECR's
// sentence for a policy that is not there is known, the others follow it.
func lifecycleSays(what string) func(*registry.Error) string {
	return func(e *registry.Error) string {
		return fmt.Sprintf("%s the %s in the registry with id '%s'", what, named(e), e.Name.ID().Account)
	}
}

// asItIs is for refusals that the domain words as ECR does.
func asItIs(e *registry.Error) string { return e.Msg }

func imageID(e *registry.Error) string {
	return fmt.Sprintf("{imageDigest:'%s', imageTag:'%s'}", OrNull(e.Ref.Digest.String()), OrNull(e.Ref.Tag.String()))
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

// LayerNotFound says that a repository does not hold a layer.
func LayerNotFound(name registry.Name, d string) string {
	return fmt.Sprintf("The layer with digest '%s' does not exist within the repository with name '%s' in the registry with id '%s'",
		d, name, name.ID().Account)
}

// DigestMismatch says that an image has another digest than was claimed.
func DigestMismatch(name registry.Name, d string) string {
	return fmt.Sprintf("The image with digest '%s' in repository '%s' and registry ID '%s' does not match the image digest that Amazon ECR has calculated.",
		d, name, name.ID().Account)
}

func imageNotFound(e *registry.Error) string {
	return NoSuchImage(e.Name, e.Ref.Digest.String(), e.Ref.Tag.String())
}

// NoSuchImage says that an image is not there; "" stands for what was not given.
func NoSuchImage(name registry.Name, d, tag string) string {
	return fmt.Sprintf("The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name '%s' in the registry with id '%s'",
		OrNull(d), OrNull(tag), name, name.ID().Account)
}

// OrNull is s as ECR prints it: null if there is none.
func OrNull(s string) string {
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

// Constraint says that a member of a request violates a rule.
func Constraint(at, reason string) string {
	return fmt.Sprintf("Invalid parameter at '%s' failed to satisfy constraint: '%s'", at, reason)
}
