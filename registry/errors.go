package registry

import (
	"errors"
	"fmt"

	"github.com/seed-78150930/berth/registry/digest"
	"github.com/seed-78150930/berth/storage"
)

// Code says what kind of refusal an Error is. Each door has one table from
// code to wire.
type Code string

// The refusals of the domain. The comment names the members of Error that are
// set beside Code, Msg and, where a repository is concerned, Name.
const (
	RegistryInvalid      Code = "registry invalid"             // account or region malformed or unknown
	NameInvalid          Code = "name invalid"                 // a repository name's syntax
	TagInvalid           Code = "tag invalid"                  // a tag's syntax
	DigestInvalid        Code = "digest invalid"               // a digest's syntax
	RepositoryNotFound   Code = "repository not found"         //
	RepositoryExists     Code = "repository exists"            //
	RepositoryNotEmpty   Code = "repository not empty"         //
	SettingInvalid       Code = "setting invalid"              // Field
	ResourceTagInvalid   Code = "resource tag invalid"         //
	TooManyResourceTags  Code = "too many resource tags"       // Limit
	ImageNotFound        Code = "image not found"              // Ref
	ImageReferenced      Code = "image referenced by index"    // Digests: the indexes
	TagMismatch          Code = "tag names another image"      // Ref
	TagImmutable         Code = "tag immutable"                // Ref.Tag
	ManifestInvalid      Code = "manifest invalid"             //
	ManifestNotJSON      Code = "manifest is not JSON"         //
	ManifestTooLarge     Code = "manifest too large"           // Limit
	MediaTypeUnsupported Code = "media type unsupported"       // Docker schema 1 as another type
	MediaTypeMissing     Code = "media type missing"           //
	ImageDigestMismatch  Code = "image digest mismatch"        // Ref.Digest: what was claimed
	LayersMissing        Code = "layers missing"               // Digests
	ChildrenMissing      Code = "children missing"             // Digests
	TooManyTags          Code = "too many tags"                // Ref.Tag, Limit
	TooManyImages        Code = "too many images"              // Limit
	LayerNotFound        Code = "layer not found"              // Digests: the one
	LayerReferenced      Code = "layer referenced by image"    // Digests: the images
	LayerDigestMismatch  Code = "layer digest mismatch"        //
	LayerTooLarge        Code = "layer too large"              // Limit
	UploadNotFound       Code = "upload not found"             // Upload
	UploadOffset         Code = "upload offset"                // Upload, Offset: where it stands, Got
	UploadEmpty          Code = "upload empty"                 // Upload
	UploadPartTooSmall   Code = "upload part too small"        // Upload
	TooManyParts         Code = "too many upload parts"        // Upload, Limit
	TooManyUploads       Code = "too many open uploads"        // Limit
	PageInvalid          Code = "page token invalid"           // a list's continuation that is none
	StoreFull            Code = "store full"                   //
	TooManyRepositories  Code = "too many repositories"        // Limit; the registry is that of Name
	TooManyLayers        Code = "too many layers"              // Limit
	UploadPartTooLarge   Code = "upload part too large"        // Limit
	StoreReadOnly        Code = "store read-only"              // by order, or as the disk takes no writes
	StoreFailed          Code = "store failed"                 // for good, until the server is started anew
	ImageArchived        Code = "image archived"               // Ref
	LayerArchived        Code = "layer archived"               // Digests: the one
	QuotaExceeded        Code = "quota exceeded"               // Limit; Field: repository or registry, which would be too large
	TooManyInRegistry    Code = "registry has too many images" // Limit; the registry is that of Name
	Protected            Code = "protected from deletion"      // Ref: the image, and the tag that protects it; zero where all of a repository is
	LayerDamaged         Code = "layer damaged"                // Digests: the one
	ImageDamaged         Code = "image damaged"                // Ref.Digest
	UpstreamUnavailable  Code = "upstream unavailable"         // Field: its host
	UpstreamTooMany      Code = "upstream limits requests"     // Field: its host; Limit: seconds to wait, if it says
	UpstreamDenied       Code = "upstream denies access"       // Field: its host
)

// Refusals of calls that set, read or plan something, which only ECR's API has.
// Where a registry is concerned it is that of Name.
const (
	TemplateNotFound Code = "template not found" // Field: the prefix
	TemplateExists   Code = "template exists"    // Field: the prefix
	TooManyTemplates Code = "too many templates" // Limit

	PolicyInvalid            Code = "policy invalid"              // Field: the member; Msg is ECR's reason
	LifecyclePolicyInvalid   Code = "lifecycle policy invalid"    // Field: the member; Msg is ECR's reason in its quotes
	RepositoryPolicyNotFound Code = "repository policy not found" //
	RegistryPolicyNotFound   Code = "registry policy not found"   //

	LifecyclePolicyNotFound    Code = "lifecycle policy not found"
	LifecyclePreviewNotFound   Code = "lifecycle preview not found"
	LifecyclePreviewInProgress Code = "lifecycle preview in progress"

	ExclusionNotFound Code = "pull time exclusion not found" // Field: the ARN
	ExclusionExists   Code = "pull time exclusion exists"    // Field: the ARN
	TooManyExclusions Code = "too many pull time exclusions" // Limit

	StorageClassUnchangeable Code = "storage class unchangeable" // Ref.Digest, Field: why

	NotAvailable         Code = "not available"         // Field: what this version lacks
	ConfigurationInvalid Code = "configuration invalid" // Msg is all of ECR's sentence
	ScansDisabled        Code = "scans disabled"        //
	ImageNotScannable    Code = "image not scannable"   // Field: its media type
	ScanNotFound         Code = "scan not found"        // Ref
	ScanLimit            Code = "scanned once a day"    // Ref.Digest
	SigningNotFound      Code = "signing configuration not found"

	PullThroughRuleNotFound Code = "pull-through rule not found" // Field: the prefix
	PullThroughRuleExists   Code = "pull-through rule exists"    // Field: the prefix
	TooManyPullThroughRules Code = "too many pull-through rules" // Limit
	UpstreamInvalid         Code = "upstream invalid"            // Field: the host
	UpstreamUnauthenticated Code = "upstream unauthenticated"    // Msg is all of ECR's sentence

	NotInTrash Code = "not in the trash" // Ref: the image; zero for a repository
)

// Codes are all refusals, for tests of the doors' tables.
func Codes() []Code { return append(TrafficCodes(), ControlCodes()...) }

// ControlCodes are the refusals of calls that only ECR's API has.
func ControlCodes() []Code {
	return []Code{
		TemplateNotFound, TemplateExists, TooManyTemplates, PolicyInvalid, LifecyclePolicyInvalid, RepositoryPolicyNotFound, RegistryPolicyNotFound,
		LifecyclePolicyNotFound, LifecyclePreviewNotFound, LifecyclePreviewInProgress, ExclusionNotFound, ExclusionExists, TooManyExclusions, StorageClassUnchangeable,
		NotAvailable, ConfigurationInvalid, ScansDisabled, ImageNotScannable, ScanNotFound, ScanLimit, SigningNotFound,
		PullThroughRuleNotFound, PullThroughRuleExists, TooManyPullThroughRules, UpstreamInvalid, UpstreamUnauthenticated, NotInTrash,
	}
}

// TrafficCodes are the refusals that both doors may see.
func TrafficCodes() []Code {
	return []Code{
		RegistryInvalid, NameInvalid, TagInvalid, DigestInvalid, RepositoryNotFound, RepositoryExists,
		RepositoryNotEmpty, SettingInvalid, ResourceTagInvalid, TooManyResourceTags, ImageNotFound,
		ImageReferenced, TagMismatch, TagImmutable, ManifestInvalid, ManifestNotJSON, ManifestTooLarge,
		MediaTypeUnsupported, MediaTypeMissing, ImageDigestMismatch, LayersMissing, ChildrenMissing,
		TooManyTags, TooManyImages, LayerNotFound, LayerReferenced, LayerDigestMismatch, LayerTooLarge,
		UploadNotFound, UploadOffset, UploadEmpty, UploadPartTooSmall, TooManyParts, TooManyUploads,
		PageInvalid, StoreFull, TooManyRepositories, TooManyLayers, UploadPartTooLarge, StoreReadOnly, StoreFailed, ImageArchived, LayerArchived,
		QuotaExceeded, TooManyInRegistry, Protected, LayerDamaged, ImageDamaged, UpstreamUnavailable, UpstreamTooMany, UpstreamDenied,
	}
}

// Error is a refusal its caller may see. Find one with errors.As, or its code
// with CodeOf.
type Error struct {
	Code Code
	// Msg says which thing in a sentence for people, without secrets:
	// `tag "1.4" of "team/app" is immutable`.
	Msg string

	// Facts from which a door that has its own wording makes it. Which are set
	// is said at the code.
	Name    Name
	Ref     Ref
	Digests []digest.Digest
	Upload  string
	Offset  int64
	Got     int64
	Limit   int64
	Field   string
}

// Error implements error.
func (e *Error) Error() string { return e.Msg }

// CodeOf is the code of the refusal in err's chain, or "" if there is none:
// then err is a fault, or nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func refuse(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Msg: fmt.Sprintf(format, args...)}
}

// refusedWrite is the refusal that clients see where the store as a whole takes no
// writes. What the store said stays in the chain, so storage.Refuses knows it too.
type refusedWrite struct {
	refusal *Error
	cause   error
}

func (r *refusedWrite) Error() string   { return r.refusal.Error() + ": " + r.cause.Error() }
func (r *refusedWrite) Unwrap() []error { return []error{r.refusal, r.cause} }

// storeError makes the error of a store that takes no writes the refusal that clients
// see. Any other is left as it is.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.Is(err, storage.ErrBroken), errors.Is(err, storage.ErrSync):
		e = refuse(StoreFailed, "the server takes no writes after a failure of its store")
	case errors.Is(err, storage.ErrFull):
		e = refuse(StoreFull, "no room left on the server")
	case errors.Is(err, storage.ErrReadOnly):
		e = refuse(StoreReadOnly, "the server takes no writes for now: it is read-only")
	default:
		return err
	}
	return &refusedWrite{e, err}
}

// notAvailable refuses what a later version does.
func notAvailable(what string) *Error {
	e := refuse(NotAvailable, "%s is not available in this version of Berth", what)
	e.Field = what
	return e
}
